"""A store that lives and ends with its process, for tests and short programs."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from multiturn.stores.fts5 import Fts5, merge
from multiturn.stores.migrations import NEWEST, migrate
from multiturn.stores.reading import Execute
from multiturn.stores.sql import SqlStore
from multiturn.stores.sqlite import CLOCK, TYPES, Connection


class MemoryStore(SqlStore):
    """Sessions in this process's memory, with the rules of every other store.

    May be shared by threads.  A forked child has a copy of its own.  ``close()`` does
    nothing: what it holds lasts as long as the object.
    """

    index = Fts5()
    clock = CLOCK

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

    @contextmanager
    def _transaction(self, *, is_durable: bool = True) -> Iterator[Execute]:
        if self._process_id != os.getpid():  # the thread that held the lock is not here
            self._lock, self._process_id = threading.RLock(), os.getpid()
        with self._lock:
            database = self._database
            try:
                database.execute("BEGIN")
                yield database.execute
                database.execute("COMMIT")
            finally:
                if database.in_transaction:
                    database.execute("ROLLBACK")

    def _alone(
        self, statement: str, values: Sequence[Any] = (), *, is_durable: bool = True
    ) -> sqlite3.Cursor:
        with self._transaction() as execute:
            cursor: sqlite3.Cursor = execute(statement, values)
        return cursor

    @contextmanager
    def _reading(self) -> Iterator[Execute]:
        with self._transaction() as execute:
            yield execute

    def _compact(self) -> None:
        merge(self._transaction)
        with self._lock:
            self._database.execute("VACUUM")

    def close(self) -> None:
        """Do nothing."""
