"""A turn that breaks off is left out or kept with what had arrived, however it ended."""

from __future__ import annotations

import asyncio
import gc
import pickle
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from multiturn import ApprovalNeeded, ChatSession, GenerativeModel
from multiturn.errors import (
    BackendError,
    BrokenResponseError,
    InvalidContent,
    StopCandidateException,
    TurnCancelled,
    UsageError,
)
from multiturn.stores.memory import MemoryStore
from multiturn.stores.protocol import Store
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import Pause, ScriptedBackend, ScriptedReply, function_calls
from ways import AT_ONCE, Way, read_into, said, text_chunk, wire

Opener = Callable[..., ChatSession]
Scenario = Callable[[Way, ChatSession], Coroutine[Any, Any, None]]


# -- the ways to end ----------------------------------------------------------------------


async def send(way: Way, chat: ChatSession) -> None:
    await way.send(chat, "b")


async def stream(way: Way, chat: ChatSession) -> None:
    await read_into([], way.read(await way.send(chat, "b", stream=True)))


async def leave(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    reader = way.read(response)
    await anext(reader)


async def drop(way: Way, chat: ChatSession) -> None:
    await way.send(chat, "b", stream=True)


async def drop_in_a_cycle(way: Way, chat: ChatSession) -> None:
    cycle: list[Any] = [await way.send(chat, "b", stream=True)]
    cycle.append(cycle)
    del cycle
    gc.collect()


async def replace(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    chat._gate.let_go()
    assert isinstance(response.error, BrokenResponseError)


async def cancel(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    response.cancel()
    await way.resolve(response)


async def cancel_task(way: Way, chat: ChatSession) -> None:
    if way.name == "sync":
        pytest.skip("blocking code has no tasks")
    response = await chat.send_message_async("b", stream=True)
    task = asyncio.ensure_future(response.resolve())
    await way.idle()
    task.cancel()
    response = None  # type: ignore[assignment]
    await task


# Of each: what is done, what the model says, what is raised, and how the turn ended.
ENDS: dict[str, tuple[Scenario, Any, type[BaseException] | None, str]] = {
    "a broken line": (stream, ["half", BackendError("cut")], BackendError, "failed"),
    "a broken line, unseen": (send, ["half", BackendError("cut")], BackendError, "failed"),
    "an error of others": (stream, ["half", OSError("gone")], OSError, "failed"),
    "no end": (stream, ScriptedReply(("half",), None), BrokenResponseError, "failed"),
    "a bad end": (send, [text_chunk("half", "SAFETY")], StopCandidateException, "stopped"),
    "Ctrl-C": (stream, ["half", KeyboardInterrupt()], KeyboardInterrupt, "interrupted"),
    "Ctrl-C, unseen": (send, ["half", KeyboardInterrupt()], KeyboardInterrupt, "interrupted"),
    "cancel()": (cancel, ["half", " more"], TurnCancelled, "cancelled"),
    "cancellation": (cancel_task, ["half", Pause(60)], asyncio.CancelledError, "cancelled"),
    "leaving": (leave, ["half", " more"], None, "abandoned"),
    "dropping": (drop, ["half", " more"], None, "abandoned"),
    "the collector": (drop_in_a_cycle, ["half", " more"], None, "abandoned"),
    "another call": (replace, ["half", " more"], None, "abandoned"),
}
ends = pytest.mark.parametrize("name", [*ENDS])


# -- the places ---------------------------------------------------------------------------


@pytest.fixture(params=["no store", "memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store | None]:
    if request.param == "no store":
        yield None
    elif request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        with SQLiteStore(tmp_path / "chats.db") as store:
            yield store
    else:
        server = request.getfixturevalue("postgres")
        from multiturn.stores.postgres import PostgresStore

        with PostgresStore(server.address, schema=f"t{uuid.uuid4().hex}") as store:
            yield store


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend("to a")


@pytest.fixture
def opened(store: Store | None, backend: ScriptedBackend) -> Opener:
    def opened(**options: Any) -> ChatSession:
        model = GenerativeModel(backend=backend, retry=AT_ONCE)
        place = {} if store is None else {"session": "ada", "store": store}
        return ChatSession(model, **place, **options)

    return opened


def again(chat: ChatSession, opened: Opener) -> ChatSession:
    """Return the conversation as another process finds it."""
    return pickle.loads(pickle.dumps(chat)) if chat._stored is None else opened()  # type: ignore[no-any-return]


async def end(way: Way, chat: ChatSession, backend: ScriptedBackend, name: str) -> str:
    scenario, line, error, outcome = ENDS[name]
    await way.send(chat, "a")
    backend.add(line)
    with pytest.raises(error) if error else nullcontext():
        await scenario(way, chat)
    await way.idle()
    return outcome


# -- the rule -----------------------------------------------------------------------------


@ends
async def test_what_had_arrived_is_kept_and_sent(
    way: Way, opened: Opener, backend: ScriptedBackend, name: str
) -> None:
    chat = opened(unfinished="keep")
    outcome = await end(way, chat, backend, name)
    assert ["a", "to a", "b", "half"] == said(chat)
    assert [("answered", False), (outcome, True)] == [(t.outcome, t.is_partial) for t in chat.turns]
    other = again(chat, opened)
    assert wire(chat) == wire(other)
    assert ["answered", outcome] == [turn.outcome for turn in other.turns]
    for journal in (chat.journal, other.journal):
        assert ["answered", outcome] == [entry.outcome for entry in journal]
        assert ["a", "b"] == [entry.content.text for entry in journal]
        assert journal[-1].turn is not None
        assert "half" == journal[-1].turn.contents[-1].text
    assert outcome == chat.fork().turns[-1].outcome
    assert chat.pending is None
    backend.add("to c")
    await way.send(chat, "c")
    sent = [content.text for content in backend.requests[-1].contents]
    assert ["a", "to a", "b", "half", "c"] == sent
    assert [False, True, False] == [turn.is_partial for turn in again(chat, opened).turns]


@ends
async def test_by_default_it_is_left_out(
    way: Way, opened: Opener, backend: ScriptedBackend, name: str
) -> None:
    chat = opened()
    outcome = await end(way, chat, backend, name)
    assert ["a", "to a"] == said(chat) == said(again(chat, opened))
    assert ["answered", outcome] == [entry.outcome for entry in chat.journal]
    assert "half" == chat.journal[-1].partial_text
    backend.add("to c")
    await way.send(chat, "c")
    assert ["a", "to a", "c"] == [content.text for content in backend.requests[-1].contents]


async def test_the_error_is_what_it_was(way: Way, opened: Opener, backend: ScriptedBackend) -> None:
    chat = opened(unfinished="keep")
    backend._lines.clear()
    backend.add(["half", BackendError("cut")])
    with pytest.raises(BackendError, match="cut") as raised:
        await way.send(chat, "a")
    assert "half" == raised.value.partial_text
    for journal in (chat.journal, again(chat, opened).journal):
        assert "cut" in str(journal[-1].error)


async def test_nothing_is_kept_where_nothing_was_said(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = opened(unfinished="keep")
    backend._lines.clear()
    call = {"functionCall": {"name": "f", "args": {}}}
    thought = {"text": "Hm.", "thought": True}
    for part in (call, thought, {"text": ""}):
        chunk = {"candidates": [{"content": {"parts": [part], "role": "model"}}]}
        backend.add([chunk, BackendError("cut")])
        with pytest.raises(BackendError):
            await way.send(chat, "a")
    backend.add(BackendError("cut"))
    with pytest.raises(BackendError):
        await way.send(chat, "a")
    assert [] == said(chat) == said(again(chat, opened))
    assert [None] * 4 == [entry.turn for entry in chat.journal]


async def test_a_partial_answer_is_rewound_redone_and_retried(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = opened(unfinished="keep")
    await end(way, chat, backend, "a broken line")
    assert ("b", "half") == tuple(content.text for content in chat.rewind())
    chat.redo()
    assert chat.turns[-1].is_partial
    backend.add(["ha", "lf"])
    kept = await way.send(chat, "c", stream=True)
    backend.add("whole")
    retried: Any = chat.retry() if way.name == "sync" else chat.retry_async()
    assert "whole" == (retried if way.name == "sync" else await retried).text
    assert kept.error is not None
    assert ["a", "to a", "b", "half", "c", "whole"] == said(chat) == said(again(chat, opened))
    assert ["to a", "half", "ha", "whole"] == [t.contents[-1].text for t in chat.tree]


# -- with functions -----------------------------------------------------------------------


def weather(city: str) -> str:
    """Weather now."""
    return f"rain in {city}"


def undecided(call: Any) -> None:
    """Let a person decide."""


def with_weather(opened: Opener, backend: ScriptedBackend, **options: Any) -> ChatSession:
    chat = opened(unfinished="keep", enable_automatic_function_calling=True, **options)
    chat.model = GenerativeModel(backend=backend, retry=AT_ONCE, tools=[weather])
    backend._lines.clear()
    return chat


CALLS = function_calls(("weather", {"city": "Oslo"}))


async def test_an_answer_after_calls_is_kept_with_them(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = with_weather(opened, backend)
    backend.add(CALLS, ["It ra", BackendError("cut")])
    with pytest.raises(BackendError):
        await way.send(chat, "a")
    assert ["user", "model", "user", "model"] == [content.role for content in chat.history]
    assert "It ra" == chat.history[-1].text
    assert chat.turns[-1].is_partial
    assert chat.pending is None


async def test_results_without_an_answer_wait_for_resume(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = with_weather(opened, backend)
    backend.add(CALLS, BackendError("cut"), "It rains.")
    with pytest.raises(BackendError):
        await way.send(chat, "a")
    assert [] == said(chat)
    pending = chat.pending
    assert pending is not None
    with pytest.raises(UsageError, match="no text of an answer"):
        pending.keep()
    answer: Any = chat.resume() if way.name == "sync" else chat.resume_async()
    assert "It rains." == (answer if way.name == "sync" else await answer).text
    assert not chat.turns[-1].is_partial
    with pytest.raises(UsageError, match="does not wait any more"):
        pending.drop()


async def test_calls_that_were_not_answered_are_left_out(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = with_weather(opened, backend)
    call = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
    parts = [{"text": "Let me look."}, call]
    chunk = {"candidates": [{"content": {"parts": parts, "role": "model"}}]}
    backend.add([chunk, BackendError("cut")])
    with pytest.raises(BackendError):
        await way.send(chat, "a")
    assert [{"parts": [{"text": "Let me look."}], "role": "model"}] == wire(chat)[1:]


async def test_a_turn_that_waits_is_kept_or_dropped_by_hand(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = with_weather(opened, backend, approve=undecided)
    call = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
    parts = [{"text": "May I?"}, call]
    content = {"parts": parts, "role": "model"}
    chunk = {"candidates": [{"content": content, "finishReason": "STOP"}]}
    backend.add([chunk], [chunk])
    for _ in range(2):
        with pytest.raises(ApprovalNeeded):
            await way.send(chat, "a")
        assert [] == said(chat)
        assert chat.pending is not None
        if len(backend.requests) == 1:
            chat.pending.drop()
            assert chat.pending is None
            assert [] == said(again(chat, opened))
    kept = chat.pending.keep()
    assert ("paused", ["a", "May I?"]) == (kept.outcome, said(chat))
    assert chat.pending is None
    assert ["a", "May I?"] == said(again(chat, opened))
    assert ["paused", "paused"] == [entry.outcome for entry in chat.journal]
    assert [None, kept.id] == [entry.turn and entry.turn.id for entry in chat.journal]


# -- the option ---------------------------------------------------------------------------


def test_the_option_is_one_of_two() -> None:
    with pytest.raises(InvalidContent, match=r"unfinished.*'drop' or 'keep'"):
        ChatSession(GenerativeModel(backend=ScriptedBackend()), unfinished="save")  # type: ignore[arg-type]
