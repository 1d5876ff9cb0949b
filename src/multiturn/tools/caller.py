"""Which turns run the function from which a call comes, across threads and tasks."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiturn.exchange import Exchange

# Outermost first; weak, since a function may leave a thread behind with this context.
_running: ContextVar[tuple[weakref.ref[Exchange], ...]] = ContextVar("_running", default=())


@contextmanager
def called_by(exchange: Exchange) -> Iterator[None]:
    """Mark what is called within as called by an exchange."""
    token = _running.set((*_running.get(), weakref.ref(exchange)))
    try:
        yield
    finally:
        _running.reset(token)


def is_called_by(exchange: Exchange) -> bool:
    """Return whether the caller is a function that an exchange runs."""
    return any(reference() is exchange for reference in _running.get())
