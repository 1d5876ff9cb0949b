"""The store's rules, written once in SQL that SQLite and PostgreSQL share.

A session is one row, and every change of it is one ``UPDATE … WHERE version = ?``: of
two writers one finds no row and knows that it lost.  Turns are rows that are never
updated.  What differs between databases (connections, transactions, tables, search) is
in the classes that inherit from ``SqlStore``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

from multiturn.errors import SessionBusy
from multiturn.store_errors import Conflict, SessionExists, SessionMissing
from multiturn.stores.holder import is_dead, this_process
from multiturn.stores.protocol import (
    Blobs,
    SessionState,
    StoredAttempt,
    StoredTurn,
    require_name,
)

# Sends one statement with its values; gives something with fetchone, fetchall, rowcount.
Execute = Callable[..., Any]

_SESSION = """
SELECT s.key, s.name, h.id, coalesce(h.depth + 1, 0), s.version, s.redo, s.attempt, s.changed_at
FROM sessions s LEFT JOIN turns h ON h.number = s.head
"""
_TURN = "t.id, p.id, t.depth, t.place, t.body FROM turns t LEFT JOIN turns p ON p.number = t.parent"
_LINE = """
WITH RECURSIVE line(number, parent, rest) AS (
  SELECT number, parent, CAST(? AS BIGINT) FROM turns WHERE id = ?
  UNION ALL
  SELECT b.number, b.parent, line.rest - 1
  FROM line JOIN turns b ON b.number = line.parent WHERE line.rest > 1
)
"""
# More turns than any conversation has.
_ALL = 2**60
_BATCH = 500
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
        """Let go of files and connections; the next call opens them again."""

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
                "INSERT INTO sessions (name, head, version, redo, attempt, changed_at) "
                "VALUES (?, ?, 0, '', '', ?) ON CONFLICT (name) DO NOTHING",
                (require_name(name), self._number(execute, head), time.time()),
            )
            if must_be_new and inserted.rowcount != 1:
                raise SessionExists(name, store=self.address)
            return self._state(execute, "WHERE s.name = ?", name)

    def state(self, name: str) -> SessionState | None:
        """Return a session, None if there is none of this name."""
        with self._reading() as execute:
            row = execute(_SESSION + "WHERE s.name = ?", (require_name(name),)).fetchone()
        return _session(row) if row else None

    def sessions(self, prefix: str = "") -> list[SessionState]:
        """Return the sessions whose names begin so, by name."""
        with self._reading() as execute:
            rows = execute(
                _SESSION + "WHERE s.name >= ? AND s.name < ? ORDER BY s.name",
                (prefix, prefix + "\U0010ffff"),
            ).fetchall()
        return [_session(row) for row in rows]

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
            row = execute("SELECT key FROM sessions WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise SessionMissing(name, store=self.address)
            execute("DELETE FROM attempts WHERE session = ?", row)
            execute("DELETE FROM sessions WHERE key = ?", row)
            execute("UPDATE turns SET session = NULL WHERE session = ?", row)
        self._sweep()

    def _sweep(self) -> None:
        """Delete turns whose session is gone and to which no session leads, and loose blobs."""
        # Kept: what stands before a head, or before a turn that belongs to a session.
        kept = """
            WITH RECURSIVE kept(number) AS (
              SELECT head FROM sessions WHERE head IS NOT NULL
              UNION SELECT parent FROM turns WHERE session IS NOT NULL AND parent IS NOT NULL
              UNION SELECT t.parent FROM kept JOIN turns t ON t.number = kept.number
              WHERE t.parent IS NOT NULL AND t.session IS NULL
            )
        """
        # Children before parents, so that what is left is whole after each batch.
        loose = (
            kept + "SELECT number FROM turns WHERE session IS NULL "
            "AND number NOT IN (SELECT number FROM kept) ORDER BY depth DESC LIMIT ?"
        )
        while True:
            with self._transaction() as execute:
                rows = execute(loose, (_BATCH,)).fetchall()
                for row in rows:
                    execute("DELETE FROM turn_blobs WHERE turn = ?", row)
                    execute("DELETE FROM turns WHERE number = ?", row)
            if len(rows) < _BATCH:
                break
        with self._transaction() as execute:
            execute(
                "DELETE FROM blobs WHERE NOT EXISTS "
                "(SELECT 1 FROM turn_blobs l WHERE l.hash = blobs.hash)"
            )

    # -- turns under way -----------------------------------------------------------------

    def begin(self, state: SessionState, attempt: str, body: bytes) -> SessionState:
        """Note a turn that is about to be asked for, and lease the session for it."""
        with self._reading() as execute:  # a busy session is found out without writing
            self._require_free(execute, self._row(execute, state), attempt)
        for _ in range(_TRIES):
            with self._transaction(is_durable=False) as execute:
                row = self._row(execute, state)
                if row.attempt == attempt:
                    return row
                self._require_free(execute, row, attempt)
                if not self._set(execute, row, "attempt = ?", attempt):
                    continue
                if row.attempt:
                    self._drop(execute, row.attempt, "interrupted")
                execute(
                    "INSERT INTO attempts "
                    "(id, session, base, place, outcome, holder, expires_at, body) "
                    "VALUES (?, ?, ?, ?, 'open', ?, ?, ?)",
                    (
                        bytes.fromhex(attempt),
                        row.key,
                        self._number(execute, row.head),
                        row.version + 1,
                        this_process(),
                        self._now(execute) + self.lease_seconds,
                        body,
                    ),
                )
                return row._replace(version=row.version + 1, attempt=attempt)
        raise Conflict(state.name, "others changed it again and again", store=self.address)

    def note(self, attempt: str, body: bytes) -> None:
        """Record how far an attempt has come; does nothing if it has ended."""
        with self._transaction() as execute:
            execute(
                "UPDATE attempts SET body = ?, expires_at = ? WHERE id = ? AND outcome = 'open'",
                (body, self._now(execute) + self.lease_seconds, bytes.fromhex(attempt)),
            )

    def renew(self, attempts: Iterable[str]) -> None:
        """Prolong the leases of attempts that are still under way."""
        with self._transaction(is_durable=False) as execute:
            until = self._now(execute) + self.lease_seconds
            for attempt in attempts:
                execute(
                    "UPDATE attempts SET expires_at = ? WHERE id = ? AND outcome = 'open'",
                    (until, bytes.fromhex(attempt)),
                )

    def commit(
        self, state: SessionState, attempt: str, turn: StoredTurn, blobs: Blobs
    ) -> SessionState:
        """Add a turn and move the head to it, if nothing happened since ``begin``."""
        key = bytes.fromhex(turn.id)
        with self._transaction() as execute:
            if execute("SELECT 1 FROM turns WHERE id = ?", (key,)).fetchone():
                return self._row(execute, state)
            number = execute(
                "INSERT INTO turns (id, parent, depth, session, place, body) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING number",
                (
                    key,
                    self._number(execute, turn.parent),
                    turn.number,
                    state.key,
                    state.version + 1,
                    turn.body,
                ),
            ).fetchone()[0]
            self._add_blobs(execute, number, blobs)
            change = "head = ?, redo = '', attempt = ''"
            if state.attempt != attempt or not self._set(execute, state, change, number):
                raise Conflict(
                    state.name, "the turn's lease was lost while it was asked", store=self.address
                )
            execute("DELETE FROM attempts WHERE id = ?", (bytes.fromhex(attempt),))
        return state._replace(
            head=turn.id,
            turns=turn.number + 1,
            version=state.version + 1,
            redo=(),
            attempt="",
        )

    def settle(self, attempt: str, outcome: str, body: bytes) -> None:
        """Note how an attempt ended that became no turn; the first note stays."""
        with self._transaction(is_durable=outcome == "paused") as execute:
            execute(
                "UPDATE attempts SET body = ? WHERE id = ? AND outcome = 'open'",
                (body, bytes.fromhex(attempt)),
            )
            self._drop(execute, attempt, outcome)
            execute(
                "UPDATE sessions SET attempt = '', version = version + 1 WHERE attempt = ?",
                (attempt,),
            )

    def move(self, state: SessionState, head: str | None, redo: Sequence[str] = ()) -> SessionState:
        """Point a session at another turn, if its head is still ``state``'s."""
        for _ in range(_TRIES):
            with self._transaction() as execute:
                row = self._row(execute, state)
                self._require_free(execute, row, "")
                if row.head != state.head:
                    raise Conflict(state.name, "its head was moved", store=self.address)
                if row.attempt:
                    self._drop(execute, row.attempt, "interrupted")
                change = "head = ?, redo = ?, attempt = ''"
                if self._set(execute, row, change, self._number(execute, head), " ".join(redo)):
                    return self._row(execute, state)
        raise Conflict(state.name, "others changed it again and again", store=self.address)

    # -- reading -------------------------------------------------------------------------

    def line(self, head: str, limit: int | None = None) -> list[StoredTurn]:
        """Return a turn and those before it, newest first."""
        with self._reading() as execute:
            rows = execute(
                f"{_LINE} SELECT {_TURN} JOIN line ON line.number = t.number ORDER BY t.depth DESC",
                (limit or _ALL, bytes.fromhex(head)),
            ).fetchall()
        return [_turn(row) for row in rows]

    def tree(self, name: str) -> list[StoredTurn]:
        """Return all turns that were ever added in a session, by place."""
        with self._reading() as execute:
            rows = execute(
                f"SELECT {_TURN} JOIN sessions s ON s.key = t.session "
                "WHERE s.name = ? ORDER BY t.place",
                (name,),
            ).fetchall()
        return [_turn(row) for row in rows]

    def attempts(self, name: str) -> list[StoredAttempt]:
        """Return the turns of a session that were tried and did not become one, by place."""
        with self._reading() as execute:
            now = self._now(execute)
            rows = execute(
                "SELECT a.id, b.id, a.place, a.outcome, a.holder, a.expires_at, a.body "
                "FROM attempts a JOIN sessions s ON s.key = a.session "
                "LEFT JOIN turns b ON b.number = a.base WHERE s.name = ? ORDER BY a.place",
                (name,),
            ).fetchall()
        return [
            StoredAttempt(
                _hex(row[0]),
                _hex(row[1]) or None,
                row[2],
                row[3],
                row[3] == "open" and _lives(row[4], row[5], now),
                bytes(row[6]),
            )
            for row in rows
        ]

    def blobs(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """Return bytes by their SHA-256 in hexadecimal; those not there are left out."""
        found = {}
        with self._reading() as execute:
            for name in hashes:
                row = execute(
                    "SELECT bytes FROM blobs WHERE hash = ?", (bytes.fromhex(name),)
                ).fetchone()
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
        return _session(execute(_SESSION + where, values).fetchone())

    def _row(self, execute: Execute, state: SessionState) -> SessionState:
        """Return a session as it is now, by its key."""
        row = execute(_SESSION + "WHERE s.key = ?", (state.key,)).fetchone()
        if row is None:
            raise SessionMissing(state.name, store=self.address)
        return _session(row)

    def _set(self, execute: Execute, row: SessionState, change: str, *values: Any) -> bool:
        """Change a session if it is still as it was read; return whether it was."""
        changed = execute(
            f"UPDATE sessions SET {change}, version = version + 1, changed_at = ? "
            "WHERE key = ? AND version = ?",
            (*values, time.time(), row.key, row.version),
        )
        return bool(changed.rowcount == 1)

    def _require_free(self, execute: Execute, row: SessionState, attempt: str) -> None:
        """Raise SessionBusy if another attempt holds the session and is alive."""
        if row.attempt in ("", attempt):
            return
        held = execute(
            "SELECT holder, expires_at FROM attempts WHERE id = ?", (bytes.fromhex(row.attempt),)
        ).fetchone()
        if held and _lives(held[0], held[1], self._now(execute)):
            raise SessionBusy(
                f"another turn of session {row.name!r} is under way; its lease runs out "
                f"{max(0, held[1] - self._now(execute)):.0f} seconds after its holder was last "
                "heard of"
            )

    def _drop(self, execute: Execute, attempt: str, outcome: str) -> None:
        execute(
            "UPDATE attempts SET outcome = ? WHERE id = ? AND outcome = 'open'",
            (outcome, bytes.fromhex(attempt)),
        )

    def _number(self, execute: Execute, turn: str | None) -> int | None:
        if turn is None:
            return None
        row = execute("SELECT number FROM turns WHERE id = ?", (bytes.fromhex(turn),)).fetchone()
        if row is None:
            raise Conflict("", f"turn {turn[:12]} is not stored any more", store=self.address)
        return row[0]  # type: ignore[no-any-return]

    def _add_blobs(self, execute: Execute, turn: int, blobs: Blobs) -> None:
        for name, data in blobs.items():
            key = bytes.fromhex(name)
            execute(
                "INSERT INTO blobs (hash, bytes) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING",
                (key, data),
            )
            execute("INSERT INTO turn_blobs (turn, hash) VALUES (?, ?)", (turn, key))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"


def _hex(value: bytes | None) -> str:
    return bytes(value).hex() if value is not None else ""


def _lives(holder: str, expires_at: float, now: float) -> bool:
    return expires_at > now and not is_dead(holder)


def _session(row: Sequence[Any]) -> SessionState:
    key, name, head, turns, version, redo, attempt, changed_at = row
    return SessionState(
        key, name, _hex(head) or None, turns, version, tuple(redo.split()), attempt, changed_at
    )


def _turn(row: Sequence[Any]) -> StoredTurn:
    return StoredTurn(_hex(row[0]), _hex(row[1]) or None, row[2], row[3], bytes(row[4]))
