"""Steps in a row that a thread carries out for an event loop, until one is async code."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

from multiturn.cancel import Cancel
from multiturn.errors import TurnCancelled
from multiturn.tools import threads as tool_threads
from multiturn.tools.async_values import is_async_value
from multiturn.tools.outcome import Outcome, TookTooLong, outcome_of
from multiturn.tools.run_calls import note_begin, require_go
from multiturn.tools.toolbox import Invoke, Note


class Hop:
    """A thread that has the steps until it comes to async code or to their end.

    Whoever waits may leave it: from then on it touches the steps no more and notes
    nothing, though the function that it is in runs on.  To be made in an event loop.

    Args:
        steps: What is carried out; the thread's own until the hop has ended or is left.
        limit_seconds: Longest time for each call; None means no limit.
        cancel: Ends the steps when one of them fails after it was set.
        note: Told of each call that has begun, from the thread.

    Attributes:
        ended: Gives the outcome: the next step, which is async code, or what the steps
            raised, their StopIteration included.
    """

    def __init__(
        self,
        steps: Generator[Invoke, Any, Any],
        limit_seconds: float | None,
        cancel: Cancel,
        note: Note,
    ) -> None:
        self._steps, self._limit, self._cancel, self._note = steps, limit_seconds, cancel, note
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Outcome[Invoke]] = self._loop.create_future()
        # Held while the steps advance; being left waits for that.
        self._lock = threading.Lock()
        self._is_left = False
        self._deadline: float | None = None

    def begin(self, step: Invoke) -> None:
        """Start the thread with a step that is not async code."""
        self._begin_call(step)
        tool_threads.start(partial(self._work, contextvars.copy_context(), step))

    @property
    def seconds_left(self) -> float | None:
        """How long to wait before asking whether it is overdue; None means for ever."""
        deadline = self._deadline
        return self._limit if deadline is None else max(0.0, deadline - monotonic())

    def leave(self) -> None:
        """Take the steps from the thread; nothing begins there after this."""
        with self._lock:
            self._is_left = True

    def overdue(self) -> Outcome[Invoke] | None:
        """Leave a call that takes too long, and return the outcome of going on without it."""
        with self._lock:
            if self._limit is None or self._deadline is None or self._deadline > monotonic():
                return None
            self._is_left = True
        return outcome_of(partial(self._steps.throw, TookTooLong(self._limit)))

    def _begin_call(self, step: Invoke) -> None:
        note_begin(step, self._cancel, self._note)
        if step.call is not None and self._limit is not None:
            self._deadline = monotonic() + self._limit

    def _work(self, context: contextvars.Context, step: Invoke) -> None:
        outcome = outcome_of(lambda: context.run(self._carry_out, step))
        try:
            self._loop.call_soon_threadsafe(self._deliver, outcome)
        except RuntimeError:
            return  # the loop was closed meanwhile: nobody waits for this any more

    def _deliver(self, outcome: Outcome[Invoke]) -> None:
        if not self.ended.done():
            self.ended.set_result(outcome)

    def _carry_out(self, step: Invoke) -> Invoke:
        """Carry steps out; return the one that is async code."""
        while not step.is_async:
            context = contextvars.copy_context()  # no function sees what another has set
            try:
                value = context.run(step.function, *step.args, **step.kwargs)
                if is_async_value(value):
                    given = partial(_given, value)
                    return replace(step, function=given, args=(), kwargs={}, is_async=True)
                value = context.run(step.finish, value, step.max_bytes)
            except Exception as error:
                require_go(self._cancel)
                step = self._next(self._steps.throw, error)
            else:
                step = self._next(self._steps.send, value)
        return step

    def _next(self, proceed: Callable[[Any], Invoke], outcome: Any) -> Invoke:
        with self._lock:
            if self._is_left:
                raise TurnCancelled("the turn went on without this function")
            self._deadline = None
            step = proceed(outcome)
            if not step.is_async:
                self._begin_call(step)
            return step


async def _given(value: Any) -> Any:
    return value
