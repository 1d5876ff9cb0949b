"""A connection to an SQLite file, and a transaction on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from multiturn.stores.reading import Execute, Given, T


class Connection(sqlite3.Connection):
    """A connection that is closed when nobody has it any more; Python 3.13 only warns."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it never was one: no such file
            self.close()


def within(
    begin: str, database: sqlite3.Connection, work: Callable[[Execute, *Given], T], *given: *Given
) -> T:
    """Do work in a transaction, and return what it does; nothing of it is done if it raises."""
    # Signals come between calls of functions in C, never within: after each this block is left.
    try:
        database.execute(begin)
        outcome = work(database.execute, *given)
        database.execute("COMMIT")
        return outcome
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")
