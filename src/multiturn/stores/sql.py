"""The store's rules, written once in SQL that SQLite and PostgreSQL share.

A session is one row, and every change of it is one ``UPDATE … WHERE version = ?``: of
two writers one finds no row and knows that it lost.  Turns are rows that are never
updated.  What differs between databases is in the classes that inherit.
"""

from __future__ import annotations

import functools
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from multiturn.checks import seconds
from multiturn.errors import SessionBusy
from multiturn.stores import retention, whole
from multiturn.stores.errors import Conflict, SessionExists, SessionMissing
from multiturn.stores.holder import lives, this_process, under_way
from multiturn.stores.protocol import (
    Blobs,
    SessionState,
    StoredTurn,
    WholeSession,
    require_name,
)
from multiturn.stores.reading import Execute, SqlReader
from multiturn.stores.recent import RecentTurns
from multiturn.stores.record import Record
from multiturn.stores.rows import FREE, SESSION, key_of, session_of

# How often a change is tried again when another came first, before it is called a conflict.
_TRIES = 20
# What a commit changes in a session's row.
_MOVED = f"head = (SELECT number FROM turns WHERE id = ?), redo = '', {FREE}"


class SqlStore(SqlReader):
    """A store in an SQL database.

    Args:
        lease_seconds: How long a turn under way keeps its session when its process is
            not heard of any more; a living one renews it.
    """

    # What becomes of a blob that is there already; it must not be deleted by others meanwhile.
    _if_there = "DO NOTHING"

    def __init__(self, *, lease_seconds: float = 60) -> None:
        seconds("lease_seconds", lease_seconds)
        self.lease_seconds = lease_seconds
        # Belongs to whoever makes turns of rows.
        self.recent = RecentTurns()

    # -- sessions ------------------------------------------------------------------------

    def open(self, name: str) -> SessionState:
        """Return a session, begun if there is none of this name."""
        return self.state(name) or self._created(name, None, must_be_new=False)

    def create(self, name: str, head: str | None) -> SessionState:
        """Begin a session at a turn; SessionExists if the name is taken."""
        return self._created(name, head, must_be_new=True)

    def _created(self, name: str, head: str | None, *, must_be_new: bool) -> SessionState:
        def created(execute: Execute) -> SessionState:
            inserted = execute(
                "INSERT INTO sessions (name, head, version, redo, changed_at) "
                "VALUES (?, ?, 0, '', ?) ON CONFLICT (name) DO NOTHING",
                (require_name(name), self._number(execute, head), time.time()),
            )
            if must_be_new and inserted.rowcount != 1:
                raise SessionExists(name, store=self.address)
            return self._state(execute, "WHERE s.name = ?", name)

        return self._transaction(created)

    def restore(self, name: str, session: WholeSession) -> SessionState:
        """Begin a session with everything that another had."""
        return whole.restore(self, name, session)

    def rename(self, name: str, new_name: str) -> SessionState:
        """Give a session another name."""
        require_name(name)

        def renamed(execute: Execute) -> SessionState:
            taken = execute(
                "SELECT 1 FROM sessions WHERE name = ?", (require_name(new_name),)
            ).fetchone()
            if taken:
                raise SessionExists(new_name, store=self.address)
            changed = execute("UPDATE sessions SET name = ? WHERE name = ?", (new_name, name))
            if changed.rowcount != 1:
                raise SessionMissing(name, store=self.address)
            return self._state(execute, "WHERE s.name = ?", new_name)

        return self._transaction(renamed)

    # -- retention -----------------------------------------------------------------------

    def delete(self, name: str, *, even_if_busy: bool = False) -> None:
        """Delete a session, and its turns that no other session has."""
        self._delete_alone(require_name(name), even_if_busy)
        self._sweep()

    def _delete_alone(self, name: str, even_if_busy: bool) -> None:
        retention.delete(self, name, even_if_busy=even_if_busy)

    def _sweep(self) -> None:
        retention.sweep(self)

    def erase(self, turn_id: str) -> None:
        """Erase what was said in a turn, wherever it is part of a conversation."""
        try:
            retention.erase(self, turn_id)
            self._scrub()
        finally:
            self.recent.forget()

    def _scrub(self) -> None:
        """Make what was erased unreadable as far as can be done at once."""

    def prune(
        self,
        *,
        before: float | None = None,
        older_than_seconds: float | None = None,
        prefix: str = "",
    ) -> int:
        """Delete sessions that were not changed for long, and attempts that old."""
        return retention.prune(self, retention.moment(before, older_than_seconds), prefix)

    def vacuum(self) -> None:
        """Give the space of what was deleted back; nothing of it can be read any more."""
        retention.sweep(self)
        self._compact()

    @abstractmethod
    def _compact(self) -> None:
        """Write everything anew, without what lies between."""

    # -- turns under way -----------------------------------------------------------------

    def begin(self, state: SessionState, attempt: str, record: Record) -> SessionState:
        """Note a turn that is about to be asked for, and lease the session for it."""
        try:
            # First: whoever sees the lease in the store must find here that it lives.
            under_way[attempt] = bool(record.blobs)
            return self._begun(state, attempt, record)
        except BaseException:
            under_way.pop(attempt, None)
            raise

    def _begun(self, state: SessionState, attempt: str, record: Record) -> SessionState:
        if not (state.attempt or record.blobs):
            # Nearly always nobody has changed it since it was seen.
            not_durable = functools.partial(self._alone, is_durable=False)
            if (begun := self._lease(not_durable, state, attempt, record)) is not None:
                return begun

        def anew(execute: Execute) -> SessionState:
            row = self._row(execute, state)
            if row.attempt == attempt:
                return row
            self._require_free(execute, row)
            self._take_over(execute, row)
            while (begun := self._lease(execute, row, attempt, record)) is None:
                row = self._row(execute, state)  # something was erased meanwhile
            return begun

        return self._transaction(anew, is_durable=False)

    def _lease(
        self, execute: Execute, row: SessionState, attempt: str, record: Record
    ) -> SessionState | None:
        """Lease a session if it is still as it was read; None if it is not."""
        # RETURNING would cost SQLite half as much again; so what may change without the
        # version is compared too.
        leased = execute(
            f"UPDATE sessions SET attempt = ?, holder = ?, expires_at = {self.clock} + ?, "
            "began = version + 1, record = ?, version = version + 1, "
            f"changed_at = {self.latest}(changed_at, ?) "
            "WHERE key = ? AND version = ? AND name = ? AND (SELECT total FROM erasures) = ?",
            (
                *(attempt, this_process(), self.lease_seconds, record.body, time.time()),
                *(row.key, row.version, row.name, row.erasures),
            ),
        )
        if leased.rowcount != 1:
            return None
        self._use(execute, key_of(attempt), record.blobs)
        # Made anew: _replace() takes six times as long.
        return SessionState(
            *(row.key, row.name, row.head, row.turns, row.version + 1, row.redo),
            *(attempt, row.changed_at, row.erasures),
        )

    def note(self, state: SessionState, record: Record) -> None:
        """Record how far the attempt of ``state`` has come; nothing if it has ended."""
        self._transaction(self._write, state, record)

    def renew(self, states: Iterable[SessionState]) -> None:
        """Prolong the leases of attempts that are still under way."""

        def renewed(execute: Execute) -> None:
            for state in states:
                execute(
                    f"UPDATE sessions SET expires_at = {self.clock} + ? "
                    "WHERE key = ? AND attempt = ?",
                    (self.lease_seconds, state.key, state.attempt),
                )

        self._transaction(renewed, is_durable=False)

    def commit(
        self, state: SessionState, turns: Sequence[StoredTurn], blobs: Blobs
    ) -> SessionState:
        """Add turns and move the head to the last, if nothing happened since ``begin``."""
        committed = self._transaction(self._committed, state, turns, blobs)
        under_way.pop(state.attempt, None)
        return committed

    def _committed(
        self, execute: Execute, state: SessionState, turns: Sequence[StoredTurn], blobs: Blobs
    ) -> SessionState:
        head, first = turns[-1], self._depth_after(execute, state, turns[0].parent)
        for depth, turn in enumerate(turns, first):
            if not self._insert(execute, state, turn, depth, blobs):
                return self._done_before(execute, state, head)
        if not self._set(execute, state, _MOVED, key_of(head.id)):
            self._row(execute, state)  # says so if it was deleted
            raise Conflict(
                state.name, "the turn's lease was lost while it was asked", store=self.address
            )
        # Also where the turn has none: what had arrived of another reply may have had some.
        if under_way.get(state.attempt, True):
            execute("DELETE FROM uses WHERE owner = ?", (key_of(state.attempt),))
        return SessionState(
            *(state.key, state.name, head.id, first + len(turns), state.version + 1, ()),
            *("", state.changed_at, state.erasures),
        )

    def _depth_after(self, execute: Execute, state: SessionState, parent: str | None) -> int:
        """Return how many turns precede one that follows ``parent``."""
        if parent == state.head:
            return state.turns
        self._row(execute, state)  # where that was deleted, the parent may be too
        return self._place(execute, parent)[1] + 1

    def _done_before(self, execute: Execute, state: SessionState, head: StoredTurn) -> SessionState:
        if execute("SELECT 1 FROM turns WHERE id = ?", (key_of(head.id),)).fetchone() is None:
            reason = "turns that this one follows were added without it"
            raise Conflict(state.name, reason, store=self.address)
        return self._row(execute, state)

    def _insert(
        self,
        execute: Execute,
        state: SessionState,
        turn: StoredTurn,
        depth: int,
        blobs: Blobs,
    ) -> bool:
        """Add a turn that so many precede; return whether it was not there before."""
        key, parent = key_of(turn.id), key_of(turn.parent) if turn.parent else None
        inserted = execute(
            "INSERT INTO turns (id, parent, depth, session, place, body) "
            "VALUES (?, (SELECT number FROM turns WHERE id = ?), ?, ?, ?, ?) "
            "ON CONFLICT (id) DO NOTHING",
            (key, parent, depth, state.key, state.version + 1, turn.body),
        )
        if inserted.rowcount != 1:
            return False
        if turn.blobs:
            self._use(execute, key, {name: blobs[name] for name in turn.blobs})
        return True

    def settle(self, state: SessionState, outcome: str, record: Record) -> None:
        """Note how the attempt of ``state`` ended, which became no turn; the first note stays."""
        under_way.pop(state.attempt, None)

        def settled(execute: Execute) -> None:
            if self._write(execute, state, record):
                row = self._row(execute, state)
                self._take_over(execute, row, outcome)
                self._set(execute, row, FREE)

        self._transaction(settled, is_durable=outcome == "paused")

    def move(self, state: SessionState, head: str | None, redo: Sequence[str] = ()) -> SessionState:
        """Point a session at another turn, if its head is still ``state``'s."""

        def moved(execute: Execute) -> SessionState | None:
            row = self._row(execute, state)
            self._require_free(execute, row)
            if row.head != state.head:
                raise Conflict(state.name, "its head was moved", store=self.address)
            self._take_over(execute, row)
            change = f"head = ?, redo = ?, {FREE}"
            if self._set(execute, row, change, self._number(execute, head), " ".join(redo)):
                return self._row(execute, state)
            return None

        for _ in range(_TRIES):
            if (now := self._transaction(moved)) is not None:
                return now
        raise Conflict(state.name, "others changed it again and again", store=self.address)

    # -- within a transaction ------------------------------------------------------------

    def _state(self, execute: Execute, where: str, *values: Any) -> SessionState:
        return session_of(execute(SESSION + where, values).fetchone())

    def _row(self, execute: Execute, state: SessionState) -> SessionState:
        """Return a session as it is now, by its key."""
        row = execute(SESSION + "WHERE s.key = ?", (state.key,)).fetchone()
        if row is None:
            raise SessionMissing(state.name, store=self.address)
        return session_of(row)

    def _set(self, execute: Execute, row: SessionState, change: str, *values: Any) -> bool:
        """Change a session if it is still as it was read; return whether it was."""
        changed = execute(
            f"UPDATE sessions SET {change}, version = version + 1, "
            f"changed_at = {self.latest}(changed_at, ?) "
            "WHERE key = ? AND version = ?",
            (*values, time.time(), row.key, row.version),
        )
        return bool(changed.rowcount == 1)

    def _require_free(self, execute: Execute, row: SessionState) -> None:
        """Raise SessionBusy if an attempt holds the session and is alive."""
        if not row.attempt:
            return
        holder, until = execute(
            "SELECT holder, expires_at FROM sessions WHERE key = ?", (row.key,)
        ).fetchone()
        now = self._now(execute)
        if lives(row.attempt, holder, until, now):
            raise SessionBusy(
                f"another turn of session {row.name!r} is under way; call again when it has "
                "ended; if the process that asks has died, the session is free in "
                f"{until - now:.0f} seconds"
            )

    def _take_over(self, execute: Execute, row: SessionState, outcome: str = "interrupted") -> None:
        """Put the attempt that a session has, if any, among those that came to nothing."""
        if row.attempt:
            execute(
                "INSERT INTO attempts (id, session, base, place, outcome, record, ended_at) "
                "SELECT ?, key, head, began, ?, record, ? FROM sessions WHERE key = ? "
                "ON CONFLICT (id) DO NOTHING",
                (key_of(row.attempt), outcome, time.time(), row.key),
            )

    def _number(self, execute: Execute, turn: str | None) -> int | None:
        return self._place(execute, turn)[0]

    def _place(self, execute: Execute, turn: str | None) -> tuple[int | None, int]:
        """Return a turn's number and how many precede it; None and -1 for no turn."""
        if turn is None:
            return None, -1
        row = execute("SELECT number, depth FROM turns WHERE id = ?", (key_of(turn),)).fetchone()
        if row is None:
            raise Conflict("", f"turn {turn[:12]} is not stored any more", store=self.address)
        return row[0], row[1]

    def _write(self, execute: Execute, state: SessionState, record: Record) -> bool:
        """Replace what is recorded of an attempt; return whether it is still under way."""
        changed = execute(
            f"UPDATE sessions SET record = ?, expires_at = {self.clock} + ? "
            "WHERE key = ? AND attempt = ?",
            (record.body, self.lease_seconds, state.key, state.attempt),
        )
        if changed.rowcount and record.blobs:
            if state.attempt in under_way:
                under_way[state.attempt] = True
            self._use(execute, key_of(state.attempt), record.blobs)
        return bool(changed.rowcount)

    def _use(self, execute: Execute, owner: bytes, blobs: Blobs) -> None:
        """Keep blobs for as long as a turn or an attempt has need of them."""
        for name, data in blobs.items():
            execute(
                "INSERT INTO blobs (hash, bytes) VALUES (?, ?) "
                f"ON CONFLICT (hash) {self._if_there}",
                (key_of(name), data),
            )
            execute(
                "INSERT INTO uses (owner, hash) VALUES (?, ?) ON CONFLICT (owner, hash) DO NOTHING",
                (owner, key_of(name)),
            )
