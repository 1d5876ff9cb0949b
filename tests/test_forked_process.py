"""After os.fork(): the child never reads its parent's reply, and both go on."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable

import pytest

from multiturn.errors import BrokenResponseError
from multiturn.testing import Pause
from ways import conversation, said, until

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python warns of threads at a fork, which is what is tried here.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


def in_child(work: Callable[[], None]) -> None:
    """Do work in a forked process; fail with what it raised."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os.write(writer, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as report:
        trouble = report.read().decode()
    _, status = os.waitpid(child, 0)
    assert "" == trouble
    assert 0 == status


def test_a_child_does_not_read_its_parents_reply() -> None:
    chat, backend = conversation(["One", "Two", "Three"], "Child.")
    response = chat.send_message("a", stream=True)
    reader = iter(response)
    assert "One" == next(reader).text

    def child() -> None:
        with pytest.raises(BrokenResponseError, match=f"belongs to process {os.getppid()}"):
            next(reader)
        with pytest.raises(BrokenResponseError):
            response.resolve()
        assert "Child." == chat.send_message("c", request_options={"timeout": 1}).text
        assert ["c", "Child."] == said(chat)

    in_child(child)
    assert 1 == backend.open_streams
    assert ["Two", "Three"] == [chunk.text for chunk in reader]
    assert ["a", "OneTwoThree"] == said(chat)


@pytest.mark.parametrize("act", ["drop", "rewind", "set", "copy", "cancel"])
def test_whatever_a_child_does_the_parents_stream_goes_on(act: str) -> None:
    chat, backend = conversation(["One", "Two"], history=[{"role": "user", "parts": ["q"]}])
    held = [chat.send_message("a", stream=True)]

    def child() -> None:
        if act == "drop":
            held.clear()
        elif act == "rewind":
            chat.rewind()
            assert [] == chat.history
        elif act == "set":
            chat.history = []
        elif act == "copy":
            assert ["q"] == said(chat.fork())
        else:
            held[0].cancel()

    in_child(child)
    assert 1 == backend.open_streams
    held[0].resolve()
    assert ["q", "a", "OneTwo"] == said(chat)


def test_a_child_of_a_waiting_and_a_working_thread_is_free() -> None:
    chat, backend = conversation([Pause(0.1), "One"], "Two.", "Child.")
    threads = [threading.Thread(target=chat.send_message, args=(name,)) for name in "ab"]
    threads[0].start()
    until(lambda: backend.open_streams == 1)
    threads[1].start()
    until(lambda: len(chat._gate._waiting) == 1)

    def child() -> None:
        backend._lines.clear()
        backend.add("Child.")
        assert "Child." == chat.send_message("c", request_options={"timeout": 1}).text
        assert ["c", "Child."] == said(chat)

    in_child(child)
    for thread in threads:
        thread.join(60)
    assert ["a", "One", "b", "Two."] == said(chat)


def test_a_child_is_free_though_a_thread_was_encoding_the_history() -> None:
    """A lock that another thread holds at the fork is held for ever in the child."""
    chat, _ = conversation("One", "Two.", "Child.")
    chat.send_message("a")
    encoding, go_on = threading.Event(), threading.Event()

    class Slowly:
        start = None

        def step(self, state: None, content: object, index: int) -> tuple[bytes, None]:
            encoding.set()
            go_on.wait(60)
            return b"x", None

    class AtOnce(Slowly):
        def step(self, state: None, content: object, index: int) -> tuple[bytes, None]:
            return b"y", None

    thread = threading.Thread(target=lambda: chat.turns[-1].path.folded(Slowly()))
    thread.start()
    assert encoding.wait(60)

    def child() -> None:
        done: list[str] = []

        def work() -> None:
            chat.turns[-1].path.folded(AtOnce())
            done.append(chat.send_message("c").text)

        worker = threading.Thread(target=work)
        worker.daemon = True
        worker.start()
        worker.join(60)
        assert ["Two."] == done

    try:
        in_child(child)
    finally:
        go_on.set()
        thread.join()
