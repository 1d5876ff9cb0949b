"""A whole session put into a store: its tree, where it points, and what became no turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from multiturn.stores.errors import Conflict, SessionExists
from multiturn.stores.protocol import SessionState, WholeSession, require_name
from multiturn.stores.rows import key_of

if TYPE_CHECKING:
    from multiturn.stores.sql import SqlStore


def restore(store: SqlStore, name: str, whole: WholeSession) -> SessionState:
    """Begin a session with everything that another had, in one transaction."""

    def restored(execute: Any) -> SessionState:
        begun = execute(
            "INSERT INTO sessions (name, head, version, redo, changed_at) "
            "VALUES (?, NULL, ?, '', ?) ON CONFLICT (name) DO NOTHING",
            (require_name(name), whole.version, time.time()),
        )
        if begun.rowcount != 1:
            raise SessionExists(name, store=store.address)
        state = store._state(execute, "WHERE s.name = ?", name)
        depths: dict[str | None, int] = {None: -1}
        for turn in whole.turns:
            at, depth = state._replace(version=turn.place - 1), depths[turn.parent] + 1
            if not store._insert(execute, at, turn, depth, whole.blobs):
                raise Conflict(name, "the store has turns of this identity", store=store.address)
            depths[turn.id] = depth
        for attempt in whole.attempts:
            _add_attempt(execute, state.key, attempt, store._number(execute, attempt.base))
            blobs = {one: whole.blobs[one] for one in whole.attempt_blobs.get(attempt.id, ())}
            store._use(execute, key_of(attempt.id), blobs)
        execute(
            "UPDATE sessions SET head = ?, redo = ? WHERE key = ?",
            (store._number(execute, whole.head), " ".join(whole.redo), state.key),
        )
        return store._state(execute, "WHERE s.name = ?", name)

    return store._transaction(restored)


def _add_attempt(execute: Any, session: int, attempt: Any, base: int | None) -> None:
    values = (key_of(attempt.id), session, base, attempt.place, attempt.outcome, attempt.body)
    execute(
        "INSERT INTO attempts (id, session, base, place, outcome, record) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        values,
    )
