"""Which turns run the function from which a call comes, across threads and tasks."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiturn.exchange import Exchange

# Outermost first; weak, since a function may leave a thread behind with this context.
_running: ContextVar[tuple[weakref.ref[Exchange], ...]] = ContextVar("_running", default=())


class CalledBy:
    """Marks what is called within a ``with`` statement as called by an exchange."""

    __slots__ = ("_exchange", "_token")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        self._token = _running.set((*_running.get(), weakref.ref(self._exchange)))

    def __exit__(self, *_: object) -> None:
        _running.reset(self._token)


def is_called_by(exchange: Exchange) -> bool:
    """Return whether the caller is a function that an exchange runs."""
    return any(reference() is exchange for reference in _running.get())
