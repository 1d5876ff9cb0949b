"""Words in PostgreSQL: a ``tsvector`` in each passage, found by a GIN index.

Vectors and queries are written out by us, so that neither the server's parser nor its
locale decides what a word is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multiturn.stores.words import Passage, Phrase


class TsVector:
    """The index of a PostgreSQL database; see ``search.WordIndex``."""

    source = "passages p"
    match = "p.words @@ ?::tsquery"
    number = "p.number"

    def prepare(self, execute: Any) -> None:
        """Do nothing: it is there since the tables are."""

    def add(self, execute: Any, turn: int, parent: int | None, passage: Passage) -> None:
        """Add a passage."""
        places: dict[str, list[str]] = {}
        for position, word in enumerate(passage.words, 1):
            places.setdefault(word, []).append(str(position))
        # The server keeps 256 positions of a word, and refuses none that are more.
        vector = " ".join(f"'{word}':{','.join(found[:256])}" for word, found in places.items())
        execute(
            "INSERT INTO passages (turn, parent, content, words) VALUES (?, ?, ?, ?::tsvector)",
            (turn, parent, passage.content, vector),
        )

    def remove(self, execute: Any, turn: int) -> None:
        """Remove the passages of a turn."""
        execute("DELETE FROM passages WHERE turn = ?", (turn,))

    def sought(self, phrases: Sequence[Phrase]) -> str:
        """Return phrases in PostgreSQL's words; ours hold letters and digits only."""
        return " & ".join(" <-> ".join(f"'{word}'" for word in phrase) for phrase in phrases)

    def mark(self, execute: Any) -> str:
        """Return the number that the next transaction gets."""
        return str(execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text").fetchone()[0])

    def is_past(self, execute: Any, mark: str) -> bool:
        """Return whether all transactions with smaller numbers have ended."""
        (past,) = execute(
            "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= ?::xid8", (mark,)
        ).fetchone()
        return bool(past)
