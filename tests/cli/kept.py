"""What a file of conversations has, and how it is made to look older."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from multiturn import SQLiteStore

# Runs a command, or asks a question: gives the exit code and what was written.
Run = Callable[..., tuple[int, str, str]]


def names(file: Path) -> list[str]:
    return [state.name for state in SQLiteStore(file).sessions()]


def changed(file: Path, name: str, days_ago: float) -> None:
    """Make a session look as if it was changed so long ago."""
    _put(file, "UPDATE sessions SET changed_at = ? WHERE name = ?", name, days_ago)


def ended(file: Path, name: str, days_ago: float) -> None:
    """Make what was tried in a session look as if it ended so long ago."""
    key = "SELECT key FROM sessions WHERE name = ?"
    _put(file, f"UPDATE attempts SET ended_at = ? WHERE session = ({key})", name, days_ago)


def _put(file: Path, statement: str, name: str, days_ago: float) -> None:
    with sqlite3.connect(file) as database:
        database.execute(statement, (time.time() - 86400 * days_ago, name))
    database.close()
