"""How rows of the tables become the records of ``protocol.py``, and how they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multiturn.errors import InvalidContent
from multiturn.stores.protocol import SessionState, StoredAttempt, StoredTurn
from multiturn.stores.record import Record, turn_id

SESSION = """
SELECT s.key, s.name, h.id, coalesce(h.depth + 1, 0), s.version, s.redo, s.attempt, s.changed_at,
  (SELECT total FROM erasures)
FROM sessions s LEFT JOIN turns h ON h.number = s.head
"""
# What the row of a session is when no turn is under way.
FREE = "attempt = '', holder = NULL, expires_at = NULL, began = NULL, record = NULL"
TURN = "t.id, p.id, t.depth, t.place, t.body FROM turns t LEFT JOIN turns p ON p.number = t.parent"
LINE = """
WITH RECURSIVE line(number, parent, rest) AS (
  SELECT number, parent, CAST(? AS BIGINT) FROM turns WHERE id = ?
  UNION ALL
  SELECT b.number, b.parent, line.rest - 1
  FROM line JOIN turns b ON b.number = line.parent WHERE line.rest > 1
)
"""


def key_of(name: str) -> bytes:
    """Return the key of what is named by a hash; raise InvalidContent if it is none."""
    try:
        return bytes.fromhex(name)
    except (TypeError, ValueError):
        raise InvalidContent("id", name, "hexadecimal digits, as in chat.turns[-1].id") from None


def hex_of(value: bytes | None) -> str:
    return bytes(value).hex() if value is not None else ""


def names_from(prefix: str) -> tuple[str, str]:
    """Return the first name that begins so, and the first after those that do."""
    if not isinstance(prefix, str) or not _is_text(prefix):
        raise InvalidContent("prefix", prefix, "a string with which names of sessions begin")
    return prefix, prefix + "\U0010ffff"


def _is_text(value: str) -> bool:
    """Whether a database can hold it: halves of surrogate pairs are no text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def session_of(row: Sequence[Any]) -> SessionState:
    key, name, head, turns, version, redo, *others = row
    return SessionState(
        key, name, hex_of(head) or None, turns, version, tuple(redo.split()), *others
    )


def row_of(parent: str | None, number: int, record: Record) -> StoredTurn:
    """Return a turn as it is to be stored."""
    identity = turn_id(parent, record.body)
    return StoredTurn(identity, parent, number, 0, record.body, (*record.blobs,))


def turn_of(row: Sequence[Any]) -> StoredTurn:
    return StoredTurn(hex_of(row[0]), hex_of(row[1]) or None, row[2], row[3], bytes(row[4]))


def attempt_of(row: Sequence[Any], lives: bool = False) -> StoredAttempt:
    key, base, place, outcome, record = row
    return StoredAttempt(hex_of(key), hex_of(base) or None, place, outcome, lives, bytes(record))
