"""The turns of sessions that were open lately: to open one again reads only what is new."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from typing import Any

from multiturn.stores.protocol import SessionState

# Of all sessions together: about 40 MB of short messages.
_LIMIT_TURNS = 20_000
_all: weakref.WeakSet[RecentTurns] = weakref.WeakSet()


class RecentTurns:
    """Turns by their identity, by session; may be shared by threads.

    Args:
        limit_turns: Above it the sessions that were opened longest ago are forgotten.

    Attributes:
        erasures: How often turns were erased by way of the store object that this belongs
            to: whoever holds turns of it forgets them when it has grown.
    """

    erasures = 0

    def __init__(self, limit_turns: int = _LIMIT_TURNS) -> None:
        self._limit_turns = limit_turns
        self._known: OrderedDict[int, tuple[int, dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()
        _all.add(self)

    def of(self, state: SessionState) -> dict[str, Any]:
        """Return what is known of a session, to be added to; nothing after an erasure."""
        with self._lock:
            erasures, turns = self._known.pop(state.key, (state.erasures, {}))
            if erasures != state.erasures:
                turns = {}
            while self._known and self._held() + len(turns) > self._limit_turns:
                self._known.popitem(last=False)
            if len(turns) <= self._limit_turns:
                self._known[state.key] = state.erasures, turns
            return turns

    def forget(self) -> None:
        """Take note that a turn was erased, and forget all."""
        with self._lock:
            self._known.clear()
            self.erasures += 1

    def _held(self) -> int:
        return sum(len(turns) for _, turns in self._known.values())


def _unlock_after_fork() -> None:
    """Free all in a forked child: whoever was looking something up stayed in the parent."""
    for recent in list(_all):
        recent._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)
