"""What a store in an SQL database answers without changing a turn: lines, trees, searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self, TypeVar, TypeVarTuple

from multiturn.checks import whole
from multiturn.errors import InvalidContent
from multiturn.stores.holder import lives
from multiturn.stores.protocol import Found, SessionState, StoredAttempt, StoredTurn, require_name
from multiturn.stores.rows import (
    LINE,
    SESSION,
    TURN,
    attempt_of,
    key_of,
    names_from,
    session_of,
    turn_of,
)
from multiturn.stores.search import WordIndex, search

T = TypeVar("T")
Given = TypeVarTuple("Given")
# Sends one statement with its values; gives something with fetchone, fetchall, rowcount.
Execute = Callable[..., Any]

# More turns than any conversation has.
_ALL = 2**60
# Blobs asked for in one statement.
_BLOBS = 200


class SqlReader(ABC):
    """What an SQL database brings, and all reading.

    Attributes:
        index: How it finds words.
        clock: The time that all holders of leases share, as an expression in SQL, in
            seconds since 1970.
        latest: The function of SQL that gives the greatest of its arguments.
        threads: How many threads do what must not block an event loop.
        locking: What keeps others off the rows that a ``SELECT`` found, if that is needed.
    """

    index: WordIndex
    clock: str
    latest: str
    threads: int = 1
    locking = ""

    # -- what a database brings ----------------------------------------------------------

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it is, for people; without a password."""

    @abstractmethod
    def _transaction(
        self, work: Callable[[Execute, *Given], T], *given: *Given, is_durable: bool = True
    ) -> T:
        """Do work that writes: commit what it did at its end, roll it back on an error.

        Work is handed over, since a ``with`` statement whose end is written in Python can be
        interrupted before that end begins, and all stay locked out while the traceback is held.
        Without ``is_durable`` what is written survives the end of the process at once,
        and a power cut as soon as something durable follows.
        """

    @abstractmethod
    def _alone(self, statement: str, values: Sequence[Any] = (), *, is_durable: bool = True) -> Any:
        """Write with one statement that is a transaction of its own, as ``_transaction``."""

    @abstractmethod
    def _reading(self, work: Callable[[Execute, *Given], T], *given: *Given) -> T:
        """Do work that reads one consistent state."""

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        """Return what one statement reads."""
        return self._reading(lambda execute: list(execute(statement, values).fetchall()))

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    def _now(self, execute: Execute) -> float:
        return float(execute(f"SELECT {self.clock}").fetchone()[0])

    def _broken_file(self, execute: Execute) -> Iterator[str]:
        """Name what the database itself finds wrong with its file."""
        return iter(())

    # -- sessions ------------------------------------------------------------------------

    def state(self, name: str) -> SessionState | None:
        """Return a session, None if there is none of this name."""
        rows = self._rows(SESSION + "WHERE s.name = ?", (require_name(name),))
        return session_of(rows[0]) if rows else None

    def sessions(self, prefix: str = "") -> list[SessionState]:
        """Return the sessions whose names begin so, by name."""
        where = "WHERE s.name >= ? AND s.name < ? ORDER BY s.name"
        return [session_of(row) for row in self._rows(SESSION + where, names_from(prefix))]

    def search(self, query: str, prefix: str = "", limit: int = 20) -> list[Found]:
        """Return the messages in which all words of a query occur, newest first."""
        if not isinstance(query, str):
            raise InvalidContent("query", query, "a string")
        whole("limit", limit)
        return search(self, query, prefix, limit)

    # -- turns ---------------------------------------------------------------------------

    def line(self, head: str, limit: int | None = None) -> list[StoredTurn]:
        """Return a turn and those before it, newest first."""
        rows = self._rows(
            f"{LINE} SELECT {TURN} JOIN line ON line.number = t.number ORDER BY t.depth DESC",
            (limit or _ALL, key_of(head)),
        )
        return [turn_of(row) for row in rows]

    def tree(self, name: str) -> list[StoredTurn]:
        """Return all turns that were ever added in a session, by place."""
        rows = self._rows(
            f"SELECT {TURN} JOIN sessions s ON s.key = t.session WHERE s.name = ? ORDER BY t.place",
            (require_name(name),),
        )
        return [turn_of(row) for row in rows]

    def attempts(self, name: str) -> list[StoredAttempt]:
        """Return the turns of a session that were tried and did not become one, by place."""
        return self._reading(self._attempts, require_name(name))

    def _attempts(self, execute: Execute, name: str) -> list[StoredAttempt]:
        rows = execute(
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
        ended = [attempt_of(row) for row in rows]
        for key, base, place, record, holder, until in open_:
            alive = lives(key, holder, until, now)
            ended.append(attempt_of((key_of(key), base, place, "open", record), alive))
        return ended

    def blobs(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """Return bytes by their SHA-256 in hexadecimal; those not there are left out."""
        found, wanted = {}, [key_of(name) for name in {*hashes}]
        for first in range(0, len(wanted), _BLOBS):
            some = wanted[first : first + _BLOBS]
            marks = ", ".join("?" * len(some))
            for key, data in self._rows(
                f"SELECT hash, bytes FROM blobs WHERE hash IN ({marks})", some
            ):
                found[bytes(key).hex()] = bytes(data)
        return found

    def check(self) -> list[str]:
        """Verify everything stored; return what is wrong, one line each."""
        from multiturn.stores.verify import findings

        return self._reading(lambda execute: [*self._broken_file(execute), *findings(execute)])
