"""Deletes what nobody can reach any more, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

_BATCH = 500


def sweep(transaction: Callable[[], AbstractContextManager[Any]]) -> None:
    """Delete turns whose session is gone and to which no session leads, and loose blobs."""
    # Kept: what stands before a head, or before a turn that belongs to a session.
    kept = """
        WITH RECURSIVE kept(number) AS (
          SELECT head FROM sessions WHERE head IS NOT NULL
          UNION SELECT parent FROM turns WHERE session IS NOT NULL AND parent IS NOT NULL
          UNION SELECT t.parent FROM kept JOIN turns t ON t.number = kept.number
          WHERE t.parent IS NOT NULL AND t.session IS NULL
        )
    """
    # Children before parents, so that what is left is whole after each batch.
    loose = (
        kept + "SELECT number, id FROM turns WHERE session IS NULL "
        "AND number NOT IN (SELECT number FROM kept) ORDER BY depth DESC LIMIT ?"
    )
    while True:
        with transaction() as execute:
            rows = execute(loose, (_BATCH,)).fetchall()
            for number, key in rows:
                execute("DELETE FROM uses WHERE owner = ?", (key,))
                execute("DELETE FROM turns WHERE number = ?", (number,))
        if len(rows) < _BATCH:
            break
    with transaction() as execute:
        execute(
            "DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM uses u WHERE u.hash = blobs.hash)"
        )
