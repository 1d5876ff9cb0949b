"""Idle connections, kept for the next request; the newest is used first."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from typing import Generic, Protocol, TypeVar

from multiturn.http.route import Origin

# Shorter than the servers' own limit (Google's front ends close after some minutes).
KEEP_SECONDS = 60.0
# For each origin; what is more is closed.
KEEP_CONNECTIONS = 1024


class Idle(Protocol):
    """A connection that waits for its next request."""

    @property
    def is_usable(self) -> bool:
        """Whether the server seems to be still there."""
        ...

    def close(self) -> None:
        """Close it; may be called twice."""
        ...

    def forget(self) -> None:
        """Close it in a process that was forked off, without a word to the server."""
        ...


C = TypeVar("C", bound=Idle)
_pools: weakref.WeakSet[Pool] = weakref.WeakSet()  # type: ignore[type-arg]


class Pool(Generic[C]):
    """Idle connections by origin; all methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Origin, deque[tuple[float, C]]] = {}
        _pools.add(self)

    def take(self, origin: Origin) -> C | None:
        """Return a usable connection, which is then the caller's; None if there is none."""
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                if not idle:
                    return None
                since, connection = idle.pop()
            if time.monotonic() - since < KEEP_SECONDS and connection.is_usable:
                return connection
            connection.close()

    def put(self, origin: Origin, connection: C) -> None:
        """Keep a connection; close those that have waited too long."""
        now = time.monotonic()
        stale = []
        with self._lock:
            idle = self._idle.setdefault(origin, deque())
            idle.append((now, connection))
            while idle and (now - idle[0][0] >= KEEP_SECONDS or len(idle) > KEEP_CONNECTIONS):
                stale.append(idle.popleft()[1])
        for old in stale:
            old.close()

    def close(self) -> None:
        """Close all idle connections; the pool may go on being used."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for _, connection in connections:
                connection.close()

    def forget(self) -> None:
        """Drop everything in a process that was forked off: it is the parent's."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for _, connection in connections:
                connection.forget()

    def __del__(self) -> None:
        self.close()

    def __len__(self) -> int:
        return sum(len(idle) for idle in list(self._idle.values()))


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget()


def _at_exit() -> None:
    for pool in list(_pools):
        pool.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
