"""Requests for one answer outside a turn: made again as a rule says, within one time limit.

A turn's own requests are the matter of ``turn.py`` and ``drive.py``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from multiturn.errors import BackendError
from multiturn.retry import RetryRule, note_limit

T = TypeVar("T")


class Attempts:
    """How often something was asked in vain, and how much time is left to ask again.

    Args:
        retry: When it is asked again.
        total_seconds: Time for all requests with their pauses; None means no limit.
    """

    def __init__(self, retry: RetryRule, total_seconds: float | None) -> None:
        self._retry, self._total_seconds = retry, total_seconds
        self._started = time.monotonic()
        self._failed = 0

    @property
    def seconds_left(self) -> float | None:
        """Time limit of the next request, None without one."""
        if self._total_seconds is None or not self._failed:
            return self._total_seconds
        return max(self._total_seconds - (time.monotonic() - self._started), 0.001)

    def pause_seconds(self, error: BackendError) -> float:
        """Return how long to wait before the next request.

        Raises:
            BackendError: The error itself, if nothing is asked again.
        """
        self._failed += 1
        error.attempts = self._failed
        pause = self._retry.pause_seconds(self._failed, error)
        limits = [s for s in (self._total_seconds, self._retry.total_seconds) if s is not None]
        if pause is None:
            raise error
        if limits and time.monotonic() - self._started + pause > min(limits):
            note_limit(error, min(limits))
            raise error
        return pause


def asked(ask: Callable[[float | None], T], attempts: Attempts) -> T:
    """Ask, blocking, until there is an answer.

    Args:
        ask: Makes one request; gets its time limit in seconds.
        attempts: When it is made again.

    Raises:
        BackendError: The last one.
    """
    while True:
        try:
            return ask(attempts.seconds_left)
        except BackendError as error:
            pause = attempts.pause_seconds(error)
        time.sleep(pause)


async def asked_async(ask: Callable[[float | None], Awaitable[T]], attempts: Attempts) -> T:
    """The same without blocking the event loop."""
    import asyncio

    while True:
        try:
            return await ask(attempts.seconds_left)
        except BackendError as error:
            pause = attempts.pause_seconds(error)
        await asyncio.sleep(pause)
