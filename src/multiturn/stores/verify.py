"""Verifies what is stored: every turn against its identity, every blob against its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from multiturn.stores.errors import StoreCorrupt
from multiturn.stores.record import read, turn_id

# Erased turns of which the index has words, or that still have need of bytes.
_STILL_SAID = """
SELECT t.id FROM turns t WHERE length(t.body) = 0 AND (
  EXISTS (SELECT 1 FROM uses u WHERE u.owner = t.id)
  OR EXISTS (SELECT 1 FROM passages p WHERE p.turn = t.number AND length(p.words) > 0)
)
"""


def findings(execute: Any) -> Iterator[str]:
    """Name what is wrong, one line each; ``execute`` reads one consistent state."""
    blobs: dict[str, bool] = {}
    for key, data in execute("SELECT hash, bytes FROM blobs").fetchall():
        name = bytes(key).hex()
        blobs[name] = hashlib.sha256(bytes(data)).hexdigest() == name
        if not blobs[name]:
            yield f"blob {name[:12]} holds other bytes than were stored"
    turns: dict[int, tuple[str, int]] = {}
    rows = execute("SELECT number, id, parent, depth, body FROM turns ORDER BY depth, number")
    for number, key, parent, depth, body in rows.fetchall():
        name = bytes(key).hex()
        turns[number] = name, depth
        yield from _turn_findings(name, turns.get(parent), parent, depth, bytes(body))
        if len(body):
            yield from _blob_findings(name, bytes(body), blobs)
    for (key,) in execute(_STILL_SAID).fetchall():
        yield f"turn {bytes(key).hex()[:12]} is erased but for some of it; erase it again"
    for session, head in execute("SELECT name, head FROM sessions").fetchall():
        if head is not None and head not in turns:
            yield f"session {session!r} points at a turn that is not there"


def _turn_findings(
    name: str, before: tuple[str, int] | None, parent: int | None, depth: int, body: bytes
) -> Iterator[str]:
    if parent is not None and before is None:
        yield f"turn {name[:12]} follows a turn that is not there"
    elif depth != (before[1] + 1 if before else 0):
        yield f"turn {name[:12]} has the wrong number {depth}"
    elif body and turn_id(before[0] if before else None, body) != name:
        yield f"turn {name[:12]} is not what was stored: its hash differs"


def _blob_findings(name: str, body: bytes, blobs: dict[str, bool]) -> Iterator[str]:
    try:
        read(body, lambda names: {n: b"" for n in names if n in blobs})
    except StoreCorrupt as error:
        yield f"turn {name[:12]}: {error}"
