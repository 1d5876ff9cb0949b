"""Carries out the steps of a turn, blocking or async; decides nothing."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol

from multiturn.backends import Backend
from multiturn.calls import Waiting
from multiturn.cancel import Cancel
from multiturn.errors import TurnCancelled
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.request import Request
from multiturn.turn import AskModel, Commit, Note, Pause, RunCalls, Step, Steps, Wait


class Keeper(Protocol):
    """What the outcomes of steps are handed to.

    Attributes:
        cancel: Raised by any thread, it ends the turn with TurnCancelled.
    """

    cancel: Cancel

    def asked(self, step: AskModel) -> Callable[[Object], None]:
        """Take note of what is asked; return what takes in the chunks of its reply."""
        ...

    def run_calls(self, step: RunCalls) -> list[Object] | Waiting:
        """Run functions; return their results as parts, or those that wait for approval."""
        ...

    async def run_calls_async(self, step: RunCalls) -> list[Object] | Waiting:
        """The same without blocking the event loop."""
        ...

    def note(self, contents: tuple[Content, ...]) -> None:
        """Note in the journal how far the turn has come."""

    def pause(self, contents: tuple[Content, ...], waiting: Waiting) -> None:
        """Keep a turn that waits for approval."""

    def save(self, contents: tuple[Content, ...]) -> None:
        """Take the contents of a Commit; the only way to the history."""

    async def save_async(self, contents: tuple[Content, ...]) -> None:
        """The same without blocking the event loop."""

    def ended(self, error: BaseException | None) -> None:
        """Take note that the steps are over, and what ended them early."""


def drive(steps: Steps, backend: Backend, keeper: Keeper) -> Iterator[Object]:
    """Carry steps out; give the chunks of every ask as they arrive.

    Args:
        steps: What ``turn.turn`` yields.
        backend: Who is asked.
        keeper: Whom the replies and the finished turn are handed to.
    """
    cancel, clock = keeper.cancel, _Clock(backend)
    outcome: Any = None
    failure: Exception | None = None
    try:
        while True:
            try:
                step = steps.send(outcome) if failure is None else steps.throw(failure)
            except StopIteration:
                break
            outcome = failure = None
            try:
                if isinstance(step, AskModel):
                    take = keeper.asked(step)
                    _require_go(cancel)
                    chunks: Any = backend.stream(clock.timed(step.request), cancel)
                    try:
                        for chunk in chunks:
                            take(chunk)
                            yield chunk
                            if cancel.reason is not None:
                                break
                    finally:
                        if hasattr(chunks, "close"):  # a backend may give any iterator
                            chunks.close()
                    _require_go(cancel)
                    outcome = step.reply
                else:
                    outcome = _carried_out(step, keeper, clock)
            except Exception as error:  # the turn decides whether to go on
                failure = error
    except BaseException as error:
        steps.close()
        keeper.ended(error)
        raise
    keeper.ended(None)


async def drive_async(steps: Steps, backend: Backend, keeper: Keeper) -> AsyncIterator[Object]:
    """The same without blocking the event loop."""
    cancel, clock = keeper.cancel, _Clock(backend)
    outcome: Any = None
    failure: Exception | None = None
    try:
        while True:
            try:
                step = steps.send(outcome) if failure is None else steps.throw(failure)
            except StopIteration:
                break
            outcome = failure = None
            try:
                if isinstance(step, AskModel):
                    take = keeper.asked(step)
                    _require_go(cancel)
                    chunks: Any = backend.stream_async(clock.timed(step.request), cancel)
                    try:
                        async for chunk in chunks:
                            take(chunk)
                            yield chunk
                            if cancel.reason is not None:
                                break
                    finally:
                        if hasattr(chunks, "aclose"):
                            await chunks.aclose()
                    _require_go(cancel)
                    outcome = step.reply
                else:
                    outcome = await _carried_out_async(step, keeper, clock)
            except Exception as error:
                failure = error
    except BaseException as error:
        steps.close()
        keeper.ended(error)
        raise
    keeper.ended(None)


def _carried_out(step: Step, keeper: Keeper, clock: _Clock) -> Any:
    match step:
        case Commit(contents):
            keeper.save(contents)
        case Wait(seconds):
            clock.require_time_for(step)
            _sleep(seconds, keeper.cancel)
        case RunCalls():
            with clock:
                parts = keeper.run_calls(step)
            _require_go(keeper.cancel)
            return parts
        case Note(contents):
            keeper.note(contents)
        case Pause(contents, waiting):
            keeper.pause(contents, waiting)
    return None


async def _carried_out_async(step: Step, keeper: Keeper, clock: _Clock) -> Any:
    match step:
        case Commit(contents):
            await keeper.save_async(contents)
        case Wait(seconds):
            clock.require_time_for(step)
            await _sleep_async(seconds, keeper.cancel)
        case RunCalls():
            with clock:
                parts = await keeper.run_calls_async(step)
            _require_go(keeper.cancel)
            return parts
        case Note(contents):
            keeper.note(contents)
        case Pause(contents, waiting):
            keeper.pause(contents, waiting)
    return None


class _Clock:
    """The time that a call as a whole may take: what is left is each request's limit.

    It stands still within a ``with`` statement: functions have a limit of their own.
    """

    __slots__ = ("_default_seconds", "_started", "_stopped", "_total_seconds")

    def __init__(self, backend: Backend) -> None:
        self._default_seconds: float | None = getattr(backend, "default_timeout_seconds", None)
        self._total_seconds: float | None = None
        self._started: float | None = None
        self._stopped = 0.0

    def timed(self, request: Request) -> Request:
        """Return a request that ends with the call."""
        if self._started is None:
            self._started = time.monotonic()
            self._total_seconds = request.timeout_seconds or self._default_seconds
            return request
        if self._total_seconds is None:
            return request
        left = self._total_seconds - (time.monotonic() - self._started)
        return request.with_timeout(max(left, 0.001))

    def __enter__(self) -> None:
        self._stopped = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self._started is not None:
            self._started += time.monotonic() - self._stopped

    def require_time_for(self, wait: Wait) -> None:
        """Raise the error that the wait was for if it goes beyond a limit."""
        limits = [s for s in (self._total_seconds, wait.total_seconds) if s is not None]
        if wait.error is None or self._started is None or not limits:
            return
        if time.monotonic() - self._started + wait.seconds > min(limits):
            from multiturn.retry import note_limit

            note_limit(wait.error, min(limits))
            raise wait.error


def _require_go(cancel: Cancel) -> None:
    if cancel.reason is not None:
        raise TurnCancelled(cancel.reason)


def _sleep(seconds: float, cancel: Cancel) -> None:
    import threading

    if seconds > 0:
        woken = threading.Event()
        cancel.call(woken.set)
        woken.wait(seconds)
        cancel.forget(woken.set)
    else:
        time.sleep(0)
    _require_go(cancel)


async def _sleep_async(seconds: float, cancel: Cancel) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    cancel.call(wake)
    try:
        await asyncio.wait_for(woken.wait(), seconds)
    except TimeoutError:
        pass
    finally:
        cancel.forget(wake)
    _require_go(cancel)
