"""What came of a piece of work: a value or what it raised, to be carried between threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

T = TypeVar("T")
# Calling it gives the value, or raises.
Outcome: TypeAlias = Callable[[], T]


def outcome_of(work: Callable[[], T]) -> Outcome[T]:
    """Do the work, and keep what came of it, Ctrl-C and exit included."""
    try:
        value = work()
    except BaseException as error:
        return failed(error)
    return lambda: value


async def outcome_of_async(begin: Callable[[], Awaitable[T]]) -> Outcome[T]:
    """The same for async code, which ``begin`` makes: a task may be cancelled before it begins.

    An event loop is stopped by Ctrl-C and exit that a task raises; kept, they reach the
    task that waits.
    """
    try:
        value = await begin()
    except BaseException as error:
        return failed(error)
    return lambda: value


def failed(error: BaseException) -> Outcome[T]:
    """Return the outcome that is an error."""

    def fail() -> T:
        raise error

    return fail


class TookTooLong(TimeoutError):
    """A piece of work was not ready at its time limit, and was left."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the function took longer than {seconds:g} seconds and was left")
