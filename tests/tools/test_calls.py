"""How functions are called, in both ways of use, and what the model is told of it."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from typing import Annotated, Any

import pytest

import multiturn as genai
from multiturn import ChatSession, Injected, Refusal, requires_approval
from multiturn.calls import Call
from multiturn.errors import (
    ApprovalNeeded,
    BackendError,
    InvalidContent,
    StopCandidateException,
    ToolError,
    TooManyRounds,
    TurnCancelled,
    UsageError,
)
from multiturn.messages.content import Blob
from multiturn.testing import function_calls
from tools.pairing import breaches
from tools.talking import CALL, calling, results
from ways import Way, in_thread, until

MALFORMED = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}
PNG = b"\x89PNG\r\n\x1a\n"


def usage(total: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": total - 1, "totalTokenCount": total}}


# -- what arrives, and what is told ---------------------------------------------------------


class Color(Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


async def test_arguments_arrive_with_their_declared_types(way: Way) -> None:
    got: list[Any] = []

    def act(color: Color, point: Point, n: int = 3) -> None:
        got.append((color, point, n))

    call = function_calls(("act", {"color": "RED", "point": {"x": 2.0}, "n": 4.0}))
    chat, _ = calling([act], call, "Done.")
    await way.send(chat, "Act.")
    assert [(Color.RED, Point(2, 0.0), 4)] == got
    assert [{"result": None}] == results(chat)


def numbers() -> Iterator[int]:
    yield from (1, 2)


async def numbers_async() -> AsyncIterator[int]:
    yield 1
    yield 2


async def later() -> str:
    await asyncio.sleep(0)
    return "late"


def gives_async() -> Any:
    return later()


class Object:
    async def __call__(self, n: int = 1) -> int:
        return n


RESULTS: list[tuple[Any, Any]] = [
    (lambda: {"a": 1}, {"a": 1}),
    (lambda: None, {"result": None}),
    (lambda: Point(1), {"x": 1, "y": 0.0}),
    (lambda: b"\x00\x01", {"result": "AAE="}),
    (lambda: {1, 2}, {"result": [1, 2]}),
    (numbers, {"result": [1, 2]}),
    (numbers_async, {"result": [1, 2]}),
    (later, {"result": "late"}),
    (gives_async, {"result": "late"}),
    (Object(), {"result": 1}),
    (functools.partial(Object().__call__, 5), {"result": 5}),
]


@pytest.mark.parametrize(("function", "expected"), RESULTS, ids=range(len(RESULTS)))
@pytest.mark.parametrize("limit", [None, 5.0])
def test_any_kind_of_function_and_result(
    function: Any, expected: Any, limit: float | None, way: Way
) -> None:
    declared = genai.types.CallableFunctionDeclaration(
        name="act", description="Acts.", function=function
    )
    chat, _ = calling([declared], CALL, "Done.", tool_timeout_seconds=limit)
    way.run(way.send(chat, "Act."))
    assert [expected] == results(chat)


@pytest.mark.parametrize(
    ("value", "response", "n_media"),
    [
        (Blob(mime_type="image/png", data=PNG), {"result": {"$ref": "media_1"}}, 1),
        (
            ["Look:", Blob(mime_type="image/png", data=PNG, display_name="plot.png")],
            {"result": ["Look:", {"$ref": "plot.png"}]},
            1,
        ),
        (
            {"a": Blob(mime_type="image/png", data=PNG), "n": 2},
            {"a": {"$ref": "media_1"}, "n": 2},
            1,
        ),
    ],
    ids=["alone", "in a list", "in a dict"],
)
async def test_pictures_go_beside_the_response(
    value: Any, response: Any, n_media: int, way: Way
) -> None:
    def act() -> Any:
        return value

    chat, _ = calling([act], CALL, "Nice.")
    await way.send(chat, "Draw.")
    (part,) = chat.history[2].json_object["parts"]
    assert response == part["functionResponse"]["response"]
    media = part["functionResponse"]["parts"]
    assert [PNG] * n_media == [Blob.view(one["inlineData"]).data for one in media]


async def test_context_variables_reach_the_function(way: Way) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")

    def act() -> str:
        return user.get()

    async def act_async() -> str:
        return user.get()

    user.set("ada")
    call = function_calls(("act", {}), ("act_async", {}))
    for options in ({}, {"tool_mode": "concurrent"}, {"tool_timeout_seconds": 5}):
        chat, _ = calling([act, act_async], call, "Hello.", **options)
        await way.send(chat, "Who?")
        assert [{"result": "ada"}] * 2 == results(chat)


async def test_what_the_program_gives_is_not_shown_to_the_model(way: Way) -> None:
    got: list[Any] = []

    def act(
        n: int, call: Call, chat: ChatSession, user: Annotated[str, Injected], log: str = ""
    ) -> None:
        got.append((n, call, chat, user))

    lines = [function_calls(("act", args)) for args in ({"n": 1}, {"n": 1, "user": "mallory"})]
    chat, backend = calling([act], *lines, "Done.", injected={"user": "ada"})
    await way.send(chat, "Act.")
    (declared,) = backend.requests[0].tools[0]["functionDeclarations"]
    assert ["n", "log"] == list(declared["parameters"]["properties"])
    assert [(1, Call(0, "act", {"n": 1}), chat, "ada")] == got
    assert "ArgumentMismatch" == results(chat)[1]["error"]["type"]


async def test_a_parameter_that_nobody_gives_is_refused_before_anything_is_sent(way: Way) -> None:
    def act(user: Annotated[str, Injected]) -> None: ...

    chat, backend = calling([act], CALL)
    with pytest.raises(UsageError, match="'act' needs user"):
        await way.send(chat, "Act.")
    assert [] == backend.requests


@pytest.mark.parametrize(
    "options",
    [{"tool_mode": "fast"}, {"max_rounds": 0}, {"tool_mod": "x"}, {"approve": True},
     {"injected": ["x"]}, {"tool_timeout_seconds": 0}],
    ids=str,
)  # fmt: skip
def test_a_wrong_option_is_refused_when_the_chat_begins(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidContent, match=rf"\$\.{next(iter(options))} is"):
        calling([], **options)


# -- hooks and approval -----------------------------------------------------------------------


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
    late = chat._resumed(False)
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


# -- rounds -----------------------------------------------------------------------------------


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


# -- several at once --------------------------------------------------------------------------


class Meeting:
    """Counts who is there; ``together`` is set when as many are as are waited for."""

    def __init__(self, size: int) -> None:
        self.size, self.here, self.most = size, 0, 0
        self.lock, self.together = threading.Lock(), threading.Event()

    def __enter__(self) -> None:
        with self.lock:
            self.here += 1
            self.most = max(self.most, self.here)
            if self.here == self.size:
                self.together.set()

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.here -= 1

    def come(self, n: int) -> int:
        with self:
            self.together.wait(60)
        return n

    async def come_async(self, n: int) -> int:
        with self:
            while not self.together.is_set():
                await asyncio.sleep(0.001)
        return n


@pytest.mark.parametrize("name", ["come", "come_async"])
async def test_calls_of_one_reply_overlap_and_are_answered_in_their_order(
    name: str, way: Way
) -> None:
    meeting = Meeting(10)
    line = function_calls(*((name, {"n": n}) for n in range(10)))
    chat, backend = calling(
        [getattr(meeting, name)], line, "Done.", tool_mode="concurrent", max_concurrent_calls=10
    )
    await way.send(chat, "Come.")
    assert 10 == meeting.most
    assert [{"result": n} for n in range(10)] == results(chat)
    assert [] == breaches(backend.requests[-1])


@pytest.mark.parametrize("name", ["come", "come_async"])
async def test_no_more_run_at_once_than_may(name: str, way: Way) -> None:
    for options, most in (({"tool_mode": "concurrent", "max_concurrent_calls": 3}, 3), ({}, 1)):
        meeting = Meeting(most)
        line = function_calls(*((name, {"n": n}) for n in range(9)))
        chat, _ = calling([getattr(meeting, name)], line, "Done.", **options)
        await way.send(chat, "Come.")
        assert most == meeting.most


async def test_when_one_call_ends_the_turn_no_others_begin(way: Way) -> None:
    runs: list[int] = []

    def act(n: int) -> None:
        runs.append(n)
        raise ValueError(n)

    line = function_calls(*(("act", {"n": n}) for n in range(50)))
    chat, _ = calling(
        [act], line, tool_mode="concurrent", max_concurrent_calls=1, on_tool_error="raise"
    )
    with pytest.raises(ToolError):
        await way.send(chat, "Act.")
    await way.idle()
    threading.Event().wait(0.005)
    assert len(runs) <= 3


async def test_async_code_is_cancelled_at_its_limit_and_cleans_up(way: Way) -> None:
    ended: list[str] = []

    async def act() -> None:
        try:
            await asyncio.sleep(20)
        finally:
            ended.append("cleaned up")

    chat, _ = calling([act], CALL, "Done.", tool_timeout_seconds=0.01)
    await way.send(chat, "Act.")
    until(lambda: ended == ["cleaned up"])
    assert "TookTooLong" == results(chat)[0]["error"]["type"]


@pytest.mark.parametrize("limit", [None, 20.0])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_turn_is_cancelled_while_functions_run(mode: str, limit: float | None, way: Way) -> None:
    running = threading.Event()

    async def act() -> None:
        running.set()
        await asyncio.sleep(20)

    line = function_calls(("act", {}), ("act", {}))
    chat, _ = calling(
        [act], line, tool_mode=mode, on_tool_error="raise", tool_timeout_seconds=limit
    )

    def cancel() -> None:
        assert running.wait(60)
        chat._gate.holder.cancel.set("enough")  # type: ignore[union-attr]

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(TurnCancelled, match=r"enough|cancelled"):
        way.run(way.send(chat, "Act."))
    canceller.join()
    assert ([], "cancelled") == (chat.history, chat.journal[-1].outcome)


# -- sessions within sessions -----------------------------------------------------------------


async def test_a_function_asks_on_the_side_in_a_fork(way: Way) -> None:
    def act(chat: ChatSession) -> str:
        side = chat.fork()
        side.model = genai.GenerativeModel(backend=genai.testing.ScriptedBackend("A wise answer."))
        return side.send_message("What do you think?").text

    chat, _ = calling([act], "Hello.", CALL, "I think so.")
    await way.send(chat, "Hi.")
    await way.send(chat, "Ask.")
    assert [{"result": "A wise answer."}] == results(chat)


def test_async_functions_share_one_loop_and_may_use_blocking_chats() -> None:
    loops: list[Any] = []

    async def act() -> str:
        loops.append(asyncio.get_running_loop())
        return "ok"

    async def nested() -> str:
        chat, _ = calling([act], CALL, "Inner.")
        return chat.send_message("Act.").text

    chat, _ = calling([act, nested], CALL, CALL, function_calls(("nested", {})), "Done.")
    chat.send_message("Act.")
    assert loops[0] is loops[1]
    assert {"result": "Inner."} == results(chat)[2]
    in_thread(lambda: None)


def test_a_loop_that_a_function_blocks_is_left_to_it() -> None:
    release = threading.Event()

    async def block() -> None:
        release.wait(20)

    async def act() -> str:
        return "ok"

    chat, _ = calling(
        [block, act], function_calls(("block", {}), ("act", {})), "Done.",
        tool_timeout_seconds=0.05,
    )  # fmt: skip
    chat.send_message("Act.")
    release.set()
    assert ["error", "result"] == [next(iter(response)) for response in results(chat)]
