"""In async code, functions that are not async run in a thread, those in a row in the same one."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

from multiturn.calls import Call
from multiturn.cancel import Cancel
from multiturn.errors import ToolError, TurnCancelled
from multiturn.messages.message import Object
from multiturn.testing import function_calls
from multiturn.tools import hop as hop_module
from multiturn.tools.calling import CallingOptions
from multiturn.tools.hop import Hop
from multiturn.tools.run_calls_async import run_calls_async
from multiturn.tools.toolbox import toolbox_for
from multiturn.turn import RunCalls
from tools.talking import calling, results

Noted = list[tuple[int, Object | None]]


def calls(*names: str) -> tuple[Call, ...]:
    return tuple(Call(i, name, {}) for i, name in enumerate(names))


async def ran(tools: list[Callable[..., Any]], *names: str, **options: Any) -> list[Any]:
    """Call functions by name, and return what the model is told."""
    parts = await run_calls_async(
        RunCalls(calls(*names)), toolbox_for(tools, CallingOptions(**options)), Cancel(), ignored
    )
    assert parts is not None
    return [part["functionResponse"]["response"] for part in parts]


def ignored(index: int, part: Object | None) -> None: ...


def here() -> int:
    return threading.get_ident()


async def here_async() -> int:
    return threading.get_ident()


def gives_async() -> Any:
    return here_async()


def test_functions_in_a_row_share_a_thread(hops: list[threading.Event]) -> None:
    told = asyncio.run(ran([here], *["here"] * 5))
    (thread,) = {response["result"] for response in told}
    assert (True, 1) == (thread != threading.get_ident(), len(hops))


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["here_async"] * 3, 0),
        (["here", "here_async", "here"], 2),
        (["here_async", "here", "here", "here_async"], 1),
        (["gives_async", "gives_async"], 2),
    ],
    ids=["async only", "between", "around", "async after all"],
)
def test_only_async_code_runs_in_the_event_loop(
    names: list[str], count: int, hops: list[threading.Event]
) -> None:
    told = asyncio.run(ran([here, here_async, gives_async], *names))
    in_loop = [response["result"] == threading.get_ident() for response in told]
    assert ([name != "here" for name in names], count) == (in_loop, len(hops))


def test_hooks_and_errors_stay_in_the_thread(hops: list[threading.Event]) -> None:
    def fail() -> None:
        raise ValueError("no")

    seen: list[int] = []

    def hook(*_: Any) -> None:
        seen.append(threading.get_ident())

    names = ["here", "fail", "unknown", "here"]
    told = asyncio.run(ran([here, fail], *names, before_call=hook, after_call=hook))
    kinds = [response["error"]["type"] for response in told[1:3]]
    assert ["ValueError", "UnknownFunction"] == kinds
    assert [told[0]["result"]] * 7 == [*seen, told[3]["result"]][-7:]
    assert (7, 1) == (len(seen), len(hops))


def test_at_once_each_function_has_a_thread_of_its_own() -> None:
    together = threading.Barrier(3, timeout=20)
    told = asyncio.run(ran([wait_for(together)], *["act"] * 3, tool_mode="concurrent"))
    assert [{"result": None}] * 3 == told


def wait_for(barrier: threading.Barrier) -> Callable[[], None]:
    def act() -> None:
        barrier.wait()

    return act


def test_no_function_sees_what_another_has_set() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")

    def act() -> str:
        seen = user.get()
        user.set("mallory")
        return seen

    async def main() -> tuple[Any, str]:
        user.set("ada")
        return await ran([act], "act", "act"), user.get()

    assert ([{"result": "ada"}] * 2, "ada") == asyncio.run(main())


def test_results_are_noted_as_they_come() -> None:
    noted: list[tuple[int, bool]] = []
    seen: list[list[tuple[int, bool]]] = []

    def act() -> None:
        seen.append([*noted])

    def note(index: int, part: Object | None) -> None:
        noted.append((index, part is not None))

    step = RunCalls(calls("act", "act"))
    asyncio.run(run_calls_async(step, toolbox_for([act], {}), Cancel(), note))
    assert [[(0, False)], [(0, False), (0, True), (1, False)]] == seen


class Gate:
    """A function that says when it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.runs = 0

    def act(self) -> None:
        self.runs += 1
        self.begun.set()
        assert self.go.wait(20)


@pytest.mark.parametrize("is_task", [True, False], ids=["the task", "the turn"])
def test_cancelled_between_two_functions_the_second_never_runs(
    is_task: bool, hops: list[threading.Event]
) -> None:
    gate, cancel, noted = Gate(), Cancel(), Noted()

    async def main() -> None:
        step, toolbox = RunCalls(calls("act", "act")), toolbox_for([gate.act], {})
        work = asyncio.ensure_future(
            run_calls_async(step, toolbox, cancel, lambda *told: noted.append(told))
        )
        await asyncio.to_thread(gate.begun.wait, 20)
        if is_task:
            work.cancel()
        else:
            cancel.set()
        with pytest.raises(asyncio.CancelledError if is_task else TurnCancelled):
            await work

    asyncio.run(main())
    gate.go.set()
    assert hops[0].wait(20)
    assert (1, [(0, None)]) == (gate.runs, noted)


@pytest.mark.parametrize("on_error", ["result", "raise"])
def test_a_function_that_hangs_is_left_and_the_next_one_runs(on_error: Any) -> None:
    gate = Gate()
    options: dict[str, Any] = {"tool_timeout_seconds": 0.02, "on_tool_error": on_error}
    work = ran([here, gate.act], "here", "act", "here", **options)
    try:
        if on_error == "raise":
            with pytest.raises(ToolError, match="TookTooLong"):
                asyncio.run(work)
            return
        first, hung, last = asyncio.run(work)
        assert "TookTooLong" == hung["error"]["type"]
        assert first["result"] != last["result"], "it went on in the thread that hangs"
    finally:
        gate.go.set()


def test_the_limit_is_that_of_each_call_and_not_of_all_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(hop_module, "monotonic", lambda: now[0])
    seen: list[Any] = []

    def act() -> None:
        (hop,) = made
        for seconds in (0.0, 9.0):
            now[0] += seconds
            seen.append((hop.seconds_left, hop.overdue()))

    def hook(*_: Any) -> None:
        now[0] += 20.0
        seen.append((made[0].seconds_left, made[0].overdue()))

    made: list[Hop] = []

    async def main() -> None:
        toolbox, cancel = toolbox_for([act], {"after_call": hook}), Cancel()
        asked = calls("act", "act", "act")
        steps = toolbox.in_order(asked, dict.fromkeys(range(3), True), cancel, ignored)
        made.append(Hop(steps, 10.0, cancel, ignored))
        made[0].begin(next(steps))
        with pytest.raises(StopIteration) as ended:
            (await made[0].ended)()
        assert 3 == len(ended.value.value)

    asyncio.run(main())
    assert [(10.0, None), (1.0, None), (10.0, None)] * 3 == seen


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_ends_programs_ends_the_row(error: type[BaseException]) -> None:
    runs: list[int] = []

    def act(n: int) -> int:
        runs.append(n)
        if n == 2:
            raise error
        return n

    line = function_calls(*(("act", {"n": n}) for n in (1, 2, 3)))
    chat, backend = calling([act], line)
    with pytest.raises(error):
        asyncio.run(chat.send_message_async("Act."))
    assert ([1, 2], []) == (runs, chat.history)
    backend.add("Done.")
    asyncio.run(chat.resume_async())
    assert [1, 2, 3] == runs
    assert [{"result": 1}, {"result": 3}] == results(chat)[::2]
    assert "OutcomeUnknown" == results(chat)[1]["error"]["type"]
