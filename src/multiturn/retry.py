"""When a request is made again, and after how long; decides only, waits for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self

from multiturn.checks import seconds, whole
from multiturn.errors import BackendError


class RetryRule(Protocol):
    """When a request is made again.

    Attributes:
        total_seconds: Time for all requests with their pauses; None means the call's.
    """

    @property
    def total_seconds(self) -> float | None:
        """The limit of the whole."""
        ...

    def pause_seconds(self, attempt: int, error: Exception) -> float | None:
        """Return how long to wait before the next request, or None to give up."""
        ...


class _Figures(NamedTuple):
    attempts: int
    first_pause_seconds: float
    longest_pause_seconds: float
    longest_wait_seconds: float
    total_seconds: float | None
    uniform: Callable[[float, float], float] | None


class Retry(_Figures):
    """Exponential pauses with full jitter.

    The figures are those on which the large providers' own clients agree (0.5 s first,
    doubled, at most 8 s); the jitter spreads clients that failed together
    (AWS Builders' Library, "Timeouts, retries and backoff with jitter").

    Attributes:
        attempts: Requests in all, at least 1.
        first_pause_seconds: Upper limit of the first pause.
        longest_pause_seconds: Upper limit of every pause that we choose ourselves.
        longest_wait_seconds: A server that asks for a longer pause is not asked again.
        total_seconds: No pause goes beyond this time since the first request; None means
            the call's time limit.
        uniform: Returns a number between its two arguments; None is ``random.uniform``.

    Raises:
        InvalidContent: A number is none, or out of its limits.
    """

    __slots__ = ()

    def __new__(
        cls,
        attempts: int = 4,
        first_pause_seconds: float = 0.5,
        longest_pause_seconds: float = 8.0,
        longest_wait_seconds: float = 120.0,
        total_seconds: float | None = None,
        uniform: Callable[[float, float], float] | None = None,
    ) -> Self:
        whole("attempts", attempts)
        seconds("first_pause_seconds", first_pause_seconds, or_zero=True)
        seconds("longest_pause_seconds", longest_pause_seconds, or_zero=True)
        seconds("longest_wait_seconds", longest_wait_seconds, or_zero=True, or_endless=True)
        seconds("total_seconds", total_seconds, or_endless=True, or_none=True)
        pauses = first_pause_seconds, longest_pause_seconds, longest_wait_seconds
        return super().__new__(cls, attempts, *pauses, total_seconds, uniform)

    def pause_seconds(self, attempt: int, error: Exception) -> float | None:
        """Return how long to wait before the next request, or None to give up.

        Args:
            attempt: How many requests were made, at least 1.
            error: How the last one failed; its ``retry_after_seconds`` is honoured.
        """
        if attempt >= self.attempts or not getattr(error, "retryable", False):
            return None
        asked = getattr(error, "retry_after_seconds", None)
        if asked is not None:
            if asked <= self.longest_wait_seconds:
                return float(asked)
            if isinstance(error, BackendError):
                limit = f"Retry(longest_wait_seconds={self.longest_wait_seconds:g})"
                error.not_waited = f"longer than {limit} allows"
            return None
        # A power of a thousand attempts would be too large for a float.
        growth = 2 ** min(attempt - 1, 64)
        ceiling = min(self.longest_pause_seconds, self.first_pause_seconds * growth)
        if self.uniform is not None:
            return self.uniform(0, ceiling)
        import random

        return random.uniform(0, ceiling)


NO_RETRY = Retry(attempts=1)


def note_limit(error: Exception, total_seconds: float) -> None:
    """Note at an error that the server's pause goes beyond the time for the whole call."""
    if isinstance(error, BackendError) and error.retry_after_seconds is not None:
        error.not_waited = f"beyond the {total_seconds:g} seconds that the call may take"
