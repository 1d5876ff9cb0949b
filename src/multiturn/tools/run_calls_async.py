"""Carries out the steps of calls in an event loop, one by one or at once; decides nothing.

Functions that are not async run in threads of their own, as in ``run_calls.py``; those in
a row share one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar

from multiturn.calls import Call, Waiting
from multiturn.cancel import Cancel
from multiturn.messages.message import Object
from multiturn.tools.async_values import finished
from multiturn.tools.hop import Hop
from multiturn.tools.outcome import Outcome, TookTooLong, outcome_of_async
from multiturn.tools.run_calls import (
    all_parts,
    not_begun,
    not_ended,
    note_begin,
    require_go,
)
from multiturn.tools.toolbox import Invoke, Note, Toolbox
from multiturn.turn import RunCalls

T = TypeVar("T")

# How long async code that is cancelled may take to clean up before it is left.
_CLEAN_UP_SECONDS = 1.0


async def run_calls_async(
    step: RunCalls, toolbox: Toolbox, cancel: Cancel, note: Note
) -> list[Object] | Waiting:
    """Run calls without blocking the event loop; else as ``run_calls``."""
    limit = toolbox.calling.tool_timeout_seconds
    deciding = toolbox.decide(not_begun(step), step.decisions)
    decided = await _carry_out(deciding, limit, cancel, note)
    if isinstance(decided, Waiting):
        return decided
    calls = not_ended(step, toolbox.unseen)
    if toolbox.calling.tool_mode == "concurrent" and len(calls) > 1:

        async def run(call: Call) -> Object:
            steps = toolbox.in_order((call,), decided, cancel, note, step.results)
            return (await _carry_out(steps, limit, cancel, note))[call.index]

        parts = await _at_once(run, calls, toolbox.calling.max_concurrent_calls)
    else:
        steps = toolbox.in_order(calls, decided, cancel, note, step.results)
        parts = await _carry_out(steps, limit, cancel, note)
    return all_parts(step, toolbox, parts)


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
    steps: Generator[Invoke, Any, T], limit_seconds: float | None, cancel: Cancel, note: Note
) -> T:
    """Carry steps out: async code in this event loop, other code in threads."""
    try:
        step = next(steps)
        while True:
            if not step.is_async:
                hop = Hop(steps, limit_seconds, cancel, note)
                step = (await _in_thread(hop, step, cancel))()
                continue
            note_begin(step, cancel, note)
            seconds = None if step.call is None else limit_seconds
            try:
                value = await _in_loop(step, seconds, cancel)
            except Exception as error:
                require_go(cancel)
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _in_thread(hop: Hop, step: Invoke, cancel: Cancel) -> Outcome[Invoke]:
    """Have a thread carry steps out, as far as it can, and return the outcome."""
    try:
        hop.begin(step)
        while not await _is_ready(hop.ended, hop.seconds_left, cancel):
            require_go(cancel)
            if (outcome := hop.overdue()) is not None:
                return outcome
        return hop.ended.result()
    finally:
        hop.leave()


async def _in_loop(step: Invoke, seconds: float | None, cancel: Cancel) -> Any:
    """Run async code in a task of its own, which is cancelled if it takes too long."""

    def begin() -> Awaitable[Any]:
        return finished(step.function(*step.args, **step.kwargs), step.finish, step.max_bytes)

    task = asyncio.ensure_future(outcome_of_async(begin))
    try:
        is_ready = await _is_ready(task, seconds, cancel)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CLEAN_UP_SECONDS)
    if is_ready:
        return task.result()()
    require_go(cancel)
    raise TookTooLong(seconds or 0)


async def _is_ready(work: asyncio.Future[Any], seconds: float | None, cancel: Cancel) -> bool:
    """Wait for work, but not beyond a time or a cancellation; return whether it is done."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake(*_: object) -> None:
        if not woken.done():
            woken.set_result(None)

    def stop() -> None:
        loop.call_soon_threadsafe(wake)

    work.add_done_callback(wake)
    timer = None if seconds is None else loop.call_later(seconds, wake)
    cancel.call(stop)
    try:
        await woken
        return work.done()
    finally:
        cancel.forget(stop)
        work.remove_done_callback(wake)
        if timer is not None:
            timer.cancel()
