"""Verifies what is stored: every turn against its identity, all bytes against their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from multiturn.messages.message import Object
from multiturn.stores.errors import StoreCorrupt
from multiturn.stores.protocol import StoredTurn
from multiturn.stores.record import Fetch, read, read_all, turn_id

# Erased turns of which the index has words, or that still have need of bytes.
_STILL_SAID = """
SELECT t.id FROM turns t WHERE length(t.body) = 0 AND (
  EXISTS (SELECT 1 FROM uses u WHERE u.owner = t.id)
  OR EXISTS (SELECT 1 FROM passages p WHERE p.turn = t.number AND length(p.words) > 0)
)
"""


def said_in(rows: Sequence[StoredTurn], fetch: Fetch) -> dict[str, Object]:
    """Return the records of turns by their identity; erased and damaged ones are left out."""

    def sound(names: Iterable[str]) -> dict[str, bytes]:
        found = fetch(names)
        return {n: data for n, data in found.items() if hashlib.sha256(data).hexdigest() == n}

    kept = [r for r in rows if not r.is_erased and turn_id(r.parent, r.body) == r.id]
    try:
        records = read_all([row.body for row in kept], sound)
    except StoreCorrupt:  # of one of them
        return {row.id: record for row in kept for record in _readable(row, sound)}
    return {row.id: record for row, record in zip(kept, records, strict=True)}


def _readable(row: StoredTurn, fetch: Fetch) -> Iterator[Object]:
    try:
        yield read(row.body, fetch)
    except StoreCorrupt:
        return


def findings(execute: Any) -> Iterator[str]:
    """Name what is wrong, one line each; ``execute`` reads one consistent state."""
    blobs: dict[str, bool] = {}
    for key, data in execute("SELECT hash, bytes FROM blobs").fetchall():
        name = bytes(key).hex()
        blobs[name] = hashlib.sha256(bytes(data)).hexdigest() == name
        if not blobs[name]:
            yield f"blob {name[:12]} holds other bytes than were stored"
    turns: dict[int, tuple[str, int]] = {}
    rows = execute(
        "SELECT t.number, t.id, t.parent, t.depth, t.body, s.name FROM turns t "
        "LEFT JOIN sessions s ON s.key = t.session ORDER BY t.depth, t.number"
    )
    for number, key, parent, depth, body, session in rows.fetchall():
        name = bytes(key).hex()
        told = f"turn {name} of session {session!r}" if session else f"turn {name}"
        turns[number] = name, depth
        for finding in _turn_findings(name, turns.get(parent), parent, depth, bytes(body), blobs):
            yield f"{told} {finding}"
    for (key,) in execute(_STILL_SAID).fetchall():
        yield f"turn {bytes(key).hex()} is erased but for some of it; erase it again"
    for session, head in execute("SELECT name, head FROM sessions").fetchall():
        if head is not None and head not in turns:
            yield f"session {session!r} points at a turn that is not there"


def _turn_findings(
    name: str,
    before: tuple[str, int] | None,
    parent: int | None,
    depth: int,
    body: bytes,
    blobs: Mapping[str, bool],
) -> Iterator[str]:
    if parent is not None and before is None:
        yield "follows a turn that is not there"
    elif depth != (before[1] + 1 if before else 0):
        yield f"has the wrong number {depth}"
    elif body and turn_id(before[0] if before else None, body) != name:
        yield "is not what was stored: its hash differs; erasing it lets the others go on"
    elif body:
        try:
            read(body, lambda names: {n: b"" for n in names if blobs.get(n)})
        except StoreCorrupt as error:
            yield f"is damaged: {error}; erasing it lets the others go on"
