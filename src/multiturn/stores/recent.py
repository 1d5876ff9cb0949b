"""The turns of sessions that were open lately: to open one again reads only what is new."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from multiturn.stores.protocol import SessionState

# Of all sessions together: about 40 MB of short messages.
_LIMIT_TURNS = 20_000


class RecentTurns:
    """Turns by their identity, by session; may be shared by threads.

    Args:
        limit_turns: Above it the sessions that were opened longest ago are forgotten.
    """

    def __init__(self, limit_turns: int = _LIMIT_TURNS) -> None:
        self._limit_turns = limit_turns
        self._known: OrderedDict[int, tuple[int, dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

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

    def _held(self) -> int:
        return sum(len(turns) for _, turns in self._known.values())
