"""A hook that fails or is interrupted: what functions gave, and what people decided, is kept."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, SQLiteStore, requires_approval
from multiturn.calls import NOTHING_WAITS, Call
from multiturn.errors import ApprovalNeeded, ToolError
from multiturn.pending import PendingTurn
from multiturn.stored_pending import pending_of
from multiturn.testing import function_calls
from tools.talking import CALL, calling, results
from ways import Way

THREE = function_calls(*(("act", {"n": n}) for n in (1, 2, 3)))
FAILED = {"error": {"type": "ValueError", "message": "late"}}


def part(response: dict[str, Any]) -> dict[str, Any]:
    return {"functionResponse": {"name": "act", "response": response}}


class Hook:
    """An ``after_call`` that fails at first, and remembers what it has seen."""

    def __init__(self, *faults: BaseException) -> None:
        self.faults, self.seen = [*faults], []  # type: ignore[var-annotated]

    def __call__(self, call: Call, response: dict[str, Any]) -> Any:
        self.seen.append(response)
        if self.faults:
            raise self.faults.pop()


def late() -> None:
    raise ValueError("late")


late.__name__ = "act"


RUNS: list[int] = []


@requires_approval
def act(n: int) -> str:
    RUNS.append(n)
    return "done"


def place(kind: str, folder: Path) -> dict[str, Any]:
    return {"store": SQLiteStore(folder / "s.db"), "session": "s"} if kind == "stored" else {}


def recorded(chat: ChatSession) -> PendingTurn:
    """Return the turn as its last record has it, as another process would read it."""
    stored = chat._stored
    assert stored is not None
    stored.worker.catch_up()
    return pending_of(stored, [*stored.store.attempts("s")][-1])


async def resumed(chat: ChatSession, way: Way) -> Any:
    return chat.resume() if way.name == "sync" else await chat.resume_async()


async def test_what_a_hook_raises_comes_from_the_failure_that_it_was_shown(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    hook = Hook(RuntimeError("hook"))
    chat, _ = calling([late], CALL, "Done.", after_call=hook)
    with pytest.raises(RuntimeError, match="hook") as caught:
        await way.send(chat, "Act.")

    assert isinstance(caught.value.__cause__, ValueError)
    assert ["the function 'act' failed, and the model is told so"] == caplog.messages
    assert chat.pending is not None
    assert {0: part(FAILED)} == chat.pending.results
    await resumed(chat, way)
    assert [FAILED] == results(chat)
    assert [FAILED] == hook.seen, "a failure is shown once, with its exception"


async def test_a_failing_hook_takes_nothing_from_who_wants_to_know_of_failures(way: Way) -> None:
    hook = Hook(RuntimeError("hook"))
    chat, _ = calling([late], CALL, "Done.", after_call=hook, on_tool_error="raise")
    with pytest.raises(ToolError) as caught:
        await way.send(chat, "Act.")

    assert part(FAILED) == caught.value.result
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value.__context__, RuntimeError)
    assert ["after_call failed too: RuntimeError: hook"] == caught.value.__notes__
    await resumed(chat, way)
    assert [FAILED] == results(chat)


@pytest.mark.parametrize("kind", ["memory", "pickled", "stored"])
async def test_decisions_outlive_a_hook_that_fails(kind: str, way: Way, tmp_path: Path) -> None:
    RUNS.clear()
    hook = Hook(RuntimeError("hook"))
    chat, _ = calling([act], THREE, "Done.", after_call=hook, **place(kind, tmp_path))
    with pytest.raises(ApprovalNeeded):
        await way.send(chat, "Act.")
    assert chat.pending is not None
    chat.pending.refuse(chat.pending.calls[1], reason="not two")
    chat.pending.approve()
    with pytest.raises(RuntimeError, match="hook"):
        await resumed(chat, way)

    decided = {0: True, 1: "not two", 2: True}
    if kind == "pickled":
        chat = pickle.loads(pickle.dumps(chat))
    if kind == "stored":
        assert decided == recorded(chat).verdicts
        assert {0} == recorded(chat).unseen
    assert chat.pending is not None
    assert ((), decided) == (chat.pending.calls, chat.pending.verdicts)
    assert {0: part({"result": "done"})} == chat.pending.results
    await resumed(chat, way)
    assert [1, 3] == RUNS
    assert "not two" == results(chat)[1]["error"]["message"]
    seen = [response.get("result") for response in chat.calling["after_call"].seen]  # type: ignore[union-attr]
    assert ["done", "done", None, "done"] == seen


@pytest.mark.parametrize("failing", [1, 3])
async def test_decisions_wait_on_in_the_store(failing: int, way: Way, tmp_path: Path) -> None:
    def before(call: Call) -> None:
        if call.args["n"] == failing:
            raise RuntimeError("hook")

    RUNS.clear()
    options = place("stored", tmp_path)
    chat, _ = calling([act], THREE, before_call=before, **options)
    with pytest.raises(ApprovalNeeded):
        await way.send(chat, "Act.")
    assert chat.pending is not None
    chat.pending.refuse(chat.pending.calls[1], reason="not two")
    chat.pending.approve()
    with pytest.raises(RuntimeError, match="hook"):
        await resumed(chat, way)
    assert [n for n in (1, 3) if n < failing] == RUNS

    model = calling([act], "Done.")[0].model  # as in another process
    there = model.start_chat(enable_automatic_function_calling=True, **options)
    assert there.pending is not None
    decided = {0: True, 1: "not two", 2: True}
    assert ((), decided) == (there.pending.calls, there.pending.verdicts)
    await resumed(there, way)
    assert [1, 3] == RUNS
    assert "not two" == results(there)[1]["error"]["message"]


async def test_what_was_decided_is_recorded_for_the_calls_that_it_was_decided_on(
    way: Way, tmp_path: Path
) -> None:
    records: list[PendingTurn] = []

    @requires_approval
    def act(n: int) -> str:
        records.append(recorded(chat))
        return "done"

    def free() -> str:
        records.append(recorded(chat))
        return "done"

    again = function_calls(("free", {}), ("free", {}))
    chat, _ = calling([act, free], THREE, again, "Done.", **place("stored", tmp_path))
    with pytest.raises(ApprovalNeeded):
        await way.send(chat, "Act.")
    assert chat.pending is not None
    chat.pending.approve()
    await resumed(chat, way)

    decided = dict.fromkeys(range(3), True)
    assert [decided] * 3 + [{}] * 2 == [record.verdicts for record in records]


@pytest.mark.parametrize("kind", ["memory", "stored"])
def test_what_a_function_gave_is_known_if_the_hook_is_interrupted(
    kind: str, tmp_path: Path
) -> None:
    hook = Hook(KeyboardInterrupt())
    chat, _ = calling(
        [requires_approval(lambda: "done")], function_calls(("lambda", {})), "Done.",
        approve=lambda call: True, after_call=hook, **place(kind, tmp_path),
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        chat.send_message("Act.")

    assert chat.pending is not None
    (known,) = chat.pending.results.values()
    assert {"functionResponse": {"name": "lambda", "response": {"result": "done"}}} == known
    if kind == "stored":
        assert ({0: known}, {0}) == (recorded(chat).results, recorded(chat).unseen)
    chat.resume()
    assert [{"result": "done"}] * 2 == hook.seen
    assert [{"result": "done"}] == results(chat)


def test_what_a_function_gave_is_known_if_the_hook_is_cancelled() -> None:
    seen: list[Any] = []

    async def hook(call: Call, response: dict[str, Any]) -> Any:
        seen.append(response)
        if len(seen) == 1:
            task.cancel()
            await asyncio.sleep(20)
        return {"seen": 2}

    def act() -> str:
        return "done"

    chat, _ = calling([act], CALL, "Done.", after_call=hook)

    async def main() -> None:
        nonlocal task
        task = asyncio.ensure_future(chat.send_message_async("Act."))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert chat.pending is not None
        assert {0: part({"result": "done"})} == chat.pending.results
        await chat.resume_async()

    task: asyncio.Future[Any]
    asyncio.run(main())
    assert [{"result": "done"}] * 2 == seen
    assert [{"seen": 2}] == results(chat)


async def test_a_failure_that_ends_the_turn_is_recorded_as_in_memory(
    way: Way, tmp_path: Path
) -> None:
    options: Any = {"on_tool_error": "raise", **place("stored", tmp_path)}
    chat, _ = calling([late], CALL, "Done.", **options)
    with pytest.raises(ToolError):
        await way.send(chat, "Act.")

    assert chat.pending is not None
    assert {0: part(FAILED)} == chat.pending.results == recorded(chat).results
    assert [{0: part(FAILED)}] == [entry.results for entry in chat.journal]


def test_nothing_can_be_written_to_what_waits_nowhere() -> None:
    with pytest.raises(TypeError):
        NOTHING_WAITS.verdicts[0] = True  # type: ignore[index]
