"""The tables of a store, as numbered steps; forward only, each in one transaction.

A step is never changed once it was released: what comes later is a step of its own.
``{key}`` stands for a number that the database gives, ``{bytes}`` for bytes, ``{text}``
for text that is ordered by its code points, ``{words}`` for what is searched.
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

_SECOND = (
    # Texts of turns as they are searched; every turn that was indexed has at least one.
    # parent: what the turn follows, in its first passage only.  content: which of the
    # turn's contents.  words: without case and accents.
    """CREATE TABLE passages (
        number {number},
        turn BIGINT NOT NULL,
        parent BIGINT,
        content BIGINT NOT NULL,
        words {words} NOT NULL
    )""",
    "CREATE INDEX passages_of_turn ON passages (turn)",
    "CREATE INDEX passages_of_parent ON passages (parent) WHERE parent IS NOT NULL",
    "{index_words}",
    # One row each.  seen: turns up to it were indexed.  settled: and none up to it can turn
    # up any more.  mark: what has to have ended before ``seen`` is settled.
    "CREATE TABLE indexing (settled BIGINT NOT NULL, seen BIGINT NOT NULL, mark TEXT NOT NULL)",
    "INSERT INTO indexing VALUES (0, 0, '')",
    "CREATE TABLE erasures (total BIGINT NOT NULL)",
    "INSERT INTO erasures VALUES (0)",
    # In seconds since 1970; NULL: not after its session last changed.
    "ALTER TABLE attempts ADD COLUMN ended_at DOUBLE PRECISION",
)

STEPS = (_FIRST, _SECOND)
NEWEST = len(STEPS)


def migrate(execute: Callable[[str], Any], types: Mapping[str, str], version: int) -> None:
    """Take the step after ``version``, within the caller's transaction."""
    for statement in STEPS[version]:
        if written := statement.format_map(types):
            execute(written)
