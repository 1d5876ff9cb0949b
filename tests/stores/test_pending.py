"""A turn whose process died, or that waits for approval, is there for the next one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from multiturn import ChatSession, GenerativeModel, UsageError, durable_turn, worker
from multiturn.history import empty_path
from multiturn.recorded_overrides import overrides_from, overrides_object, require_functions
from multiturn.request import Overrides, Request
from multiturn.stores.errors import StoreUnreachable
from multiturn.stores.memory import MemoryStore
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend, function_calls
from multiturn.tools.functions import requires_approval
from multiturn.worker import worker_of
from ways import Way, said, until

sys.path.insert(0, str(Path(__file__).parent))

from dies import TwoCalls, note
from traffic import Echo

DIES = Path(__file__).parent / "dies.py"


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


class Stalling(Echo):
    """Sends one chunk, and the others when something has happened."""

    def __init__(self, happened: Callable[[], bool], *parts: dict[str, Any]) -> None:
        self._happened, self._parts = happened, parts

    def stream(self, request: Any, cancel: Any) -> Iterator[dict[str, Any]]:
        parts = self._parts if len(request.contents) == 1 else ({"text": "done"},)
        yield {"candidates": [{"content": {"parts": [parts[0]], "role": "model"}}]}
        until(self._happened)
        rest = {"parts": [*parts[1:]], "role": "model"}
        yield {"candidates": [{"content": rest, "finishReason": "STOP"}]}


def died(how: str, tmp_path: Path, effects: Path) -> int:
    return subprocess.run(
        [sys.executable, str(DIES), how, str(tmp_path / "chats.db"), str(effects)],
        check=False,
        capture_output=True,
    ).returncode


def opened(tmp_path: Path, effects: Path) -> ChatSession:
    model = GenerativeModel(
        backend=TwoCalls(str(effects), dies=False), tools=[requires_approval(note)]
    )
    return model.start_chat(
        session="ada",
        store=SQLiteStore(tmp_path / "chats.db"),
        enable_automatic_function_calling=True,
        approve=lambda call: True,
    )


@pytest.mark.parametrize("how", ["tool", "async tool"])
def test_a_turn_that_died_is_resumed_without_running_a_function_twice(
    tmp_path: Path, effects: Path, how: str
) -> None:
    assert -signal.SIGKILL == died(how, tmp_path, effects)
    assert ["first", "second"] == effects.read_text().split()
    chat = opened(tmp_path, effects)
    assert [] == said(chat)
    pending = chat.pending
    assert pending is not None
    assert [(0, True), (1, False)] == [(i, bool(part)) for i, part in pending.results.items()]
    assert "go" == pending.contents[0].text
    assert ["interrupted"] == [entry.outcome for entry in chat.journal]
    assert pending.results == chat.journal[-1].results
    assert "done" == chat.resume().text
    # The second had begun and not returned: nobody knows what it did, so the model is told.
    assert ["first", "second"] == effects.read_text().split()
    assert 4 == len(chat.history)
    first, second = (part.function_response.response for part in chat.history[2].parts)
    assert ({"result": 5}, "OutcomeUnknown") == (dict(first), second["error"]["type"])
    assert chat.pending is None
    assert 4 == len(opened(tmp_path, effects).history)


@pytest.mark.parametrize("how", ["at once", "async at once"])
def test_functions_that_had_begun_at_once_are_not_run_again(
    tmp_path: Path, effects: Path, how: str
) -> None:
    assert -signal.SIGKILL == died(how, tmp_path, effects)
    assert ["first", "second"] == sorted(effects.read_text().split())
    chat = opened(tmp_path, effects)
    assert chat.pending is not None
    assert {0: None, 1: None} == chat.pending.results
    assert "done" == chat.resume().text
    assert ["first", "second"] == sorted(effects.read_text().split())


@pytest.mark.parametrize(("mode", "count", "most"), [("sequential", 3, 4), ("concurrent", 3, 6)])
async def test_a_note_is_written_before_each_function_and_after_the_last(
    way: Way, monkeypatch: pytest.MonkeyPatch, mode: Any, count: int, most: int
) -> None:
    told: list[dict[str, bool]] = []
    written = MemoryStore.note

    def note(store: MemoryStore, state: Any, record: Any) -> None:
        results = json.loads(record.body)["results"]
        told.append({index: bool(part) for index, part in results.items()})
        written(store, state, record)

    def run(n: int) -> int:
        assert any(str(n) in results for results in told)
        return n

    monkeypatch.setattr(MemoryStore, "note", note)
    calls = function_calls(*(("run", {"n": n}) for n in range(count)))
    model = GenerativeModel(backend=ScriptedBackend(calls, "done"), tools=[run])
    chat = model.start_chat(
        session="ada", store=MemoryStore(), enable_automatic_function_calling=True, tool_mode=mode
    )
    await way.send(chat, "go")
    assert [{"result": n} for n in range(count)] == [
        dict(part.function_response.response) for part in chat.history[2].parts
    ]
    assert chat.pending is None  # all notes are written
    assert len(told) <= most
    assert [True] * count == [*told[-1].values()]
    if mode == "sequential":
        expected = [[False], [True, False], [True, True, False], [True] * 3]
        assert expected == [[*results.values()] for results in told]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has arrived is recorded within milliseconds."""
    monkeypatch.setattr(durable_turn, "_NOTE_SECONDS", 0.01)
    monkeypatch.setattr(worker, "_LOOK_SECONDS", 0.001)


@pytest.mark.usefixtures("at_once")
async def test_what_had_arrived_is_recorded_though_nothing_more_comes(way: Way) -> None:
    store = MemoryStore()
    half, rest = {"text": "half"}, {"text": "."}
    backend = Stalling(lambda: b"half" in store.attempts("ada")[0].body, half, rest)
    chat = GenerativeModel(backend=backend).start_chat(session="ada", store=store)
    await way.send(chat, "go")
    assert ["go", "half."] == said(chat)


@pytest.mark.usefixtures("at_once")
async def test_what_had_arrived_is_not_written_over_the_note_that_a_function_begins(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    is_recording, is_begun, store = threading.Event(), threading.Event(), MemoryStore()
    written = store.note

    def note(state: Any, record: Any) -> None:
        has_begun = "results" in json.loads(record.body)
        if has_begun:
            is_begun.set()
        elif not told:
            is_recording.set()
            is_begun.wait(0.01)  # a disk that is slow just now
        written(state, record)
        told.append(has_begun)

    def double(n: int) -> int:
        return 2 * n

    monkeypatch.setattr(store, "note", note)
    call = {"functionCall": {"name": "double", "args": {"n": 1}}}
    model = GenerativeModel(backend=Stalling(is_recording.is_set, call), tools=[double])
    chat = model.start_chat(session="ada", store=store, enable_automatic_function_calling=True)
    await way.send(chat, "go")
    assert [False, True] == told[:2]


async def test_a_late_note_of_one_round_is_not_written_over_that_of_the_next(way: Way) -> None:
    store, go = MemoryStore(), threading.Event()
    noted: list[bool] = []

    def act(n: int) -> None:
        if n == 1:  # the store's thread has something else to do for a while
            worker_of(store, 0).submit(lambda: go.wait(0.01))
            return
        go.set()
        worker_of(store, 0).submit(lambda: None).result()
        (attempt,) = store.attempts("ada")
        members = json.loads(attempt.body)
        noted.append((len(members["contents"]), members["results"]) == (4, {"0": None}))

    calls = [function_calls(("act", {"n": n})) for n in (1, 2)]
    model = GenerativeModel(backend=ScriptedBackend(*calls, "done"), tools=[act])
    chat = model.start_chat(session="ada", store=store, enable_automatic_function_calling=True)
    await way.send(chat, "go")
    assert [True] == noted


async def test_a_function_does_not_run_if_its_begin_cannot_be_recorded(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(*_: Any) -> None:
        raise StoreUnreachable("the line is dead", store="memory")

    runs: list[int] = []
    monkeypatch.setattr(MemoryStore, "note", note)
    calls = function_calls(("append", {"n": 1}))

    def append(n: int) -> None:
        runs.append(n)

    model = GenerativeModel(backend=ScriptedBackend(calls, "done"), tools=[append])
    chat = model.start_chat(
        session="ada", store=MemoryStore(), enable_automatic_function_calling=True
    )
    with pytest.raises(StoreUnreachable):
        await way.send(chat, "go")
    assert [] == runs


def test_what_had_arrived_of_an_answer_is_there(tmp_path: Path, effects: Path) -> None:
    assert -signal.SIGKILL == died("stream", tmp_path, effects)
    chat = opened(tmp_path, effects)
    entry = chat.journal[-1]
    assert ("stream", "interrupted") == (entry.content.text, entry.outcome)
    assert entry.partial_text.startswith("half")
    assert [] == said(chat)


class Asked(TwoCalls):
    """Remembers what it was asked."""

    requests: ClassVar[list[Request]] = []

    def stream(self, request: Any, cancel: Any) -> Any:
        self.requests.append(request)
        return super().stream(request, cancel)


def test_what_a_message_said_instead_of_its_model_holds_when_it_goes_on(
    tmp_path: Path, effects: Path
) -> None:
    assert -signal.SIGKILL == died("overrides", tmp_path, effects)
    chat = opened(tmp_path, effects)
    chat.model = GenerativeModel(backend=Asked(str(effects), dies=False))
    with pytest.raises(UsageError, match=r"give the model that goes on with it note, as"):
        chat.resume()
    chat.model = GenerativeModel(
        backend=Asked(str(effects), dies=False), tools=[note], generation_config={"top_p": 0.5}
    )
    assert "done" == chat.resume().text
    (request,) = Asked.requests
    assert {"topP": 0.5, "temperature": 0.25, "stopSequences": ["!"]} == request.generation_config
    assert [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}] == [
        *request.safety_settings
    ]
    assert {"functionCallingConfig": {"mode": "AUTO"}} == request.tool_config
    assert 77 >= (request.timeout_seconds or 0) > 60
    assert ["first", "second"] == effects.read_text().split()
    assert b"secret" not in (tmp_path / "chats.db").read_bytes()


def test_declared_functions_of_a_message_are_recorded_whole() -> None:
    tools = [{"function_declarations": [{"name": "f", "description": "F."}]}]
    given = Overrides(tools=tools, tool_config="any")
    told = json.loads(json.dumps(overrides_object(given)))
    model = GenerativeModel(backend=ScriptedBackend())
    expected = model.request(empty_path(), given)
    assert expected.tools
    assert expected == model.request(expected.contents, overrides_from(told))
    require_functions(told, None)


def test_another_message_drops_a_turn_that_died(tmp_path: Path, effects: Path) -> None:
    died("stream", tmp_path, effects)
    chat = opened(tmp_path, effects)
    chat.send_message("hello")
    assert chat.pending is None
    assert ["hello", "done"] == said(chat)
    assert ["interrupted", "answered"] == [entry.outcome for entry in chat.journal]
    with pytest.raises(UsageError, match="nothing to resume: no turn waits"):
        chat.resume()


def test_a_turn_that_waits_for_approval_waits_in_the_store(tmp_path: Path, effects: Path) -> None:
    assert 1 == died("approval", tmp_path, effects)
    chat = opened(tmp_path, effects)
    pending = chat.pending
    assert pending is not None
    assert ["note", "note"] == [call.name for call in pending.calls]
    pending.approve(pending.calls[0])
    pending.refuse(pending.calls[1], reason="no")
    assert chat.pending is pending
    assert "done" == chat.resume().text
    assert ["first"] == effects.read_text().split()
    assert chat.pending is None


@pytest.mark.parametrize(
    "tools", [None, [], [note]], ids=["no tools", "none of them", "no calling"]
)
async def test_a_session_that_runs_no_functions_leaves_a_turn_that_waits_for_them(
    way: Way, tmp_path: Path, effects: Path, tools: Any
) -> None:
    assert -signal.SIGKILL == died("calls", tmp_path, effects)
    model = GenerativeModel(backend=TwoCalls(str(effects), dies=False), tools=tools)
    store = SQLiteStore(tmp_path / "chats.db")
    chat = model.start_chat(
        session="ada", store=store, enable_automatic_function_calling=tools == []
    )
    with pytest.raises(UsageError, match=r"waits for note\(\), note\(\).*start_chat"):
        chat.resume() if way.name == "sync" else await chat.resume_async()
    assert chat.pending is not None
    able = GenerativeModel(backend=TwoCalls(str(effects), dies=False), tools=[note])
    again = able.start_chat(session="ada", store=store, enable_automatic_function_calling=True)
    again.resume()
    assert (4, None) == (len(again.history), again.pending)
    store.close()
