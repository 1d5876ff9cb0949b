"""Of every turn it is known who was asked how, who answered, how fast and at what cost."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel, load_chat, open_turn
from multiturn.errors import ApprovalNeeded, BackendError, ConnectionFailed, ToolError
from multiturn.fallback import FallbackBackend
from multiturn.messages.candidate import FinishReason
from multiturn.stores.memory import MemoryStore
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend, ScriptedReply, function_calls
from ways import AT_ONCE, Way, text_chunk

Opener = Callable[..., ChatSession]
BUSY = BackendError("busy", retryable=True)
WHOLE = {
    **text_chunk("Hello.", "STOP"),
    "modelVersion": "m-001",
    "responseId": "r1",
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
}


@pytest.fixture(params=["no store", "memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    store = {"no store": lambda: None, "memory": MemoryStore}.get(
        request.param, lambda: SQLiteStore(tmp_path / "chats.db")
    )()

    def opened(backend: Any, name: str = "ada", **options: Any) -> ChatSession:
        model = GenerativeModel("m", backend=backend, retry=AT_ONCE, **options)
        place = {} if store is None else {"session": name, "store": store}
        return model.start_chat(enable_automatic_function_calling=True, **place)

    yield opened
    if store is not None:
        store.close()


def again(chat: ChatSession, opened: Opener) -> ChatSession:
    """Return the conversation as another process finds it."""
    if chat._stored is None:
        return pickle.loads(pickle.dumps(chat))  # type: ignore[no-any-return]
    return opened(ScriptedBackend())


async def test_a_turn_says_where_its_answer_comes_from(way: Way, opened: Opener) -> None:
    chat = opened(ScriptedBackend(BUSY, BUSY, [WHOLE]), generation_config={"temperature": 0.5})
    await way.send(chat, "a", generation_config={"top_p": 0.5})
    for known in (chat, again(chat, opened), chat.fork()):
        about = known.turns[0].about
        assert about is not None
        assert ("answered", 1) == (about.outcome, len(about.rounds))
        assert ("m", "m-001", "r1") == (about.model, about.model_version, about.request_id)
        assert {"temperature": 0.5, "topP": 0.5} == about.parameters
        assert (3, (), FinishReason.STOP) == (about.attempts, about.tools, about.finish_reason)
        assert (3, 2) == (about.usage.prompt_token_count, about.usage.candidates_token_count)
        assert 0 < (about.first_chunk_seconds or 0) <= about.seconds < 60
        assert about.at > 1_700_000_000
    assert chat.turns[0].about == chat.journal[-1].about


async def test_it_is_in_what_is_written_for_another_day(way: Way, opened: Opener) -> None:
    failing = ["One, ", ConnectionFailed("dead", retryable=False)]
    chat = opened(ScriptedBackend([WHOLE], failing))
    await way.send(chat, "a")
    with pytest.raises(ConnectionFailed):
        await way.send(chat, "b")
    text = chat.to_json()
    again = load_chat(text, chat.model)
    assert chat.turns[0].about == again.turns[0].about
    assert load_chat(again.to_json(), chat.model).turns[0].about == again.turns[0].about
    assert [e.about for e in chat.journal[-1:]] == [e.about for e in again.journal[-1:]]
    with MemoryStore() as store:
        stored = load_chat(text, chat.model, session="ada", store=store)
        assert chat.journal[-1].about == stored.journal[-1].about
        assert stored.journal[-1].about is not None


async def test_a_turns_time_is_that_of_the_clock_when_it_ended(
    way: Way, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = opened(ScriptedBackend([WHOLE]))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 2e9)  # set anew, or after the machine slept
        patch.setattr(open_turn, "time", time.time)
        await way.send(chat, "a")
    about = chat.turns[0].about
    assert about is not None
    assert 2e9 == about.at


def weather(city: str) -> str:
    """Weather now."""
    return f"rain in {city}"


async def test_each_round_of_a_turn_is_told(way: Way, opened: Opener) -> None:
    calls = function_calls(("weather", {"city": "Oslo"}))
    chat = opened(ScriptedBackend(calls, BUSY, [WHOLE]), tools=[weather])
    await way.resolve(await way.send(chat, "a", stream=True))
    for known in (chat, again(chat, opened)):
        about = known.turns[0].about
        assert about is not None
        assert [1, 2] == [each.attempts for each in about.rounds]
        assert [("weather",)] * 2 == [each.tools for each in about.rounds]
        assert ["", "m-001"] == [each.model_version for each in about.rounds]
        assert ([True] * 2, 3) == ([each.stream for each in about.rounds], about.attempts)
        assert 5 == about.usage.total_token_count


async def test_a_turn_that_failed_says_who_was_asked(way: Way, opened: Opener) -> None:
    chat = opened(ScriptedBackend(BUSY, ScriptedReply(("ha", BackendError("cut")), None)))
    with pytest.raises(BackendError):
        await way.send(chat, "a")
    for known in (chat, again(chat, opened)):
        about = known.journal[-1].about
        assert about is not None
        assert ("failed", "m", 2) == (about.outcome, about.model, about.attempts)
        assert FinishReason.FINISH_REASON_UNSPECIFIED == about.finish_reason


async def test_of_several_models_it_is_known_which_answered(way: Way, opened: Opener) -> None:
    down = ScriptedBackend(BackendError("down", retryable=True))
    chat = opened(FallbackBackend([(down, "first"), (ScriptedBackend("Hi."), "second")]))
    await way.send(chat, "a")
    about = chat.turns[0].about
    assert about is not None
    assert "second" == about.model_version


async def test_a_turn_that_goes_on_has_its_earlier_rounds(way: Way, opened: Opener) -> None:
    calls = function_calls(("weather", {"city": "Oslo"}))
    chat = opened(ScriptedBackend(calls, BackendError("cut"), "Rain."), tools=[weather])
    with pytest.raises(BackendError):
        await way.send(chat, "a")
    resumed: Any = chat.resume() if way.name == "sync" else chat.resume_async()
    assert "Rain." == (resumed if way.name == "sync" else await resumed).text
    about = chat.turns[0].about
    assert about is not None
    assert ["STOP", "FINISH_REASON_UNSPECIFIED", "STOP"] == [
        each.finish_reason.name for each in about.rounds
    ]


async def test_a_turn_that_fails_as_it_goes_on_has_one_time(way: Way, opened: Opener) -> None:
    def weather(city: str) -> str:
        """Weather now."""
        raise OSError("no")

    calls = function_calls(("weather", {"city": "Oslo"}))
    chat = opened(ScriptedBackend(calls, "Rain."), tools=[weather])
    chat.calling = {"approve": lambda call: None, "on_tool_error": "raise"}
    with pytest.raises(ApprovalNeeded):
        await way.send(chat, "a")
    pending = chat.pending
    assert pending is not None
    pending.approve()
    with pytest.raises(ToolError):
        chat.resume() if way.name == "sync" else await chat.resume_async()
    entry = chat.journal[-1]
    assert "failed" == entry.outcome
    assert entry.about is not None
    assert entry.about == entry.about
    assert ["STOP"] == [each.finish_reason.name for each in entry.about.rounds]


def test_nobody_was_asked_for_what_was_given() -> None:
    given = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
    chat = GenerativeModel(backend=ScriptedBackend()).start_chat(history=given)
    assert chat.turns[0].about is None


def test_what_was_replaced_by_hand_says_nothing(opened: Opener) -> None:
    chat = opened(ScriptedBackend())
    chat.history = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
    assert chat.turns[0].about is None


async def test_an_answer_that_failed_gives_no_reason_of_its_end(way: Way, opened: Opener) -> None:
    chat = opened(ScriptedBackend(["One, ", ConnectionFailed("dead", retryable=False)]))
    with pytest.raises(ConnectionFailed):
        await way.send(chat, "a")
    (entry,) = chat.journal
    assert ("failed", "One, ") == (entry.outcome, entry.partial_text)
    assert entry.about is not None
    assert FinishReason.FINISH_REASON_UNSPECIFIED == entry.about.rounds[0].finish_reason
