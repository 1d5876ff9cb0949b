"""A store that lives and ends with its process, for tests and short programs."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Any, Never

from multiturn.errors import UsageError
from multiturn.stores.fts5 import Fts5, merge
from multiturn.stores.migrations import NEWEST, migrate
from multiturn.stores.reading import Execute, Given, T
from multiturn.stores.sql import SqlStore
from multiturn.stores.sqlite import CLOCK, TYPES
from multiturn.stores.sqlite_connection import Connection, within


class MemoryStore(SqlStore):
    """Sessions in this process's memory, with the rules of every other store.

    May be shared by threads.  A forked child has a copy of its own.  ``close()`` does
    nothing: what it holds lasts as long as the object.
    """

    index = Fts5()
    clock, latest = CLOCK, "max"

    def __init__(self, *, lease_seconds: float = 60) -> None:
        super().__init__(lease_seconds=lease_seconds)
        self._lock, self._process_id = threading.RLock(), os.getpid()
        self._database = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, factory=Connection
        )
        for version in range(NEWEST):
            migrate(self._database.execute, TYPES, version)

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return "memory"

    def __reduce__(self) -> Never:
        raise UsageError(
            "a MemoryStore ends with its process, and cannot be pickled; SQLiteStore(path) can"
        )

    def _transaction(
        self, work: Callable[[Execute, *Given], T], *given: *Given, is_durable: bool = True
    ) -> T:
        if self._process_id != os.getpid():  # the thread that held the lock is not here
            self._lock, self._process_id = threading.RLock(), os.getpid()
        with self._lock:
            return within("BEGIN", self._database, work, *given)

    def _alone(
        self, statement: str, values: Sequence[Any] = (), *, is_durable: bool = True
    ) -> sqlite3.Cursor:
        return self._transaction(lambda execute: execute(statement, values))  # type: ignore[no-any-return]

    def _reading(self, work: Callable[[Execute, *Given], T], *given: *Given) -> T:
        return self._transaction(work, *given)

    def _compact(self) -> None:
        merge(self)
        with self._lock:
            self._database.execute("VACUUM")

    def close(self) -> None:
        """Do nothing."""
