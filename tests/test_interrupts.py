"""Ctrl-C at every line of a turn: the history is as it was or whole, and the session works."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

import pytest

import multiturn
from conftest import EFFORT
from multiturn import ChatSession
from multiturn.errors import BackendError
from multiturn.open_turn import OpenTurn
from multiturn.testing import ScriptedBackend
from ways import Way, conversation, in_thread, said

SOURCE = str(Path(multiturn.__file__).parent)
# The backend is not part of the turn: what is raised within it is its own failure.
OUTSIDE = str(Path(SOURCE) / "testing.py")
BEFORE = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
WHOLE = ["q", "a", "b", "OneTwo"]


class Strike:
    """Raises KeyboardInterrupt at the n-th line that is executed within the package.

    Attributes:
        first: Which of the lines executed is the first at each place.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.lines = 0
        self.where = ""
        self.first: dict[tuple[CodeType, int], int] = {}
        self._held: set[tuple[FrameType, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        name = frame.f_code.co_filename
        return self._line if name.startswith(SOURCE) and name != OUTSIDE else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and not self._leaves_a_lock(frame):
            self.lines += 1
            self.first.setdefault((frame.f_code, frame.f_lineno), self.lines)
            if self.lines == self.n:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt(self.where)
        return self._line

    def _leaves_a_lock(self, frame: FrameType) -> bool:
        """Whether the line is a ``with lock`` on the way out.

        Python looks for signals after calls and at backward jumps, so that none can come
        between the end of the block and the release of the lock; a trace function can.
        """
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if not line.startswith("with ") or not line.endswith("lock:"):
            return False
        place = (frame, frame.f_lineno)
        if place in self._held:
            self._held.remove(place)
            return True
        self._held.add(place)
        return False


@contextmanager
def quiet_finalisers() -> Iterator[None]:
    """Let an interrupt within ``__del__`` vanish, as Python does; anything else is an error."""
    strange: list[Any] = []

    def hook(args: Any) -> None:
        if not isinstance(args.exc_value, KeyboardInterrupt):
            strange.append((args.exc_value, args.object))

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before
    assert [] == strange


async def send(way: Way, chat: ChatSession) -> None:
    await way.send(chat, "b")


async def stream(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    async for _ in way.read(response):
        pass


async def stream_and_break(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    async for _ in way.read(response):
        break


async def fail(way: Way, chat: ChatSession) -> None:
    with pytest.raises(BackendError):
        await way.send(chat, "b")


async def change(way: Way, chat: ChatSession) -> None:
    kept = chat.history
    response = await way.send(chat, "b", stream=True)
    chat.rewind()
    chat.history = kept
    assert response.error is not None
    chat.fork()


async def amend(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    chat.rewind()
    chat.redo()
    del chat.history[:]
    chat.history.extend(BEFORE)
    assert response.error is not None


async def replace(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "x", stream=True)
    await way.send(chat, "b")
    assert response.error is not None


PATHS: dict[str, tuple[Callable[[Way, ChatSession], Coroutine[Any, Any, None]], list[Any]]] = {
    "send": (send, [["One", "Two"]]),
    "stream": (stream, [["One", "Two"]]),
    "stream_and_break": (stream_and_break, [["One", "Two"]]),
    "fail": (fail, [["One", BackendError("cut")]]),
    "change": (change, [["One", "Two"]]),
    "amend": (amend, [["One", "Two"]]),
    "replace": (replace, [["x", "y"], ["One", "Two"]]),
}
# What a history may be when the turn "b" was struck: without it, with it, or (where the
# scenario changes it) without the pair before.
ALLOWED = (["q", "a"], WHOLE, [])
# And if unfinished turns are kept.
KEPT = [["q", "a", "b", "One"]]


def strike(
    way: Way, name: str, n: int, keeps: bool
) -> tuple[Strike, ChatSession, ScriptedBackend, Any]:
    scenario, lines = PATHS[name]
    chat, backend = conversation(*lines, history=BEFORE)
    chat._unfinished = "keep" if keeps else "drop"
    struck = Strike(n)
    coroutine, tracer = scenario(way, chat), sys.gettrace()
    sys.settrace(struck)
    try:
        way.run(coroutine)
    except KeyboardInterrupt as error:
        if coroutine.cr_code not in codes_of(error.__traceback__):
            way.let_stop()
        return struck, chat, backend, error.__traceback__
    finally:
        sys.settrace(tracer)
    return struck, chat, backend, None


def codes_of(trace: TracebackType | None) -> set[CodeType]:
    return {frame.f_code for frame, _ in traceback.walk_tb(trace)}


@pytest.mark.parametrize("name", PATHS)
def test_an_interrupt_at_any_line_leaves_a_session_that_works(way: Way, name: str) -> None:
    strike_everywhere(way, name, elsewhere=False)


@pytest.mark.parametrize("name", ["stream", "fail"])
def test_an_interrupt_at_any_line_keeps_a_turn_at_most_once(way: Way, name: str) -> None:
    strike_everywhere(way, name, elsewhere=False, keeps=True)


@pytest.mark.parametrize("name", ["send", "fail"])
def test_an_interrupted_call_does_not_hold_up_another_thread(way: Way, name: str) -> None:
    strike_everywhere(way, name, elsewhere=True)


def moments(way: Way, name: str, keeps: bool) -> Iterable[int]:
    """Which of the lines executed are struck: by night all, by day the first at each place."""
    if EFFORT == "nightly":
        return count(1)
    strike(way, name, 0, keeps)  # imports what is imported late: it is not again, hereafter
    return strike(way, name, 0, keeps)[0].first.values()


def strike_everywhere(way: Way, name: str, elsewhere: bool, keeps: bool = False) -> None:
    tried, failures = 0, []
    with quiet_finalisers():
        for n in moments(way, name, keeps):
            struck, chat, backend, trace = strike(way, name, n, keeps)
            if not struck.where:
                break
            tried += 1
            try:
                check(way, chat, backend, elsewhere)
                # The traceback was held until here, and with it perhaps a stream that was
                # struck while it closed; a cleared frame still holds its function's cells.
                traceback.clear_frames(trace)
                trace = None
                way.run(way.idle())
                assert 0 == backend.open_streams, f"{backend.open_streams} streams are open"
            except AssertionError as error:
                failures.append(f"{struck.where}: {(str(error) or '?').splitlines()[0]}")
    assert tried > 100
    assert [] == sorted(set(failures))


def check(way: Way, chat: ChatSession, backend: ScriptedBackend, elsewhere: bool) -> None:
    """The history is one of those allowed, and the next turn is added to it, soon."""
    if chat._unfinished == "keep":
        chat._gate.let_go()  # the next call would; what it keeps is looked at before
    before = said(chat)
    assert before in (*ALLOWED, *KEPT) if chat._unfinished == "keep" else before in ALLOWED
    backend._lines.clear()
    backend.add(["Fi", "ne."])

    def ask() -> None:
        try:
            if elsewhere:
                chat.send_message("c", request_options={"timeout": 1e-3})
            else:
                way.run(way.send(chat, "c", request_options={"timeout": 1e-3}))
        except Exception as error:
            raise AssertionError(repr(error)) from error

    if elsewhere:
        in_thread(ask)
    else:
        ask()
    assert [*before, "c", "Fine."] == said(chat)
    outcomes = [entry.outcome for entry in chat.journal]
    assert "open" not in outcomes
    turns = [turn for turn in chat.turns if turn.contents[0].text != BEFORE[0]["parts"][0]]
    whole = [turn for turn in turns if not turn.is_partial]
    assert len(whole) == outcomes.count("answered")
    assert {turn.id for turn in turns} == {e.turn.id for e in chat.journal if e.turn}


def test_an_end_that_was_not_noted_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C falls between the end of a stream and its note, and its traceback is held."""
    chat, backend = conversation(["One", "Two"], ["Fi", "ne."])
    settle = OpenTurn.settle

    def interrupted(opened: OpenTurn, *args: Any) -> None:
        monkeypatch.setattr(OpenTurn, "settle", settle)
        raise KeyboardInterrupt

    response = chat.send_message("b", stream=True)
    monkeypatch.setattr(OpenTurn, "settle", interrupted)
    with pytest.raises(KeyboardInterrupt) as held:
        response.resolve()
    in_thread(lambda: chat.send_message("c", request_options={"timeout": 0.01}))
    assert held.value.__traceback__ is not None
    assert ["b", "OneTwo", "c", "Fine."] == said(chat)
    assert ["answered", "answered"] == [entry.outcome for entry in chat.journal]
    assert 0 == backend.open_streams
