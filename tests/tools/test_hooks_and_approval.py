"""Who else has a say before a function runs and after: hooks, policies, and a person."""

from __future__ import annotations

from typing import Any

import pytest

from multiturn import Refusal, requires_approval
from multiturn.calls import Call
from multiturn.errors import (
    ApprovalNeeded,
    ToolError,
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


async def test_a_hook_that_fails_keeps_the_call_from_being_made_or_told(way: Way) -> None:
    runs: list[int] = []

    def act() -> str:
        runs.append(1)
        return "secret"

    def fail(*_: Any) -> None:
        raise OSError("no disk")

    for options, count in (({"before_call": fail}, 0), ({"after_call": fail}, 1)):
        runs.clear()
        chat, _ = calling([act], CALL, "Done.", **options)
        await way.send(chat, "Act.")
        assert [{"error": {"type": "OSError", "message": "no disk"}}] == results(chat)
        assert count == len(runs)
        chat, _ = calling([act], CALL, on_tool_error="raise", **options)
        with pytest.raises(ToolError, match="no disk"):
            await way.send(chat, "Act.")


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
    with pytest.raises(ApprovalNeeded, match="delete"):
        await way.resolve(await way.send(chat, "Delete 2 and 3.", stream=stream))
    assert ([], [], "paused") == (runs, chat.history, chat.journal[-1].outcome)
    pending = chat.pending
    assert pending is not None
    with pytest.raises(UsageError, match="no decision on double, delete, delete"):
        pending.decisions  # noqa: B018
    pending.refuse(pending.calls[2], reason="keep it")
    pending.approve(pending.calls[0])
    pending.approve()  # what is left
    assert {0: True, 1: True, 2: "keep it"} == pending.decisions
    pending.refuse()  # nothing is
    assert {0: True, 1: True, 2: "keep it"} == pending.decisions
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
