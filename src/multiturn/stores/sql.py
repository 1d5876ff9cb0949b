"""The store's rules, written once in SQL that SQLite and PostgreSQL share.

A session is one row, and every change of it is one ``UPDATE … WHERE version = ?``: of
two writers one finds no row and knows that it lost.  Turns are rows that are never
updated.  What differs between databases is in the classes that inherit.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from multiturn.errors import SessionBusy
from multiturn.stores.errors import Conflict, SessionExists, SessionMissing
from multiturn.stores.holder import lives, this_process, under_way
from multiturn.stores.protocol import (
    Blobs,
    SessionState,
    StoredAttempt,
    StoredTurn,
    require_name,
)
from multiturn.stores.record import Record
from multiturn.stores.rows import (
    LINE,
    SESSION,
    TURN,
    attempt_of,
    key_of,
    session_of,
    turn_of,
)
from multiturn.stores.sweep import sweep

# Sends one statement with its values; gives something with fetchone, fetchall, rowcount.
Execute = Callable[..., Any]

# More turns than any conversation has.
_ALL = 2**60
# What the row of a session is when no turn is under way.
_FREE = "attempt = '', holder = NULL, expires_at = NULL, began = NULL, record = NULL"
# How often a change is tried again when another came first, before it is called a conflict.
_TRIES = 20


class SqlStore(ABC):
    """A store in an SQL database.

    Args:
        lease_seconds: How long a turn under way keeps its session when its process is
            not heard of any more; a living one renews it.
    """

    def __init__(self, *, lease_seconds: float = 60) -> None:
        self.lease_seconds = lease_seconds

    # -- what a database brings ----------------------------------------------------------

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, for people; without a password."""

    @abstractmethod
    def _transaction(self, *, is_durable: bool = True) -> AbstractContextManager[Execute]:
        """Write: commit at the end, roll back on an error.

        Without ``is_durable`` what is written survives the end of the process at once,
        and a power cut as soon as something durable follows.
        """

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Execute]:
        """Read one consistent state."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    def _now(self, execute: Execute) -> float:
        """Return the time that all holders of leases share, in seconds since 1970."""
        return time.time()

    # -- sessions ------------------------------------------------------------------------

    def open(self, name: str) -> SessionState:
        """Return a session, begun if there is none of this name."""
        return self.state(name) or self._created(name, None, must_be_new=False)

    def create(self, name: str, head: str | None) -> SessionState:
        """Begin a session at a turn; SessionExists if the name is taken."""
        return self._created(name, head, must_be_new=True)

    def _created(self, name: str, head: str | None, *, must_be_new: bool) -> SessionState:
        with self._transaction() as execute:
            inserted = execute(
                "INSERT INTO sessions (name, head, version, redo, changed_at) "
                "VALUES (?, ?, 0, '', ?) ON CONFLICT (name) DO NOTHING",
                (require_name(name), self._number(execute, head), time.time()),
            )
            if must_be_new and inserted.rowcount != 1:
                raise SessionExists(name, store=self.address)
            return self._state(execute, "WHERE s.name = ?", name)

    def state(self, name: str) -> SessionState | None:
        """Return a session, None if there is none of this name."""
        with self._reading() as execute:
            row = execute(SESSION + "WHERE s.name = ?", (require_name(name),)).fetchone()
        return session_of(row) if row else None

    def sessions(self, prefix: str = "") -> list[SessionState]:
        """Return the sessions whose names begin so, by name."""
        with self._reading() as execute:
            rows = execute(
                SESSION + "WHERE s.name >= ? AND s.name < ? ORDER BY s.name",
                (prefix, prefix + "\U0010ffff"),
            ).fetchall()
        return [session_of(row) for row in rows]

    def rename(self, name: str, new_name: str) -> SessionState:
        """Give a session another name."""
        with self._transaction() as execute:
            taken = execute(
                "SELECT 1 FROM sessions WHERE name = ?", (require_name(new_name),)
            ).fetchone()
            if taken:
                raise SessionExists(new_name, store=self.address)
            changed = execute("UPDATE sessions SET name = ? WHERE name = ?", (new_name, name))
            if changed.rowcount != 1:
                raise SessionMissing(name, store=self.address)
            return self._state(execute, "WHERE s.name = ?", new_name)

    def delete(self, name: str) -> None:
        """Delete a session, and its turns that no other session has."""
        with self._transaction() as execute:
            row = execute("SELECT key, attempt FROM sessions WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise SessionMissing(name, store=self.address)
            execute(
                "DELETE FROM uses WHERE owner IN (SELECT id FROM attempts WHERE session = ?)",
                (row[0],),
            )
            if row[1]:
                execute("DELETE FROM uses WHERE owner = ?", (key_of(row[1]),))
            row = row[:1]
            execute("DELETE FROM attempts WHERE session = ?", row)
            execute("DELETE FROM sessions WHERE key = ?", row)
            execute("UPDATE turns SET session = NULL WHERE session = ?", row)
        sweep(self._transaction)

    # -- turns under way -----------------------------------------------------------------

    def begin(self, state: SessionState, attempt: str, record: Record) -> SessionState:
        """Note a turn that is about to be asked for, and lease the session for it."""
        change = "attempt = ?, holder = ?, expires_at = ?, began = version + 1, record = ?"
        for _ in range(_TRIES):
            with self._transaction(is_durable=False) as execute:
                row = self._row(execute, state)
                if row.attempt == attempt:
                    return row
                self._require_free(execute, row)
                until = self._now(execute) + self.lease_seconds
                self._take_over(execute, row)
                lease = (attempt, this_process(), until, record.body)
                if self._set(execute, row, change, *lease):
                    under_way.add(attempt)
                    self._use(execute, key_of(attempt), record.blobs)
                    return row._replace(version=row.version + 1, attempt=attempt)
        raise Conflict(state.name, "others changed it again and again", store=self.address)

    def note(self, state: SessionState, record: Record) -> None:
        """Record how far the attempt of ``state`` has come; nothing if it has ended."""
        with self._transaction() as execute:
            self._write(execute, state, record)

    def renew(self, states: Iterable[SessionState]) -> None:
        """Prolong the leases of attempts that are still under way."""
        with self._transaction(is_durable=False) as execute:
            until = self._now(execute) + self.lease_seconds
            for state in states:
                execute(
                    "UPDATE sessions SET expires_at = ? WHERE key = ? AND attempt = ?",
                    (until, state.key, state.attempt),
                )

    def commit(
        self, state: SessionState, turns: Sequence[StoredTurn], blobs: Blobs
    ) -> SessionState:
        """Add turns and move the head to the last, if nothing happened since ``begin``."""
        head = turns[-1]
        with self._transaction() as execute:
            if execute("SELECT 1 FROM turns WHERE id = ?", (key_of(head.id),)).fetchone():
                return self._row(execute, state)
            number = self._number(execute, turns[0].parent)
            for turn in turns:
                number = self._insert(execute, state, turn, number, blobs)
            if not self._set(execute, state, f"head = ?, redo = '', {_FREE}", number):
                raise Conflict(
                    state.name, "the turn's lease was lost while it was asked", store=self.address
                )
            if blobs:
                execute("DELETE FROM uses WHERE owner = ?", (key_of(state.attempt),))
        under_way.discard(state.attempt)
        return state._replace(
            head=head.id, turns=head.number + 1, version=state.version + 1, redo=(), attempt=""
        )

    def _insert(
        self,
        execute: Execute,
        state: SessionState,
        turn: StoredTurn,
        parent: int | None,
        blobs: Blobs,
    ) -> int:
        values = (key_of(turn.id), parent, turn.number, state.key, state.version + 1, turn.body)
        row = execute(
            "INSERT INTO turns (id, parent, depth, session, place, body) "
            "VALUES (?, ?, ?, ?, ?, ?) RETURNING number",
            values,
        ).fetchone()
        self._use(execute, values[0], {name: blobs[name] for name in turn.blobs})
        return row[0]  # type: ignore[no-any-return]

    def settle(self, state: SessionState, outcome: str, record: Record) -> None:
        """Note how the attempt of ``state`` ended, which became no turn; the first note stays."""
        under_way.discard(state.attempt)
        with self._transaction(is_durable=outcome == "paused") as execute:
            if self._write(execute, state, record):
                row = self._row(execute, state)
                self._take_over(execute, row, outcome)
                self._set(execute, row, _FREE)

    def move(self, state: SessionState, head: str | None, redo: Sequence[str] = ()) -> SessionState:
        """Point a session at another turn, if its head is still ``state``'s."""
        for _ in range(_TRIES):
            with self._transaction() as execute:
                row = self._row(execute, state)
                self._require_free(execute, row)
                if row.head != state.head:
                    raise Conflict(state.name, "its head was moved", store=self.address)
                self._take_over(execute, row)
                change = f"head = ?, redo = ?, {_FREE}"
                if self._set(execute, row, change, self._number(execute, head), " ".join(redo)):
                    return self._row(execute, state)
        raise Conflict(state.name, "others changed it again and again", store=self.address)

    # -- reading -------------------------------------------------------------------------

    def line(self, head: str, limit: int | None = None) -> list[StoredTurn]:
        """Return a turn and those before it, newest first."""
        with self._reading() as execute:
            rows = execute(
                f"{LINE} SELECT {TURN} JOIN line ON line.number = t.number ORDER BY t.depth DESC",
                (limit or _ALL, key_of(head)),
            ).fetchall()
        return [turn_of(row) for row in rows]

    def tree(self, name: str) -> list[StoredTurn]:
        """Return all turns that were ever added in a session, by place."""
        with self._reading() as execute:
            rows = execute(
                f"SELECT {TURN} JOIN sessions s ON s.key = t.session "
                "WHERE s.name = ? ORDER BY t.place",
                (name,),
            ).fetchall()
        return [turn_of(row) for row in rows]

    def attempts(self, name: str) -> list[StoredAttempt]:
        """Return the turns of a session that were tried and did not become one, by place."""
        with self._reading() as execute:
            ended = execute(
                "SELECT a.id, b.id, a.place, a.outcome, a.record "
                "FROM attempts a JOIN sessions s ON s.key = a.session "
                "LEFT JOIN turns b ON b.number = a.base WHERE s.name = ? ORDER BY a.place",
                (name,),
            ).fetchall()
            open_ = execute(
                "SELECT s.attempt, h.id, s.began, s.record, s.holder, s.expires_at "
                "FROM sessions s LEFT JOIN turns h ON h.number = s.head "
                "WHERE s.name = ? AND s.attempt <> ''",
                (name,),
            ).fetchall()
            now = self._now(execute)
        ended = [attempt_of(row) for row in ended]
        for key, base, place, record, holder, until in open_:
            alive = until > now and lives(key, holder)
            ended.append(attempt_of((key_of(key), base, place, "open", record), alive))
        return ended

    def blobs(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """Return bytes by their SHA-256 in hexadecimal; those not there are left out."""
        found = {}
        with self._reading() as execute:
            for name in hashes:
                row = execute("SELECT bytes FROM blobs WHERE hash = ?", (key_of(name),)).fetchone()
                if row:
                    found[name] = bytes(row[0])
        return found

    def check(self) -> list[str]:
        """Verify everything stored; return what is wrong, one line each."""
        from multiturn.stores.verify import findings

        with self._reading() as execute:
            return [*self._broken_file(execute), *findings(execute)]

    def _broken_file(self, execute: Execute) -> Iterator[str]:
        """Name what the database itself finds wrong with its file."""
        return iter(())

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
            f"UPDATE sessions SET {change}, version = version + 1, changed_at = ? "
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
        if until > now and lives(row.attempt, holder):
            raise SessionBusy(
                f"another turn of session {row.name!r} is under way; unless its process is heard "
                f"of again, its lease ends in {until - now:.0f} seconds"
            )

    def _take_over(self, execute: Execute, row: SessionState, outcome: str = "interrupted") -> None:
        """Put the attempt that a session has, if any, among those that came to nothing."""
        if row.attempt:
            execute(
                "INSERT INTO attempts (id, session, base, place, outcome, record) "
                "SELECT ?, key, head, began, ?, record FROM sessions WHERE key = ? "
                "ON CONFLICT (id) DO NOTHING",
                (key_of(row.attempt), outcome, row.key),
            )

    def _number(self, execute: Execute, turn: str | None) -> int | None:
        if turn is None:
            return None
        row = execute("SELECT number FROM turns WHERE id = ?", (key_of(turn),)).fetchone()
        if row is None:
            raise Conflict("", f"turn {turn[:12]} is not stored any more", store=self.address)
        return row[0]  # type: ignore[no-any-return]

    def _write(self, execute: Execute, state: SessionState, record: Record) -> bool:
        """Replace what is recorded of an attempt; return whether it is still under way."""
        changed = execute(
            "UPDATE sessions SET record = ?, expires_at = ? WHERE key = ? AND attempt = ?",
            (record.body, self._now(execute) + self.lease_seconds, state.key, state.attempt),
        )
        if changed.rowcount:
            self._use(execute, key_of(state.attempt), record.blobs)
        return bool(changed.rowcount)

    def _use(self, execute: Execute, owner: bytes, blobs: Blobs) -> None:
        """Keep blobs for as long as a turn or an attempt has need of them."""
        for name, data in blobs.items():
            execute(
                "INSERT INTO blobs (hash, bytes) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING",
                (key_of(name), data),
            )
            execute(
                "INSERT INTO uses (owner, hash) VALUES (?, ?) ON CONFLICT (owner, hash) DO NOTHING",
                (owner, key_of(name)),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"
