"""A flag that any thread may raise and that wakes whoever waits."""

from __future__ import annotations

from collections.abc import Callable


class Cancel:
    """Whether a turn shall stop, with callbacks that interrupt what it waits for.

    All methods may be called from any thread.  A callback must not block and must bear
    being called twice.
    """

    __slots__ = ("_callbacks", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        self._callbacks: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        """Return whether the flag is up."""
        return self.reason is not None

    def set(self, reason: str = "the turn was cancelled") -> None:
        """Raise the flag; the first reason stays."""
        self.reason = self.reason or reason
        for callback in list(self._callbacks):
            callback()

    def call(self, callback: Callable[[], object]) -> None:
        """Have a callback called when the flag is raised; at once if it is up."""
        self._callbacks.append(callback)
        if self.reason is not None:
            callback()

    def forget(self, callback: Callable[[], object]) -> None:
        """Take a callback off again."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)
