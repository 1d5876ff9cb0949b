"""While a turn is open: who is refused, who waits for it, and for whom it gives way."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel
from multiturn.errors import InvalidContent, SessionBusy
from multiturn.request import Request
from multiturn.testing import Pause, ScriptedBackend
from ways import Way, conversation, in_thread, said, until

# -- from within --------------------------------------------------------------------------


def test_a_send_from_within_a_turn_is_refused() -> None:
    caught: list[Exception] = []

    def ask_itself(request: Request) -> str:
        for call in (
            lambda: chat.send_message("x"),
            chat.rewind,
            lambda: setattr(chat, "history", []),
        ):
            with pytest.raises(SessionBusy, match=r"from within it.*chat\.fork\(\)") as error:
                call()
            caught.append(error.value)
        return chat.fork().send_message("on the side").text

    chat, _ = conversation(ask_itself, "Aside.")
    assert "Aside." == chat.send_message("a").text
    assert 3 == len(caught)
    assert ["a", "Aside."] == said(chat)


def test_an_awaited_send_from_within_a_turn_is_refused() -> None:
    class Asking(ScriptedBackend):
        async def stream_async(self, request: Any, cancel: Any) -> Any:
            with pytest.raises(SessionBusy, match="from within it"):
                await chat.send_message_async("x")
            async for chunk in super().stream_async(request, cancel):
                yield chunk

    chat = ChatSession(GenerativeModel(backend=Asking("One")))
    asyncio.run(chat.send_message_async("a"))
    assert ["a", "One"] == said(chat)


def test_blocking_in_a_loop_for_another_task_of_it_is_refused() -> None:
    chat, _ = conversation(["One", "Two"])

    async def main() -> None:
        async def read() -> None:
            async for _ in await chat.send_message_async("a", stream=True):
                await asyncio.sleep(0)

        task = asyncio.create_task(read())
        await asyncio.sleep(0)
        for call in (lambda: chat.send_message("b"), chat.rewind):
            with pytest.raises(SessionBusy, match="await send_message_async"):
                call()
        await task

    asyncio.run(main())
    assert ["a", "OneTwo"] == said(chat)


# -- half-read streams --------------------------------------------------------------------


async def test_a_half_read_stream_of_the_same_thread_gives_way(way: Way) -> None:
    chat, _ = conversation(["One", "Two"], "Fine.")
    response = await way.send(chat, "a", stream=True)
    reader = way.read(response)
    await anext(reader)
    await way.send(chat, "b", request_options={"timeout": 0.01})
    assert ["b", "Fine."] == said(chat)


def test_a_half_read_stream_of_a_dead_thread_gives_way() -> None:
    chat, backend = conversation(["One", "Two"], "Fine.")
    response = in_thread(lambda: chat.send_message("a", stream=True))
    chat.send_message("b", request_options={"timeout": 0.01})
    assert ["b", "Fine."] == said(chat)
    with pytest.raises(Exception, match="another call on this session"):
        response.resolve()
    assert 0 == backend.open_streams


def test_a_stream_left_half_read_by_an_event_loop_that_is_gone_holds_nobody_up() -> None:
    chat, backend = conversation(["One", "Two"], "Fine.")
    kept: list[Any] = []

    async def main() -> None:
        kept.append(await chat.send_message_async("a", stream=True))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    chat.send_message("b", request_options={"timeout": 0.01})
    assert ["b", "Fine."] == said(chat)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    kept.clear()
    assert 0 == backend.open_streams


def test_a_stream_may_be_handed_from_a_dead_thread_to_a_living_one() -> None:
    chat, _ = conversation(["One", "Two"])
    response = in_thread(lambda: chat.send_message("a", stream=True))
    assert ["One", "Two"] == [chunk.text for chunk in response]
    assert ["a", "OneTwo"] == said(chat)


class Reader:
    """A live thread that has read one chunk, and reads on when it is told to."""

    def __init__(self, chat: ChatSession) -> None:
        self.go_on, self.has_begun = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(chat,))
        self.thread.start()
        assert self.has_begun.wait(60)

    def _run(self, chat: ChatSession) -> None:
        for _ in chat.send_message("a", stream=True):
            self.has_begun.set()
            self.go_on.wait(10)

    def finish(self) -> None:
        self.go_on.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


async def test_a_half_read_stream_of_a_live_thread_is_waited_for(way: Way) -> None:
    chat, _ = conversation(["One", "Two"], "Fine.")
    reader = Reader(chat)
    timer = threading.Timer(0.01, reader.go_on.set)
    timer.start()
    response = await way.send(chat, "b")
    assert "Fine." == response.text
    reader.finish()
    assert ["a", "OneTwo", "b", "Fine."] == said(chat)


async def test_waiting_ends_at_the_time_limit(way: Way) -> None:
    chat, backend = conversation(["One", "Two"], "Fine.")
    reader = Reader(chat)
    begin = time.monotonic()
    advice = r"still open after 0\.01 seconds.*response\.cancel\(\).*chat\.fork\(\)"
    with pytest.raises(SessionBusy, match=advice):
        await way.send(chat, "b", request_options={"timeout": 0.01})
    assert time.monotonic() - begin < 10  # a turn waits 600 seconds without one
    assert 1 == len(backend.requests)
    assert 1 == len(chat.journal)
    reader.finish()
    await way.send(chat, "b")
    assert ["a", "OneTwo", "b", "Fine."] == said(chat)


async def test_a_busy_session_may_refuse_instead_of_waiting(way: Way) -> None:
    chat, _ = conversation(["One", "Two"], "Fine.", busy="raise")
    reader = Reader(chat)
    with pytest.raises(SessionBusy, match="busy is 'raise'"):
        await way.send(chat, "b")
    reader.finish()
    await way.send(chat, "b")
    assert ["a", "OneTwo", "b", "Fine."] == said(chat)


def test_a_stream_whose_thread_dies_while_others_wait_gives_way() -> None:
    chat, _ = conversation(["One", "Two"], "Fine.")
    kept: list[Any] = []
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        kept.append(iter(chat.send_message("a", stream=True)))
        begun.set()
        end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(60)
    timer = threading.Timer(0.005, end.set)
    timer.start()
    chat.send_message("b")
    thread.join()
    assert ["b", "Fine."] == said(chat)


def test_a_waiting_thread_enters_at_once_when_the_open_stream_is_dropped() -> None:
    chat, _ = conversation(["One", "Two"], "Fine.")
    held = [chat.send_message("a", stream=True)]
    thread = threading.Thread(target=chat.send_message, args=("b",))
    thread.start()
    until(lambda: len(chat._gate._waiting) == 1)
    held.clear()
    thread.join(0.4)
    assert not thread.is_alive()
    assert ["b", "Fine."] == said(chat)


def test_changing_the_history_waits_for_the_open_turn_of_another_thread() -> None:
    chat, _ = conversation([Pause(0.02), "One"])
    thread = threading.Thread(target=chat.send_message, args=("a",))
    thread.start()
    until(lambda: len(chat.journal) == 1)
    assert ("a", "One") == tuple(content.text for content in chat.rewind())
    thread.join()
    assert [] == chat.history


def test_reading_never_waits() -> None:
    chat, _ = conversation(["One", "Two"], history="x")
    reader = Reader(chat)
    assert ["x"] == said(chat)
    assert repr(chat)
    assert ["x"] == said(chat.fork())
    reader.finish()


def test_a_task_that_waited_in_a_loop_which_was_closed_keeps_nobody_out() -> None:
    chat, _ = conversation(["One", "Two"], "Fine.")
    reader = Reader(chat)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # "destroyed but it is pending"
    task = loop.create_task(chat.send_message_async("lost"))
    loop.run_until_complete(asyncio.sleep(0))
    until(lambda: len(chat._gate._waiting) == 1)
    loop.close()
    thread = threading.Thread(target=chat.send_message, args=("b",))
    thread.start()
    until(lambda: len(chat._gate._waiting) == 2)
    reader.finish()
    thread.join(60)
    assert not thread.is_alive()
    assert ["a", "OneTwo", "b", "Fine."] == said(chat)
    del task


def test_what_a_busy_session_shall_do_is_checked_when_it_begins() -> None:
    with pytest.raises(InvalidContent, match=r"^busy is 'x'; expected 'wait' or 'raise'"):
        GenerativeModel(backend=ScriptedBackend()).start_chat(busy="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [None, "smollm2"])
async def test_what_is_no_model_is_refused_and_the_one_before_stays(way: Way, model: Any) -> None:
    chat, backend = conversation("One")
    with pytest.raises(InvalidContent, match=r"chat\.model is .*GenerativeModel\("):
        chat.model = model
    assert "One" == (await way.send(chat, "Hi")).text
    assert backend is chat.model.backend


def test_ctrl_c_between_two_chunks_ends_the_turn_as_one_within_a_chunk_does() -> None:
    chat, _ = conversation(["One", "Two"], "Next.")
    chunks = iter(chat.send_message("a", stream=True))
    assert "One" == next(chunks).text

    with pytest.raises(KeyboardInterrupt):
        chunks.throw(KeyboardInterrupt())

    assert ["interrupted"] == [entry.outcome for entry in chat.journal]
    with pytest.raises(KeyboardInterrupt):  # it is over, and says the same again
        next(chunks)
    assert "Next." == chat.send_message("b").text
    assert ["b", "Next."] == said(chat)
