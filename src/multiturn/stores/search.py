"""Finds what was said, by an index that is made when somebody searches and not before.

A turn that is stored costs nothing more than it did: a search first indexes the turns
that are new, in transactions of bounded size.  An index says where words are; what is
shown is read from the turn itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from multiturn.stores.errors import StoreCorrupt
from multiturn.stores.protocol import Found
from multiturn.stores.record import contents_in, decoded, turn_id
from multiturn.stores.rows import hex_of, names_from
from multiturn.stores.words import Passage, Phrase, excerpt_of, passages_of, phrases_of, text_of

if TYPE_CHECKING:
    from multiturn.stores.reading import SqlReader

# Turns, and bytes of their records, that one transaction indexes.
_BATCH_TURNS, _BATCH_BYTES = 200, 2**21
# Rows of one page of results.
_PAGE = 50
_NOTHING = Passage(0, [])

# Turns that lead to a session with such a name, or to a turn that was said in one.
_REACHED = """
WITH RECURSIVE reached(number) AS (
  SELECT head FROM sessions WHERE head IS NOT NULL AND name >= ? AND name < ?
  UNION SELECT t.parent FROM sessions s JOIN turns t ON t.session = s.key
  WHERE t.parent IS NOT NULL AND s.name >= ? AND s.name < ?
  UNION SELECT t.parent FROM reached JOIN turns t ON t.number = reached.number
  WHERE t.parent IS NOT NULL
)
"""
# Turns that follow one; a turn's first passage says what it follows.
_FOLLOWING = """
WITH RECURSIVE following(number) AS (
  SELECT CAST(? AS BIGINT)
  UNION ALL SELECT p.turn FROM following JOIN passages p ON p.parent = following.number
)
"""


class WordIndex(Protocol):
    """What a database brings to find passages by their words.

    Attributes:
        source: The passages ``p``, joined with the index if that is a table of its own.
        match: The condition with one value, what ``sought`` returns.
        number: The passage's number, where ``source`` is best ordered by it.
    """

    source: str
    match: str
    number: str

    def prepare(self, execute: Any) -> None:
        """Make the index if it is not there; called within a writing transaction."""
        ...

    def add(self, execute: Any, turn: int, parent: int | None, passage: Passage) -> None:
        """Add a passage; ``parent`` is None for all but the turn's first."""
        ...

    def remove(self, execute: Any, turn: int) -> None:
        """Remove the passages of a turn."""
        ...

    def sought(self, phrases: Sequence[Phrase]) -> str:
        """Return phrases as the database wants them."""
        ...

    def mark(self, execute: Any) -> str:
        """Return a word for now; see ``is_past``."""
        ...

    def is_past(self, execute: Any, mark: str) -> bool:
        """Return whether every transaction of before ``mark`` has ended."""
        ...


def search(store: SqlReader, query: str, prefix: str, limit: int) -> list[Found]:
    """Return messages in which all words occur, newest first."""
    phrases = phrases_of(query)
    if not phrases:
        return []
    while not _caught_up(store):
        pass
    return store._reading(_matches, store.index, phrases, names_from(prefix), limit)


def _matches(
    execute: Any, index: WordIndex, phrases: Sequence[Phrase], names: tuple[str, str], limit: int
) -> list[Found]:
    found: list[Found] = []
    if not execute("SELECT 1 FROM passages LIMIT 1").fetchone():
        return found
    below, shown = 2**62, (0, 0)
    while len(found) < limit:
        rows = _page(execute, index, phrases, names, below)
        for _, number, content, turn, parent, body, session in rows:
            if (number, content) == shown:  # another passage of the same text
                continue
            if turn_id(hex_of(parent), bytes(body)) != hex_of(turn):  # damaged, for check() to find
                continue
            shown = number, content
            name = session or _session_behind(execute, number, names)
            if name is not None and len(found) < limit:
                found.append(_found(name, hex_of(turn), bytes(body), content, phrases))
        if len(rows) < _PAGE:
            break
        below = rows[-1][0]
    return found


def _page(
    execute: Any, index: WordIndex, phrases: Sequence[Phrase], names: tuple[str, str], below: int
) -> list[Any]:
    reached, among = "", "t.session IS NULL"
    if names[0]:
        reached, among = _REACHED, "t.number IN (SELECT number FROM reached)"
    statement = f"""{reached}
        SELECT {index.number}, p.turn, p.content, t.id, b.id, t.body, s.name
        FROM {index.source} JOIN turns t ON t.number = p.turn
        LEFT JOIN turns b ON b.number = t.parent
        LEFT JOIN sessions s ON s.key = t.session AND s.name >= ? AND s.name < ?
        WHERE {index.match} AND {index.number} < ? AND (s.name IS NOT NULL OR {among})
        ORDER BY {index.number} DESC LIMIT ?
    """
    values = (*names, *names) if reached else ()
    values = (*values, *names, index.sought(phrases), below, _PAGE)
    return execute(statement, values).fetchall()  # type: ignore[no-any-return]


def _session_behind(execute: Any, turn: int, names: tuple[str, str]) -> str | None:
    """Return a session to which a turn leads that was said in none of these, None if none."""
    row = execute(
        f"{_FOLLOWING} SELECT s.name FROM following f JOIN turns t ON t.number = f.number "
        "JOIN sessions s ON s.key = t.session WHERE s.name >= ? AND s.name < ? LIMIT 1",
        (turn, *names),
    ).fetchone()
    row = (
        row
        or execute(
            f"{_FOLLOWING} SELECT min(name) FROM sessions "
            "WHERE name >= ? AND name < ? AND head IN (SELECT number FROM following)",
            (turn, *names),
        ).fetchone()
    )
    return row[0]  # type: ignore[no-any-return]


def _found(session: str, turn: str, body: bytes, content: int, phrases: Sequence[Phrase]) -> Found:
    members = decoded(body)
    message = contents_in(members)[content]
    excerpt, hits = excerpt_of(text_of(message), phrases)
    at = float(members.get("at") or 0)
    return Found(session, turn, str(message.get("role") or ""), excerpt, hits, at)


def _caught_up(store: SqlReader) -> bool:
    """Index some turns that are not; return whether there were none.

    Turns up to ``seen`` were looked at, and up to ``settled`` none can turn up any more:
    where transactions end in another order than their turns were numbered, that is known
    when all have ended that were under way when ``seen`` was the highest number.
    """

    def is_there(execute: Any) -> bool:
        settled, seen, _ = _state(execute)
        return settled == seen == _newest(execute)

    return store._reading(is_there) or store._transaction(_indexed, store.index, is_durable=False)


def _indexed(execute: Any, index: WordIndex) -> bool:
    index.prepare(execute)
    wait_for_others(execute)
    settled, seen, mark = _state(execute)
    fresh = _batch(execute, seen, 2**62)
    late = _batch(execute, settled, seen) if settled < seen and not fresh else []
    _add(index, execute, fresh or late)
    if fresh:
        seen, mark = fresh[-1], index.mark(execute)
    if not late and (not mark or (not fresh and index.is_past(execute, mark))):
        settled = seen
    execute("UPDATE indexing SET settled = ?, seen = ?, mark = ?", (settled, seen, mark))
    return not fresh and not late


def _state(execute: Any) -> tuple[int, int, str]:
    return execute("SELECT settled, seen, mark FROM indexing").fetchone()  # type: ignore[no-any-return]


def _newest(execute: Any) -> int:
    return execute("SELECT coalesce(max(number), 0) FROM turns").fetchone()[0]  # type: ignore[no-any-return]


def _batch(execute: Any, above: int, to: int) -> list[int]:
    """Return the numbers of the next turns to index in a range."""
    rows = execute(
        "SELECT t.number, length(t.body) FROM turns t WHERE t.number > ? AND t.number <= ? "
        "AND NOT EXISTS (SELECT 1 FROM passages p WHERE p.turn = t.number) "
        "ORDER BY t.number LIMIT ?",
        (above, to, _BATCH_TURNS),
    ).fetchall()
    chosen: list[int] = []
    size_bytes = 0
    for number, length in rows:
        size_bytes += length
        if chosen and size_bytes > _BATCH_BYTES:
            break
        chosen.append(number)
    return chosen


def _add(index: WordIndex, execute: Any, turns: Sequence[int]) -> None:
    if not turns:
        return
    marks = ", ".join("?" * len(turns))
    rows = execute(f"SELECT number, parent, body FROM turns WHERE number IN ({marks})", turns)
    for number, parent, body in sorted(rows.fetchall()):
        first, *others = _passages(bytes(body))
        index.add(execute, number, parent, first)
        for passage in others:
            index.add(execute, number, None, passage)


def _passages(body: bytes) -> list[Passage]:
    """Return what to index of a turn: something, so that it is known to be indexed."""
    try:
        return [*passages_of(contents_in(decoded(body)) if body else [])] or [_NOTHING]
    except StoreCorrupt:  # for check() to find
        return [_NOTHING]


def wait_for_others(execute: Any) -> None:
    """Keep others from indexing until this transaction ends; its first statement."""
    execute("UPDATE indexing SET mark = mark")


def forget(index: WordIndex, execute: Any, turns: Iterable[int]) -> None:
    """Remove turns that were deleted from the index."""
    for turn in turns:
        index.remove(execute, turn)
    newest = _newest(execute)  # a number above it may be given again
    execute("UPDATE indexing SET settled = ? WHERE settled > ?", (newest, newest))
    execute("UPDATE indexing SET seen = ? WHERE seen > ?", (newest, newest))


def empty(index: WordIndex, execute: Any, turn: int, parent: int | None) -> None:
    """Leave nothing of a turn in the index but what it follows, if it was indexed."""
    if execute("SELECT 1 FROM passages WHERE turn = ?", (turn,)).fetchone():
        index.remove(execute, turn)
        index.add(execute, turn, parent, _NOTHING)
