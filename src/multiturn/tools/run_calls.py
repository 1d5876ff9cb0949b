"""Carries out the steps of calls in blocking code, one by one or at once; decides nothing.

A thread that runs a function is a daemon: one that hangs is left behind at its time
limit and does not keep the program from ending.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from functools import partial
from typing import Any, TypeVar

from multiturn.calls import Call, Waiting
from multiturn.cancel import Cancel
from multiturn.errors import TurnCancelled
from multiturn.messages.message import Object
from multiturn.tools import threads as tool_threads
from multiturn.tools.async_values import finished, is_async_value
from multiturn.tools.outcome import Outcome, TookTooLong, failed, outcome_of
from multiturn.tools.toolbox import Invoke, Note, Toolbox
from multiturn.turn import RunCalls

T = TypeVar("T")


def run_calls(
    step: RunCalls, toolbox: Toolbox, cancel: Cancel, note: Note
) -> list[Object] | Waiting:
    """Run calls, blocking; return one part for each, in their order, or those that wait."""
    limit = toolbox.calling.tool_timeout_seconds
    decided = _carry_out(toolbox.decide(not_begun(step), step.decisions), limit, cancel, note)
    if isinstance(decided, Waiting):
        return decided
    calls = not_ended(step, toolbox.unseen)
    if toolbox.calling.tool_mode == "concurrent" and len(calls) > 1:
        notes = _Notes(note)

        def run(call: Call) -> Object:
            steps = toolbox.in_order((call,), decided, cancel, notes, step.results)
            return _carry_out(steps, limit, cancel, notes)[call.index]

        try:
            parts = _at_once(run, calls, toolbox.calling.max_concurrent_calls, cancel)
        finally:
            notes.close()
    else:
        steps = toolbox.in_order(calls, decided, cancel, note, step.results)
        parts = _carry_out(steps, limit, cancel, note)
    return all_parts(step, toolbox, parts)


def not_begun(step: RunCalls) -> Sequence[Call]:
    """Return the calls that no earlier try has begun."""
    begun = step.results
    return [call for call in step.calls if call.index not in begun] if begun else step.calls


def not_ended(step: RunCalls, unseen: Set[int]) -> Sequence[Call]:
    """Return the calls that no earlier try has begun, or whose result no hook has seen."""
    begun = step.results
    if not begun:
        return step.calls
    return [c for c in step.calls if c.index not in begun or (begun[c.index] and c.index in unseen)]


def all_parts(step: RunCalls, toolbox: Toolbox, parts: Mapping[int, Object]) -> list[Object]:
    """Return what answers the calls, in their order: new parts, and those of an earlier try."""
    return [
        parts.get(call.index) or step.results[call.index] or toolbox.unknown(call)
        for call in step.calls
    ]


def note_begin(step: Invoke, cancel: Cancel, note: Note) -> None:
    """Note that a call begins, unless the turn was cancelled."""
    if step.call is not None:
        if cancel.reason is not None:
            raise TurnCancelled(cancel.reason)
        note(step.call.index, None)


class _Notes:
    """Takes notes from threads until their turn has ended; after that no call begins."""

    def __init__(self, note: Note) -> None:
        self._note, self._is_closed, self._lock = note, False, threading.Lock()

    def __call__(self, index: int, part: Object | None) -> None:
        with self._lock:
            if self._is_closed:
                raise TurnCancelled("the turn ended while functions ran")
            self._note(index, part)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True


def _carry_out(
    steps: Generator[Invoke, Any, T], limit_seconds: float | None, cancel: Cancel, note: Note
) -> T:
    """Carry steps out in this thread, but for what has a time limit."""
    try:
        step = next(steps)
        while True:
            note_begin(step, cancel, note)
            seconds = None if step.call is None else limit_seconds
            run = _completed if seconds is None or step.is_async else _within
            try:
                value = run(step, seconds, cancel)
            except Exception as error:
                require_go(cancel)
                step = steps.throw(error)
            else:
                step = steps.send(value)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _completed(step: Invoke, seconds: float | None, cancel: Cancel) -> Any:
    """Call a function and finish what it gives; async code is run to its end."""
    value = step.function(*step.args, **step.kwargs)
    if not is_async_value(value):
        return step.finish(value, step.max_bytes)
    from multiturn.tools.background_loop import in_background

    begin = partial(finished, value, step.finish, step.max_bytes)
    return in_background(begin, seconds, cancel)


def _within(step: Invoke, seconds: float | None, cancel: Cancel) -> Any:
    """Run a step in a thread of its own, and leave it there if it takes too long."""
    context = contextvars.copy_context()
    done: queue.SimpleQueue[Outcome[Any]] = queue.SimpleQueue()

    def work() -> None:
        done.put(outcome_of(lambda: context.run(_completed, step, seconds, cancel)))

    def stop() -> None:
        done.put(failed(TurnCancelled("the turn was cancelled while functions ran")))

    tool_threads.start(work)
    cancel.call(stop)
    try:
        return done.get(timeout=seconds)()
    except queue.Empty:
        raise TookTooLong(seconds or 0) from None
    finally:
        cancel.forget(stop)


def _at_once(
    run: Callable[[Call], Object], calls: Sequence[Call], limit: int, cancel: Cancel
) -> dict[int, Object]:
    """Run calls in as many threads as the limit allows; give the parts by index.

    When one ends the turn, no more are begun; those that run are left to end.
    """
    waiting: queue.SimpleQueue[Call] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Outcome[Object]]] = queue.SimpleQueue()
    for call in calls:
        waiting.put(call)

    def run_or_end(call: Call) -> Object:
        try:
            return run(call)
        except BaseException:
            _drain(waiting)
            raise

    def work(context: contextvars.Context) -> None:
        while cancel.reason is None and (call := _next(waiting)) is not None:
            done.put((call.index, outcome_of(_bound(context, run_or_end, call))))

    def stop() -> None:
        done.put((-1, failed(TurnCancelled("the turn was cancelled while functions ran"))))

    for _ in range(min(limit, len(calls))):
        tool_threads.start(partial(work, contextvars.copy_context()))
    cancel.call(stop)
    parts: dict[int, Object] = {}
    try:
        while len(parts) < len(calls):
            index, outcome = done.get()
            parts[index] = outcome()
    finally:
        cancel.forget(stop)
        _drain(waiting)
    return parts


def _drain(waiting: queue.SimpleQueue[Call]) -> None:
    while _next(waiting) is not None:
        pass


def _bound(
    context: contextvars.Context, run: Callable[[Call], Object], call: Call
) -> Callable[[], Object]:
    return lambda: context.run(run, call)


def _next(waiting: queue.SimpleQueue[Call]) -> Call | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None


def require_go(cancel: Cancel) -> None:
    """Raise TurnCancelled if the turn was cancelled."""
    if cancel.reason is not None:
        raise TurnCancelled(cancel.reason)
