"""Words in SQLite: a table of its FTS5 beside the passages, made by the first search.

Neither is there before, so that a store works, all but searching, where SQLite was built
without FTS5.  Words come folded and parted by spaces: FTS5's "ascii" parts them there
and nowhere else.  The passages are the content, which is what FTS5 needs to delete.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multiturn.stores.errors import SearchUnavailable
from multiturn.stores.words import Passage, Phrase

if TYPE_CHECKING:
    from multiturn.stores.reading import SqlReader

# Pages that one transaction merges.
_MERGED_PAGES = 200


class Fts5:
    """The index of an SQLite database; see ``search.WordIndex``."""

    source = "passage_words w JOIN passages p ON p.number = w.rowid"
    match = "w.words MATCH ?"
    number = "w.rowid"

    def prepare(self, execute: Any) -> None:
        """Make the table; raise SearchUnavailable where SQLite has no FTS5."""
        try:
            execute(
                "CREATE VIRTUAL TABLE IF NOT EXISTS passage_words USING fts5(words, "
                "content='passages', content_rowid='number', columnsize=0, tokenize='ascii')"
            )
        except sqlite3.OperationalError as error:
            if "no such module" not in str(error):
                raise
            raise SearchUnavailable(
                f"this Python's SQLite {sqlite3.sqlite_version} was built without FTS5, which "
                "searching needs; use a Python whose SQLite has it (python.org's and those of "
                "Debian and Homebrew do)"
            ) from error

    def add(self, execute: Any, turn: int, parent: int | None, passage: Passage) -> None:
        """Add a passage."""
        words = " ".join(passage.words)
        (number,) = execute(
            "INSERT INTO passages (turn, parent, content, words) VALUES (?, ?, ?, ?) "
            "RETURNING number",
            (turn, parent, passage.content, words),
        ).fetchone()
        if words:
            execute("INSERT INTO passage_words (rowid, words) VALUES (?, ?)", (number, words))

    def remove(self, execute: Any, turn: int) -> None:
        """Remove the passages of a turn."""
        rows = execute("SELECT number, words FROM passages WHERE turn = ?", (turn,)).fetchall()
        for number, words in rows:
            if words:
                execute(
                    "INSERT INTO passage_words (passage_words, rowid, words) "
                    "VALUES ('delete', ?, ?)",
                    (number, words),
                )
            execute("DELETE FROM passages WHERE number = ?", (number,))

    def sought(self, phrases: Sequence[Phrase]) -> str:
        """Return phrases in quotes, which hold letters, digits and spaces only."""
        return " ".join(f'"{" ".join(phrase)}"' for phrase in phrases)

    def mark(self, execute: Any) -> str:
        """Return "": writers follow one another, and numbers with them."""
        return ""

    def is_past(self, execute: Any, mark: str) -> bool:
        """Return true."""
        return True


def merge(store: SqlReader) -> None:
    """Make the index one piece, in which there is nothing of what was deleted from it."""
    store._transaction(_merged, -_MERGED_PAGES)  # puts all pieces together, the others go on
    # FTS5's documentation: of a call that had nothing to do the difference is below 2.
    while store._transaction(_merged, _MERGED_PAGES) >= 2:
        pass


def _merged(execute: Any, pages: int) -> int:
    """Merge some pages; return how many changes the database counts for it."""
    if not execute("SELECT 1 FROM sqlite_master WHERE name = 'passage_words'").fetchone():
        return 0
    (before,) = execute("SELECT total_changes()").fetchone()
    execute("INSERT INTO passage_words (passage_words, rank) VALUES ('merge', ?)", (pages,))
    (after,) = execute("SELECT total_changes()").fetchone()
    return int(after - before)
