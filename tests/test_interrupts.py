"""Ctrl-C at every line of a turn: the history is as it was or whole, and the session works."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from multiturn import ChatSession
from multiturn.errors import BackendError
from multiturn.open_turn import OpenTurn
from multiturn.testing import ScriptedBackend
from striking import Strike, moments, quiet_finalisers, strike
from ways import Way, conversation, in_thread, said

BEFORE = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
WHOLE = ["q", "a", "b", "OneTwo"]


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


def struck_at(
    way: Way, name: str, n: int, keeps: bool
) -> tuple[Strike, ChatSession, ScriptedBackend]:
    scenario, lines = PATHS[name]
    chat, backend = conversation(*lines, history=BEFORE)
    chat._unfinished = "keep" if keeps else "drop"
    return strike(way, scenario(way, chat), n), chat, backend


@pytest.mark.parametrize("name", PATHS)
def test_an_interrupt_at_any_line_leaves_a_session_that_works(way: Way, name: str) -> None:
    strike_everywhere(way, name, elsewhere=False)


@pytest.mark.parametrize("name", ["stream", "fail"])
def test_an_interrupt_at_any_line_keeps_a_turn_at_most_once(way: Way, name: str) -> None:
    strike_everywhere(way, name, elsewhere=False, keeps=True)


@pytest.mark.parametrize("name", ["send", "fail"])
def test_an_interrupted_call_does_not_hold_up_another_thread(way: Way, name: str) -> None:
    strike_everywhere(way, name, elsewhere=True)


def strike_everywhere(way: Way, name: str, elsewhere: bool, keeps: bool = False) -> None:
    tried, failures = 0, []
    with quiet_finalisers():
        for n in moments(lambda: struck_at(way, name, 0, keeps)[0]):
            struck, chat, backend = struck_at(way, name, n, keeps)
            if not struck.where:
                break
            tried += 1
            try:
                check(way, chat, backend, elsewhere)
                struck.release()
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
