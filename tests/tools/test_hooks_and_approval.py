"""Who else has a say before a function runs and after: hooks, policies, and a person."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, Refusal, SQLiteStore, requires_approval
from multiturn.calls import Call, Waiting, waiting_among, waiting_object
from multiturn.errors import (
    ApprovalNeeded,
    UsageError,
)
from multiturn.testing import function_calls
from tools.pairing import breaches
from tools.talking import CALL, calling, results
from ways import Way


def usage(total: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": total - 1, "totalTokenCount": total}}


def double(n: int) -> int:
    return 2 * n


async def resumed(chat: ChatSession, way: Way) -> Any:
    """Return the reply of a turn that goes on."""
    return chat.resume() if way.name == "sync" else await chat.resume_async()


def both(function: Any) -> list[Any]:
    """Return a hook as it is, and as async code."""

    async def later(*given: Any) -> Any:
        return function(*given)

    return [function, later]


@pytest.mark.parametrize("is_async", [False, True])
async def test_hooks_change_refuse_and_record(is_async: bool, way: Way) -> None:
    seen: list[Any] = []

    def before(call: Call) -> Any:
        if call.args["n"] == 3:
            return Refusal("not three")
        return {"n": call.args["n"] * 10} if call.args["n"] == 2 else None

    def after(call: Call, response: dict[str, Any]) -> Any:
        seen.append((call.args, response))
        return {"result": "secret"} if call.args["n"] == 1 else None

    line = function_calls(*(("double", {"n": n}) for n in (1, 2, 3, "x")), ("other", {"n": 0}))
    chat, _ = calling(
        [double], line, "Done.",
        before_call=both(before)[is_async], after_call=both(after)[is_async],
    )  # fmt: skip
    await way.send(chat, "Double.")
    told = results(chat)
    assert [{"result": "secret"}, {"result": 40}] == told[:2]
    kinds = ["Refused", "ArgumentMismatch", "UnknownFunction"]
    assert kinds == [response["error"]["type"] for response in told[2:]]
    assert [{"n": 1}, {"n": 20}, {"n": 3}, {"n": "x"}, {"n": 0}] == [args for args, _ in seen]
    assert [2, 40] == [response["result"] for _, response in seen[:2]]
    calls = [part.function_call.args for part in chat.history[1].parts]
    assert [1, 2, 3, "x", 0] == [args["n"] for args in calls]


@pytest.mark.parametrize("tool_mode", ["sequential", "concurrent"])
@pytest.mark.parametrize("name", ["before_call", "after_call"])
async def test_what_a_hook_raises_ends_the_turn_which_goes_on_without_running_twice(
    name: str, tool_mode: Any, way: Way
) -> None:
    runs: list[int] = []
    seen: list[Any] = []
    faults = [OSError("no disk")]

    def act(n: int) -> str:
        runs.append(n)
        return "secret"

    def hook(call: Call, *response: Any) -> Any:
        if call.args == {"n": 2} and faults:
            raise faults.pop()
        seen.append(call.args["n"])
        return {"n": call.args["n"]} if name == "before_call" else {"seen": response[0]["result"]}

    line = function_calls(("act", {"n": 1}), ("act", {"n": 2}))
    options: Any = {name: hook, "tool_mode": tool_mode, "max_concurrent_calls": 1}
    chat, backend = calling([act], line, "Done.", **options)
    with pytest.raises(OSError, match="no disk"):
        await way.send(chat, "Act.")

    assert ([], "failed") == (chat.history, chat.journal[-1].outcome)
    assert ([1] if name == "before_call" else [1, 2]) == runs
    assert "Done." == (await resumed(chat, way)).text
    assert ([1, 2], [1, 2]) == (runs, seen)
    told = {"result": "secret"} if name == "before_call" else {"seen": "secret"}
    assert [told, told] == results(chat)
    assert [] == breaches(backend.requests[-1])


async def test_what_a_function_raised_is_logged_and_seen_by_the_hook(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[Any] = []

    def act() -> None:
        raise OSError("no disk")

    chat, _ = calling([act], CALL, "Done.", after_call=lambda call, _: errors.append(call.error))
    await way.send(chat, "Act.")

    assert [{"error": {"type": "OSError", "message": "no disk"}}] == results(chat)
    assert ["OSError"] == [type(error).__name__ for error in errors]
    assert "act" == traceback.extract_tb(errors[0].__traceback__)[-1].name
    (record,) = caplog.records
    assert ("multiturn.tools", "WARNING") == (record.name, record.levelname)
    assert record.exc_info is not None
    assert errors[0] is record.exc_info[1]


def test_a_program_without_logging_sees_nothing_of_a_function_that_fails() -> None:
    program = (
        "import multiturn as genai; from multiturn.testing import *\n"
        "def act(): raise OSError('no disk')\n"
        "b = ScriptedBackend(function_calls(('act', {})), 'Done.')\n"
        "c = genai.GenerativeModel(backend=b, tools=[act])"
        ".start_chat(enable_automatic_function_calling=True)\n"
        "c.send_message('Act.')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert (b"", b"") == (ended.stdout, ended.stderr)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_policy_decides_what_may_run(is_async: bool, way: Way) -> None:
    def policy(call: Call) -> Any:
        return {1: True, 2: False, 3: "too many"}[call.args["n"]]

    line = function_calls(*(("double", {"n": n}) for n in (1, 2, 3)))
    chat, _ = calling([double], line, "Done.", approve=both(policy)[is_async])
    await way.send(chat, "Double.")
    assert [
        {"result": 2},
        {"error": {"type": "Refused", "message": "the user did not allow it"}},
        {"error": {"type": "Refused", "message": "too many"}},
    ] == results(chat)


@pytest.mark.parametrize("is_stored", [False, True])
async def test_what_a_policy_has_decided_stands_while_the_others_wait(
    is_stored: bool, way: Way, tmp_path: Path
) -> None:
    asked: list[int] = []

    def policy(call: Call) -> Any:
        asked.append(call.args["n"])
        return {1: True, 2: None, 3: "too many"}[call.args["n"]]

    place: Any = {"store": SQLiteStore(tmp_path / "chats.db"), "session": "s"} if is_stored else {}
    line = function_calls(*(("double", {"n": n}) for n in (1, 2, 3)))
    chat, _ = calling([double], line, "Done.", approve=policy, **place)
    with pytest.raises(ApprovalNeeded):
        await way.send(chat, "Double.")
    if is_stored:  # as in another process
        chat = chat.model.start_chat(
            enable_automatic_function_calling=True, approve=policy, **place
        )
    assert chat.pending is not None
    assert ([{"n": 2}], [{"n": 1}, {"n": 3}]) == (
        [call.args for call in chat.pending.calls],
        [call.args for call in chat.pending.others],
    )
    chat.pending.approve()
    assert {0: True, 1: True, 2: "too many"} == chat.pending.decisions
    assert "Done." == (await resumed(chat, way)).text
    assert [1, 2, 3] == asked
    assert [{"result": 2}, {"result": 4}] == results(chat)[:2]
    assert "too many" == results(chat)[2]["error"]["message"]


async def test_what_a_policy_raises_ends_the_turn(way: Way) -> None:
    def policy(call: Call) -> Any:
        raise PermissionError("nobody is there")

    chat, _ = calling([double], function_calls(("double", {"n": 1})), approve=policy)
    with pytest.raises(PermissionError):
        await way.send(chat, "Double.")
    assert [] == chat.history


@pytest.mark.parametrize("stream", [False, True])
async def test_a_turn_waits_for_a_person_and_goes_on(stream: bool, way: Way) -> None:
    runs: list[int] = []

    @requires_approval
    def delete(n: int) -> str:
        runs.append(n)
        return "gone"

    line = function_calls(("double", {"n": 1}), ("delete", {"n": 2}), ("delete", {"n": 3}))
    chat, backend = calling([delete, double], [line.chunks[0] | usage(5)], ["Do", usage(7), "ne."])
    with pytest.raises(ApprovalNeeded, match=r"to call delete, delete, which") as caught:
        await way.resolve(await way.send(chat, "Delete 2 and 3.", stream=stream))
    assert [1, 2] == [call.index for call in caught.value.calls]
    assert ([], [], "paused") == (runs, chat.history, chat.journal[-1].outcome)
    pending = chat.pending
    assert pending is not None
    with pytest.raises(UsageError, match="no decision on delete, delete;"):
        pending.decisions  # noqa: B018
    assert (["delete", "delete"], ["double"]) == (
        [call.name for call in pending.calls],
        [call.name for call in pending.others],
    )
    pending.refuse(pending.calls[1], reason="keep it")
    pending.approve()  # what is left
    assert {1: True, 2: "keep it"} == pending.decisions
    pending.refuse()  # nothing is
    assert {1: True, 2: "keep it"} == pending.decisions
    response = chat.resume(stream=stream) if way.name == "sync" else (
        await chat.resume_async(stream=stream)
    )  # fmt: skip
    await way.resolve(response)
    assert ("Done.", [2]) == (response.text, runs)
    assert [{"result": 2}, {"result": "gone"}] == results(chat)[:2]
    assert "keep it" == results(chat)[2]["error"]["message"]
    assert ([5, 7], 12) == (
        [one.total_token_count for one in response.usage_by_round],
        response.usage.total_token_count,
    )
    assert (None, 1) == (chat.pending, len(chat.turns))
    assert [] == breaches(backend.requests[-1])


def test_a_waiting_turn_is_resumed_once() -> None:
    runs: list[int] = []

    @requires_approval
    def act() -> None:
        runs.append(1)

    chat, _ = calling([act], CALL, "Done.")
    with pytest.raises(ApprovalNeeded):
        chat.send_message("Act.")
    assert chat.pending is not None
    chat.pending.approve()
    late = chat._resumed(chat.pending, False)
    chat.resume()
    with pytest.raises(UsageError, match="does not wait any more"):
        late.ask(chat)
    assert [1] == runs


@pytest.mark.parametrize("drop", ["send", "rewind", "history"])
def test_a_waiting_turn_is_dropped_when_the_conversation_goes_elsewhere(drop: str) -> None:
    chat, backend = calling([requires_approval(lambda: 1)], "Hello.", CALL)
    chat.send_message("Hi.")
    backend._lines[0] = function_calls(("lambda", {}))
    with pytest.raises(ApprovalNeeded):
        chat.send_message("Act.")
    backend.add("Fine.")
    match drop:
        case "send":
            chat.send_message("Never mind.")
        case "rewind":
            chat.rewind()
        case "history":
            chat.history = []
    assert chat.pending is None


def test_a_mark_that_cannot_be_set_says_so() -> None:
    with pytest.raises(UsageError, match="approve="):
        requires_approval([].append)


def test_what_waits_is_written_down_and_all_waits_where_it_was_not() -> None:
    calls = tuple(Call(index, "act", {}) for index in range(3))
    waiting = Waiting(calls[1:2], {0: True, 2: "not now"})

    assert waiting == waiting_among(calls, json.loads(json.dumps(waiting_object(waiting))))
    assert Waiting(calls, {}) == waiting_among(calls, None)
