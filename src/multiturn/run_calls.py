"""Carries out the steps of calls, blocking or async, one by one or at once; decides nothing.

A thread that runs a function is a daemon: one that hangs is left behind at its time
limit and does not keep the program from ending.
"""

from __future__ import annotations

import contextvars
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from multiturn.calls import Call
from multiturn.cancel import Cancel
from multiturn.errors import TurnCancelled
from multiturn.message import Object
from multiturn.toolbox import Decisions, Invoke, Toolbox

T = TypeVar("T")


class TookTooLong(TimeoutError):
    """A function was still running at the session's time limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the function took longer than {seconds:g} seconds and was left")


def run_calls(
    calls: Sequence[Call], decisions: Decisions, toolbox: Toolbox, cancel: Cancel
) -> list[Object] | None:
    """Run calls, blocking; return one part for each, in their order.

    None if one of them waits for approval; then none has run.
    """
    limit_seconds = toolbox.calling.tool_timeout_seconds
    decided = _carry_out(toolbox.decide(calls, decisions), limit_seconds, cancel)
    if decided is None:
        return None

    def run(call: Call) -> Object:
        return _carry_out(toolbox.answer(call, decided[call.index]), limit_seconds, cancel)

    if toolbox.calling.tool_mode == "concurrent" and len(calls) > 1:
        return _at_once(run, calls, toolbox.calling.max_concurrent_calls, cancel)
    parts = []
    for call in calls:
        parts.append(run(call))
        _require_go(cancel)
    return parts


def _carry_out(steps: Generator[Invoke, Any, T], limit_seconds: float | None, cancel: Cancel) -> T:
    """Carry steps out in this thread, but for what has a time limit."""
    try:
        step = next(steps)
        while True:
            try:
                seconds = limit_seconds if step.is_timed else None
                if seconds is None:
                    value = _completed(step.function(*step.args, **step.kwargs))
                else:
                    value = _within(step, seconds, cancel)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _completed(value: Any) -> Any:
    """Run async code to its end; other values are given as they are."""
    if not inspect.isawaitable(value) and not inspect.isasyncgen(value):
        return value
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(value))
    # This thread's event loop is busy with the caller, so the code gets one of its own.
    context = contextvars.copy_context()
    return _in_thread(lambda: context.run(asyncio.run, _awaited(value))).get()()


async def _awaited(value: Any) -> Any:
    if inspect.isasyncgen(value):
        return [item async for item in value]
    return await value if inspect.isawaitable(value) else value


def _in_thread(work: Callable[[], T]) -> queue.SimpleQueue[Callable[[], T]]:
    """Start work in a daemon thread; the queue gets a function that gives what came of it."""
    outcome: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
    threading.Thread(
        target=lambda: outcome.put(_outcome_of(work)), name="multiturn-tool", daemon=True
    ).start()
    return outcome


def _within(step: Invoke, seconds: float, cancel: Cancel) -> Any:
    """Run a step in a thread of its own, and leave it there if it takes too long."""
    context = contextvars.copy_context()

    def work() -> Any:
        return context.run(lambda: _completed(step.function(*step.args, **step.kwargs)))

    outcome = _in_thread(work)
    stop: Callable[[], None] = lambda: outcome.put(_cancelled)  # noqa: E731
    cancel.call(stop)
    try:
        return outcome.get(timeout=seconds)()
    except queue.Empty:
        raise TookTooLong(seconds) from None
    finally:
        cancel.forget(stop)


def _at_once(
    run: Callable[[Call], Object], calls: Sequence[Call], limit: int, cancel: Cancel
) -> list[Object]:
    """Run calls in as many threads as the limit allows; give the parts in call order."""
    waiting = iter(calls)
    outcomes: queue.SimpleQueue[tuple[int, Callable[[], Object]]] = queue.SimpleQueue()
    lock = threading.Lock()

    def work(context: contextvars.Context) -> None:
        while True:
            with lock:
                call = next(waiting, None)
            if call is None or cancel.reason is not None:
                return
            outcomes.put((call.index, _outcome_of(lambda call=call: context.run(run, call))))

    for _ in range(min(limit, len(calls))):
        context = contextvars.copy_context()
        threading.Thread(target=work, args=(context,), name="multiturn-tool", daemon=True).start()
    stop: Callable[[], None] = lambda: outcomes.put((-1, _cancelled))  # noqa: E731
    cancel.call(stop)
    parts: dict[int, Object] = {}
    try:
        while len(parts) < len(calls):
            index, outcome = outcomes.get()
            parts[index] = outcome()
    finally:
        cancel.forget(stop)
    return [parts[call.index] for call in calls]


def _outcome_of(work: Callable[[], T]) -> Callable[[], T]:
    try:
        value = work()
    except BaseException as error:
        caught = error

        def fail() -> T:
            raise caught

        return fail
    return lambda: value


def _cancelled() -> Any:
    raise TurnCancelled("the turn was cancelled while functions ran")


def _require_go(cancel: Cancel) -> None:
    if cancel.reason is not None:
        raise TurnCancelled(cancel.reason)


async def run_calls_async(
    calls: Sequence[Call], decisions: Decisions, toolbox: Toolbox, cancel: Cancel
) -> list[Object] | None:
    """Run calls without blocking the event loop; else as ``run_calls``."""
    import asyncio

    limit_seconds = toolbox.calling.tool_timeout_seconds
    decided = await _carry_out_async(toolbox.decide(calls, decisions), limit_seconds)
    if decided is None:
        return None
    at_once = toolbox.calling.tool_mode == "concurrent"
    places = asyncio.Semaphore(toolbox.calling.max_concurrent_calls if at_once else 1)

    async def run(call: Call) -> Object:
        async with places:
            _require_go(cancel)
            return await _carry_out_async(toolbox.answer(call, decided[call.index]), limit_seconds)

    return await _until_cancelled(_gathered(run(call) for call in calls), cancel)


async def _gathered(work: Iterable[Awaitable[Object]]) -> list[Object]:
    """Await all, in order; when one fails the others are cancelled, not left running."""
    import asyncio

    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


async def _until_cancelled(work: Awaitable[T], cancel: Cancel) -> T:
    """Await work, and give up when the turn is cancelled from elsewhere."""
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def stop() -> None:
        loop.call_soon_threadsafe(task.cancel)

    cancel.call(stop)
    try:
        return await task
    except asyncio.CancelledError:
        _require_go(cancel)
        raise
    finally:
        cancel.forget(stop)
        task.cancel()


async def _carry_out_async(steps: Generator[Invoke, Any, T], limit_seconds: float | None) -> T:
    import asyncio

    try:
        step = next(steps)
        while True:
            try:
                seconds = limit_seconds if step.is_timed else None
                value = await asyncio.wait_for(_invoked(step), seconds)
            except TimeoutError as error:
                late = seconds is not None and not str(error)
                step = steps.throw(TookTooLong(seconds or 0) if late else error)
            except Exception as error:
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def _invoked(step: Invoke) -> Any:
    """Run a step: async code in this event loop, other code in a thread."""
    call = getattr(step.function, "__call__", None)  # noqa: B004  (an object may be async)
    if inspect.iscoroutinefunction(step.function) or inspect.iscoroutinefunction(call):
        return await step.function(*step.args, **step.kwargs)
    if inspect.isasyncgenfunction(step.function):
        return await _awaited(step.function(*step.args, **step.kwargs))
    import asyncio

    loop = asyncio.get_running_loop()
    done: asyncio.Future[Callable[[], Any]] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(outcome: Callable[[], Any]) -> None:
        if not done.done():
            done.set_result(outcome)

    def work() -> None:
        outcome = _outcome_of(lambda: context.run(step.function, *step.args, **step.kwargs))
        try:
            loop.call_soon_threadsafe(deliver, outcome)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody waits for this any more

    threading.Thread(target=work, name="multiturn-tool", daemon=True).start()
    return await _awaited((await done)())
