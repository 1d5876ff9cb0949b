"""How often the model is asked within a turn, and how a turn that broke off goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from multiturn import ChatSession
from multiturn.errors import (
    BackendError,
    StopCandidateException,
    ToolError,
    TooManyRounds,
)
from multiturn.testing import function_calls
from tools.pairing import breaches
from tools.talking import CALL, calling, results
from ways import Way

MALFORMED = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}


def usage(total: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": total - 1, "totalTokenCount": total}}


def double(n: int) -> int:
    return 2 * n


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_is_forced_in_the_first_round_only(stream: bool, way: Way) -> None:
    chat, backend = calling(
        [double], MALFORMED, function_calls(("double", {"n": 1})), "Two.",
        model={"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names":
                                                           ["double"]}}},
    )  # fmt: skip
    await way.resolve(await way.send(chat, "1 + 1?", stream=stream))
    modes = [request.tool_config["functionCallingConfig"] for request in backend.requests]
    forced = {"mode": "ANY", "allowedFunctionNames": ["double"]}
    assert [forced, forced, {"mode": "AUTO"}] == modes


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL",
                                    "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"])  # fmt: skip
async def test_a_malformed_call_is_asked_for_anew_and_leaves_no_trace(
    reason: str, way: Way
) -> None:
    bad = {"candidates": [{"content": {"parts": [{"text": "Hm"}]}, "finishReason": reason}]}
    chat, backend = calling([double], bad, bad, "Two.")
    await way.send(chat, "1 + 1?")
    assert ["1 + 1?", "Two."] == [content.text for content in chat.history]
    assert [1, 1, 1] == [len(request.contents) for request in backend.requests]
    chat, backend = calling([double], bad, bad, bad)
    with pytest.raises(StopCandidateException):
        await way.send(chat, "1 + 1?")
    assert 3 == len(backend.requests)
    chat, backend = calling([double], bad)  # what was shown is not shown again
    with pytest.raises(StopCandidateException):
        await way.resolve(await way.send(chat, "1 + 1?", stream=True))


@pytest.mark.parametrize("stream", [False, True])
async def test_beyond_the_limit_of_rounds_comes_an_error_or_an_answer(
    stream: bool, way: Way
) -> None:
    line = function_calls(("double", {"n": 1}))
    chat, backend = calling([double], line, line, max_rounds=2)
    with pytest.raises(TooManyRounds, match="asked 2 times") as error:
        await way.resolve(await way.send(chat, "1 + 1?", stream=stream))
    assert (2, "double") == (error.value.rounds, error.value.calls[0].name)
    chat, backend = calling([double], line, line, "Two.", max_rounds=2, on_round_limit="answer")
    response = await way.send(chat, "1 + 1?", stream=stream)
    await way.resolve(response)
    assert "Two." == response.text
    modes = [
        (request.tool_config or {}).get("functionCallingConfig") for request in backend.requests
    ]
    assert [None, {"mode": "AUTO"}, {"mode": "NONE"}] in (
        modes,
        [modes[0], {"mode": "AUTO"}, modes[2]],
    )
    assert 6 == len(chat.history)


async def test_calls_of_what_is_only_declared_are_the_callers(way: Way) -> None:
    declared = {"name": "open_door", "description": "Opens the door.", "parameters": None}
    line = function_calls(("double", {"n": 1}), ("open_door", {}))
    chat, backend = calling([double, declared], line, "Open.")
    response = await way.send(chat, "Open the door.")
    assert ["double", "open_door"] == [part.function_call.name for part in response.parts]
    answers = [
        {"function_response": {"name": name, "response": {"result": 1}}}
        for name in ("double", "open_door")
    ]
    await way.send(chat, answers)
    assert 4 == len(chat.history)
    assert [] == breaches(backend.requests[-1])


@pytest.mark.parametrize("stream", [False, True])
async def test_tokens_are_counted_by_round_and_together(stream: bool, way: Way) -> None:
    line = function_calls(("double", {"n": 1})).chunks[0]
    chat, _ = calling([double], [line | usage(5)], MALFORMED | usage(3), ["Two.", usage(7)])
    response = await way.send(chat, "1 + 1?", stream=stream)
    await way.resolve(response)
    assert [5, 3, 7] == [one.total_token_count for one in response.usage_by_round]
    assert (15, 12) == (response.usage.total_token_count, response.usage.prompt_token_count)
    assert 7 == response.usage_metadata.total_token_count


async def test_the_time_limit_of_a_call_does_not_count_the_functions(way: Way) -> None:
    def act() -> None:
        threading.Event().wait(0.03)

    chat, backend = calling([act], CALL, "Done.")
    await way.send(chat, "Act.", request_options={"timeout": 0.025})
    first, second = [request.timeout_seconds for request in backend.requests]
    assert 0.025 == first
    assert second is not None
    assert 0.01 < second <= 0.025


async def test_a_turn_that_broke_off_goes_on_without_running_anything_again(way: Way) -> None:
    runs: list[int] = []

    def act(n: int) -> int:
        runs.append(n)
        if n == 2:
            raise ValueError("two")
        return n

    line = function_calls(*(("act", {"n": n}) for n in (1, 2, 3)))
    chat, backend = calling(
        [act], line, BackendError("gone"), ["So ", BackendError("cut")], "Done.",
        on_tool_error="raise",
    )  # fmt: skip
    with pytest.raises(ToolError):
        await way.send(chat, "Act.")
    assert [1, 2] == runs
    for error in (BackendError, BackendError, None):
        if error is None:
            await resume(way, chat)
        else:
            with pytest.raises(error):
                await resume(way, chat)
    assert [1, 2, 3] == runs
    assert [{"result": 1}, {"error": {"type": "ValueError", "message": "two"}}, {"result": 3}] == (
        results(chat)
    )
    assert (1, None) == (len(chat.turns), chat.pending)
    assert ["failed"] * 3 + ["answered"] == [entry.outcome for entry in chat.journal]
    assert [] == breaches(backend.requests[-1])


async def resume(way: Way, chat: ChatSession) -> Any:
    return chat.resume() if way.name == "sync" else await chat.resume_async()


async def test_what_was_interrupted_is_not_run_again_but_told(way: Way) -> None:
    runs: list[int] = []

    def act() -> None:
        runs.append(1)
        raise asyncio.CancelledError

    chat, _ = calling([act], CALL, "Hm.")
    with pytest.raises(asyncio.CancelledError):
        await way.send(chat, "Act.")
    assert {0: None} == chat.journal[-1].results
    await resume(way, chat)
    assert ([1], "OutcomeUnknown") == (runs, results(chat)[0]["error"]["type"])
