"""One event loop in a thread of its own, for async code that blocking code has to run.

It lives as long as the process, so that what belongs to a loop (connections, locks) can
be used again by the next call.  The thread is a daemon: it does not keep the program
from ending.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from multiturn.cancel import Cancel
from multiturn.errors import TurnCancelled
from multiturn.tools import threads as tool_threads
from multiturn.tools.outcome import Outcome, TookTooLong, outcome_of, outcome_of_async

T = TypeVar("T")

# A loop that does not answer for this long is blocked by what runs in it.
_BLOCKED_SECONDS = 0.5
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the loop; it is started when it is first wanted."""
    global _loop, _thread
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="multiturn-loop", daemon=True)
            _thread.start()
        return _loop


def in_background(
    begin: Callable[[], Awaitable[T]],
    seconds: float | None = None,
    cancel: Cancel | None = None,
) -> T:
    """Run async code to its end in the background, with the caller's context variables.

    Args:
        begin: Makes what is awaited.
        seconds: Longest time; None means no limit.
        cancel: Gives the work up when it is set.

    Raises:
        TookTooLong: The work was not ready in time; it is cancelled.
        TurnCancelled: ``cancel`` was set; the work is cancelled.
    """
    if threading.current_thread() is _thread:
        return _beside(begin)  # this very loop waits for us: it could not run the work
    loop = background_loop()
    # Started by call_soon_threadsafe, so the work has this context.
    future = asyncio.run_coroutine_threadsafe(outcome_of_async(begin), loop)
    stop: Callable[[], object] = future.cancel
    if cancel is not None:
        cancel.call(stop)
    try:
        outcome = future.result(seconds)
    except concurrent.futures.CancelledError:
        raise TurnCancelled("the turn was cancelled while functions ran") from None
    except TimeoutError:
        _replace_if_blocked(loop)
        raise TookTooLong(seconds or 0) from None
    finally:
        future.cancel()
        if cancel is not None:
            cancel.forget(stop)
    return outcome()


def _beside(begin: Callable[[], Awaitable[T]]) -> T:
    """Run async code to its end in a loop and a thread of its own."""
    context = contextvars.copy_context()
    done: queue.SimpleQueue[Outcome[T]] = queue.SimpleQueue()

    def run() -> None:
        done.put(outcome_of(lambda: context.run(asyncio.run, _awaited(begin))))

    tool_threads.start(run)
    return done.get()()


async def _awaited(begin: Callable[[], Awaitable[T]]) -> T:
    return await begin()


def _replace_if_blocked(loop: asyncio.AbstractEventLoop) -> None:
    """Leave a loop to the code that blocks it; the next work gets another."""
    global _loop
    answered = threading.Event()
    loop.call_soon_threadsafe(answered.set)
    if not answered.wait(_BLOCKED_SECONDS):
        with _lock:
            if _loop is loop:
                _loop = None


def _reset_after_fork() -> None:
    """Forget the loop in a forked child: its thread stayed in the parent."""
    global _loop, _thread, _lock
    _loop = _thread = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
