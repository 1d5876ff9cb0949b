"""The tables of a store, as numbered steps; forward only, each in one transaction.

A step is never changed once it was released: what comes later is a step of its own.
``{key}`` stands for a number that the database gives, ``{bytes}`` for bytes, ``{text}``
for text that is ordered by its code points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_FIRST = (
    # version: grows with every change.  redo: identities, separated by spaces.
    # attempt: the turn under way, "" if none; with who holds the lease, until when, the
    # version at which it began, and its record.  Times are in seconds since 1970.
    """CREATE TABLE sessions (
        key {key},
        name {text} NOT NULL UNIQUE,
        head BIGINT,
        version BIGINT NOT NULL,
        redo TEXT NOT NULL,
        changed_at DOUBLE PRECISION NOT NULL,
        attempt TEXT NOT NULL DEFAULT '',
        holder TEXT,
        expires_at DOUBLE PRECISION,
        began BIGINT,
        record {bytes}
    )""",
    # depth: how many turns precede it.  session: where it was said, NULL if deleted.
    # place: that session's version at the time.
    """CREATE TABLE turns (
        number {number},
        id {bytes} NOT NULL UNIQUE,
        parent BIGINT,
        depth BIGINT NOT NULL,
        session BIGINT,
        place BIGINT NOT NULL,
        body {bytes} NOT NULL
    )""",
    "CREATE INDEX turns_of_session ON turns (session, place)",
    # Turns that were tried and came to nothing; place: the version at which each began.
    """CREATE TABLE attempts (
        id {bytes} PRIMARY KEY,
        session BIGINT NOT NULL,
        base BIGINT,
        place BIGINT NOT NULL,
        outcome TEXT NOT NULL,
        record {bytes} NOT NULL
    )""",
    "CREATE INDEX attempts_of_session ON attempts (session, place)",
    "CREATE TABLE blobs (hash {bytes} PRIMARY KEY, bytes {bytes} NOT NULL)",
    # owner: the turn or the attempt that has need of a blob.
    """CREATE TABLE uses (
        owner {bytes} NOT NULL,
        hash {bytes} NOT NULL,
        PRIMARY KEY (owner, hash)
    )""",
    "CREATE INDEX uses_of_blob ON uses (hash)",
)

STEPS = (_FIRST,)
NEWEST = len(STEPS)


def migrate(execute: Callable[[str], Any], types: Mapping[str, str], version: int) -> None:
    """Take the step after ``version``, within the caller's transaction."""
    for statement in STEPS[version]:
        execute(statement.format_map(types))
