"""Stands for google.api_core.retry: when a call is made again, around it or in its options."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from copy import copy
from functools import wraps
from itertools import count
from typing import ParamSpec, TypeVar

from multiturn.borrowed_retry import BorrowedRetry
from multiturn.google_errors import (
    InternalServerError,
    RetryError,
    ServiceUnavailable,
    TooManyRequests,
)

P = ParamSpec("P")
ResultT = TypeVar("ResultT")
RuleT = TypeVar("RuleT", bound="_Rule")
Predicate = Callable[[Exception], bool]
OnError = Callable[[Exception], object]


def if_exception_type(*types: type[Exception]) -> Predicate:
    """Return a predicate: whether an error is one of these types."""
    return lambda error: isinstance(error, types)


if_transient_error = if_exception_type(InternalServerError, TooManyRequests, ServiceUnavailable)
"""Whether the same call may succeed a moment later."""


class _Rule:
    """When a call is made again.

    The names with an underscore are those that ``BorrowedRetry`` reads, as google-api-core
    has them; so a rule is honoured in ``request_options`` too.

    Args:
        predicate: Whether an error may pass.
        initial: Seconds, at most, of the first pause.
        maximum: Seconds of the longest pause.
        multiplier: By which pauses grow.
        timeout: Seconds for all calls with their pauses; None means without end.
        on_error: Told of each error that may pass.
        deadline: Another name of ``timeout``; wins over it.
    """

    def __init__(
        self,
        predicate: Predicate = if_transient_error,
        initial: float = 1.0,
        maximum: float = 60.0,
        multiplier: float = 2.0,
        timeout: float | None = 120.0,
        on_error: OnError | None = None,
        deadline: float | None = None,
    ) -> None:
        self._predicate, self._on_error = predicate, on_error
        self._initial, self._maximum, self._multiplier = initial, maximum, multiplier
        self._timeout = self._deadline = timeout if deadline is None else deadline

    @property
    def timeout(self) -> float | None:
        """Seconds for all calls with their pauses, None without end."""
        return self._timeout

    deadline = timeout

    def with_timeout(self: RuleT, timeout: float | None) -> RuleT:
        """Return the same rule with another limit for the whole."""
        return self._but(_timeout=timeout, _deadline=timeout)

    with_deadline = with_timeout

    def with_predicate(self: RuleT, predicate: Predicate) -> RuleT:
        """Return the same rule for other errors."""
        return self._but(_predicate=predicate)

    def with_delay(
        self: RuleT,
        initial: float | None = None,
        maximum: float | None = None,
        multiplier: float | None = None,
    ) -> RuleT:
        """Return the same rule with other pauses; None leaves one as it is."""
        given = {"_initial": initial, "_maximum": maximum, "_multiplier": multiplier}
        return self._but(**{name: value for name, value in given.items() if value is not None})

    def _but(self: RuleT, **changed: object) -> RuleT:
        other = copy(self)
        vars(other).update(changed)
        return other

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(initial={self._initial}, maximum={self._maximum}, "
            f"multiplier={self._multiplier}, timeout={self._timeout})"
        )

    def _pauses(self, on_error: OnError | None) -> Callable[[Exception], float | None]:
        """Return what says how long to wait after each error of one call; None is not at all."""
        rule = BorrowedRetry(self._but(_on_error=self._on_error or on_error))
        began, attempts = time.monotonic(), count(1)

        def pause_seconds(error: Exception) -> float | None:
            pause = rule.pause_seconds(next(attempts), error)
            if pause is None or self._timeout is None:
                return pause
            if time.monotonic() + pause > began + self._timeout:
                raise RetryError(
                    f"Timeout of {self._timeout:g}s exceeded, last exception: {error}", error
                ) from error
            return pause

        return pause_seconds


class Retry(_Rule):
    """A rule for blocking calls; decorates a function, or goes into ``request_options``."""

    def __call__(
        self, function: Callable[P, ResultT], on_error: OnError | None = None
    ) -> Callable[P, ResultT]:
        """Return the function, called again by this rule; RetryError when its time is over."""

        @wraps(function)
        def again(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            pause_after = self._pauses(on_error)
            while True:
                try:
                    return function(*args, **kwargs)
                except Exception as error:
                    pause = pause_after(error)
                    if pause is None:
                        raise
                time.sleep(pause)

        return again


class AsyncRetry(_Rule):
    """A rule for async calls."""

    def __call__(
        self, function: Callable[P, Awaitable[ResultT]], on_error: OnError | None = None
    ) -> Callable[P, Awaitable[ResultT]]:
        """Return the async function, called again by this rule."""

        @wraps(function)
        async def again(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            from asyncio import sleep

            pause_after = self._pauses(on_error)
            while True:
                try:
                    return await function(*args, **kwargs)
                except Exception as error:
                    pause = pause_after(error)
                    if pause is None:
                        raise
                await sleep(pause)

        return again
