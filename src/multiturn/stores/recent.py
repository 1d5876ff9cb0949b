"""The turns of sessions that were open lately: to open one again reads only what is new."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from typing import Any

from multiturn.stores.protocol import SessionState, Store

# Of all sessions together: about 40 MB of short messages.
_LIMIT_TURNS = 20_000
_LIMIT_SESSIONS = 256
_all: weakref.WeakSet[RecentTurns] = weakref.WeakSet()


class RecentTurns:
    """Turns by their identity, by session; may be shared by threads.

    Args:
        limit_turns: Above it the sessions that were opened longest ago are forgotten.
        limit_sessions: The same, however few turns they have.

    Attributes:
        erasures: How often turns were erased by way of the store object that this belongs
            to: whoever holds turns of it forgets them when it has grown.
    """

    erasures = 0

    def __init__(
        self, limit_turns: int = _LIMIT_TURNS, limit_sessions: int = _LIMIT_SESSIONS
    ) -> None:
        self._limit_turns, self._limit_sessions = limit_turns, limit_sessions
        self._known: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._erased = 0  # in the whole store, when what is known was read
        self._lock = threading.Lock()
        _all.add(self)

    def of(self, state: SessionState) -> dict[str, Any]:
        """Return what is known of a session, to be added to; nothing after an erasure."""
        with self._lock:
            if state.erasures != self._erased:
                self._known.clear()
                self._erased = state.erasures
            turns = self._known.pop(state.key, {})
            # Counted anew: those who were given turns have added to them since.
            count = len(turns) + sum(map(len, self._known.values()))
            while self._known and (
                count > self._limit_turns or len(self._known) >= self._limit_sessions
            ):
                count -= len(self._known.popitem(last=False)[1])
            if count <= self._limit_turns:
                self._known[state.key] = turns
            return turns

    def forget(self) -> None:
        """Take note that a turn was erased, and forget all."""
        with self._lock:
            self._known.clear()
            self.erasures += 1

    def let_go(self) -> None:
        """Forget all, since turns hold the store that this belongs to, and with it its thread."""
        with self._lock:
            self._known.clear()


def recent_of(store: Store) -> RecentTurns:
    """Return what a store remembers; nothing for one of somebody else's that does not."""
    recent: RecentTurns | None = getattr(store, "recent", None)
    return recent or RecentTurns()


def _unlock_after_fork() -> None:
    """Free all in a forked child: whoever was looking something up stayed in the parent."""
    for recent in list(_all):
        recent._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)
