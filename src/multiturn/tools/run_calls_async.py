"""Carries out the steps of calls in an event loop, one by one or at once; decides nothing.

Functions that are not async run in threads of their own, as in ``run_calls.py``.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from multiturn.calls import Call
from multiturn.cancel import Cancel
from multiturn.errors import ToolError
from multiturn.messages.message import Object
from multiturn.tools import threads as tool_threads
from multiturn.tools.async_values import finished, is_async_function, is_async_value
from multiturn.tools.outcome import Outcome, TookTooLong, outcome_of, outcome_of_async
from multiturn.tools.run_calls import Note, known_parts, require_go
from multiturn.tools.toolbox import Invoke, Toolbox
from multiturn.turn import RunCalls

T = TypeVar("T")

# How long async code that is cancelled may take to clean up before it is left.
_CLEAN_UP_SECONDS = 1.0


async def run_calls_async(
    step: RunCalls, toolbox: Toolbox, cancel: Cancel, note: Note
) -> list[Object] | None:
    """Run calls without blocking the event loop; else as ``run_calls``."""
    limit = toolbox.calling.tool_timeout_seconds
    calls = [call for call in step.calls if call.index not in step.results]
    decided = await _carry_out(toolbox.decide(calls, step.decisions), limit, cancel)
    if decided is None:
        return None

    async def run(call: Call) -> Object:
        require_go(cancel)
        steps = toolbox.answer(call, decided[call.index])
        try:
            part = await _carry_out(steps, limit, cancel, lambda: note(call.index, None))
        except ToolError as error:
            note(call.index, error.result)
            raise
        note(call.index, part)
        return part

    parts = known_parts(step, toolbox)
    if toolbox.calling.tool_mode == "concurrent" and len(calls) > 1:
        parts |= await _at_once(run, calls, toolbox.calling.max_concurrent_calls)
    else:
        for call in calls:
            parts[call.index] = await run(call)
    return [parts[call.index] for call in step.calls]


async def _at_once(
    run: Callable[[Call], Awaitable[Object]], calls: Sequence[Call], limit: int
) -> dict[int, Object]:
    """Run calls in as many tasks as the limit allows; give the parts by index.

    When one ends the turn, the others are cancelled and waited for.
    """
    waiting = iter(calls)
    parts: dict[int, Object] = {}

    async def work() -> None:
        for call in waiting:
            parts[call.index] = await run(call)

    workers = [asyncio.ensure_future(outcome_of_async(work)) for _ in range(min(limit, len(calls)))]
    try:
        for worker in asyncio.as_completed(workers):
            (await worker)()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.wait(workers)
    return parts


async def _carry_out(
    steps: Generator[Invoke, Any, T],
    limit_seconds: float | None,
    cancel: Cancel,
    begun: Callable[[], None] = lambda: None,
) -> T:
    try:
        step = next(steps)
        while True:
            if step.is_call:
                begun()
            try:
                value = await _invoked(step, limit_seconds if step.is_call else None, cancel)
            except Exception as error:
                require_go(cancel)
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _invoked(step: Invoke, seconds: float | None, cancel: Cancel) -> Any:
    """Run a step: async code in this event loop, other code in a thread."""
    make: Callable[[], Any] = partial(step.function, *step.args, **step.kwargs)
    if not is_async_function(step.function):
        value = (await _first(_in_thread(step), seconds, cancel))()
        if not is_async_value(value):
            return value
        make = lambda: value  # noqa: E731

    def begin() -> Awaitable[Any]:
        return finished(make(), step.finish, step.max_bytes)

    return (await _first(asyncio.ensure_future(outcome_of_async(begin)), seconds, cancel))()


def _in_thread(step: Invoke) -> asyncio.Future[Outcome[Any]]:
    """Start a step in a daemon thread; async code that it gives is given as it is."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome[Any]] = loop.create_future()
    context = contextvars.copy_context()

    def call() -> Any:
        value = step.function(*step.args, **step.kwargs)
        return value if is_async_value(value) else step.finish(value)

    def deliver(outcome: Outcome[Any]) -> None:
        if not done.done():
            done.set_result(outcome)

    def work() -> None:
        outcome = outcome_of(lambda: context.run(call))
        try:
            loop.call_soon_threadsafe(deliver, outcome)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody waits for this any more

    tool_threads.start(work)
    return done


async def _first(work: asyncio.Future[T], seconds: float | None, cancel: Cancel) -> T:
    """Wait for work, but not beyond its time limit or the turn's cancellation."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not stopped.done():
            stopped.set_result(None)

    def stop() -> None:
        loop.call_soon_threadsafe(settle)

    cancel.call(stop)
    try:
        either: set[asyncio.Future[Any]] = {work, stopped}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        is_ready = work.done()
    finally:
        cancel.forget(stop)
        stopped.cancel()
        if not work.done():
            work.cancel()
            if isinstance(work, asyncio.Task):
                await asyncio.wait({work}, timeout=_CLEAN_UP_SECONDS)
    if is_ready:
        return work.result()
    require_go(cancel)
    raise TookTooLong(seconds or 0)
