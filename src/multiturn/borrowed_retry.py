"""A Retry of google.api_core, honoured without importing it."""

from __future__ import annotations

import random
from typing import Any


class BorrowedRetry:
    """Decides as the object it was given would: its predicate, its pauses, its deadline.

    A pause that the server asks for is kept too, if it is longer.

    Args:
        retry: An object of ``google.api_core.retry``, sync or async.
    """

    def __init__(self, retry: Any) -> None:
        self._retry = retry

    @property
    def total_seconds(self) -> float | None:
        """For how long requests are made again; None means as long as the call may take."""
        timeout = getattr(self._retry, "_timeout", getattr(self._retry, "_deadline", None))
        return None if timeout is None else float(timeout)

    def pause_seconds(self, attempt: int, error: Exception) -> float | None:
        """Return how long to wait before the next request, or None to give up."""
        if not self._retry._predicate(error):
            return None
        on_error = getattr(self._retry, "_on_error", None)
        if on_error is not None:
            on_error(error)
        # A power of hundreds of attempts would be too large for a float.
        growth = self._retry._multiplier ** min(attempt - 1, 64)
        ceiling = min(self._retry._initial * growth, self._retry._maximum)
        return max(random.uniform(0, ceiling), getattr(error, "retry_after_seconds", None) or 0.0)
