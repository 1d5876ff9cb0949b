"""Lets go of what is stored: sessions, turns, attempts, in transactions of bounded size."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multiturn.errors import InvalidContent, SessionBusy
from multiturn.messages.message import Object
from multiturn.stores import search
from multiturn.stores.errors import SessionMissing, StoreCorrupt, TurnMissing
from multiturn.stores.holder import lives
from multiturn.stores.record import contents_in, decoded
from multiturn.stores.rows import FREE, key_of, names_from
from multiturn.stores.words import text_of

if TYPE_CHECKING:
    from multiturn.stores.reading import SqlReader

_BATCH = 500
_BATCH_SESSIONS, _BATCH_RECORDS = 50, 50


# -- sessions ------------------------------------------------------------------------------


def delete(store: SqlReader, name: str, *, even_if_busy: bool) -> None:
    """Delete a session and its attempts; ``sweep`` what it leaves."""

    def deleted(execute: Any) -> bool:
        row = execute(
            "SELECT key, version, attempt, holder, expires_at FROM sessions "
            f"WHERE name = ? {store.locking}",
            (name,),
        ).fetchone()
        if row is None:
            return False
        key, version, attempt, holder, until = row
        if attempt and not even_if_busy and lives(attempt, holder, until, store._now(execute)):
            raise SessionBusy(
                f"a turn of session {name!r} is under way, which would be lost; delete it when "
                "that has ended, or all the same with store.delete(…, even_if_busy=True)"
            )
        return _delete_session(execute, key, version, attempt)

    if not store._transaction(deleted):
        raise SessionMissing(name, store=store.address)


def _delete_session(execute: Any, key: int, version: int, attempt: str) -> bool:
    """Delete the row of a session and its attempts, unless it has changed; return whether."""
    deleted = execute("DELETE FROM sessions WHERE key = ? AND version = ?", (key, version))
    if deleted.rowcount != 1:
        return False
    execute("DELETE FROM uses WHERE owner IN (SELECT id FROM attempts WHERE session = ?)", (key,))
    if attempt:
        execute("DELETE FROM uses WHERE owner = ?", (key_of(attempt),))
    execute("DELETE FROM attempts WHERE session = ?", (key,))
    execute("UPDATE turns SET session = NULL WHERE session = ?", (key,))
    return True


def moment(before: float | None, older_than_seconds: float | None) -> float:
    """Return the moment, in seconds since 1970, that both ways of saying it mean."""
    if (before is None) == (older_than_seconds is None):
        both = "before and older_than_seconds"
        raise InvalidContent(both, (before, older_than_seconds), "one of them")
    value: Any = older_than_seconds if before is None else before
    # What lies ahead would delete sessions that were changed a moment ago: a slip.
    now, is_number = time.time(), isinstance(value, int | float) and not isinstance(value, bool)
    longest = now if before is not None else math.inf
    if not is_number or not math.isfinite(value) or not 0 <= value <= longest:
        if before is None:
            raise InvalidContent("older_than_seconds", value, "seconds, at least 0")
        raise InvalidContent("before", value, "seconds since 1970, not later than now")
    return float(value) if before is not None else now - value


def prune(store: SqlReader, before: float, prefix: str) -> int:
    """Delete sessions last changed before a moment, and attempts that ended before it."""
    names, total = names_from(prefix), 0

    def pruned(execute: Any, last: int) -> tuple[int, int]:
        """Look at some sessions; return the last of them, and how many were deleted."""
        now, deleted = store._now(execute), 0
        rows = execute(
            "SELECT key, version, attempt, holder, expires_at FROM sessions "
            "WHERE changed_at < ? AND name >= ? AND name < ? AND key > ? "
            "ORDER BY key LIMIT ?",
            (before, *names, last, _BATCH_SESSIONS),
        ).fetchall()
        for key, version, attempt, holder, until in rows:
            if not (attempt and lives(attempt, holder, until, now)):
                deleted += _delete_session(execute, key, version, attempt)
        return (rows[-1][0] if rows else 0), deleted

    last, deleted = store._transaction(pruned, 0)
    while last:
        total += deleted
        last, deleted = store._transaction(pruned, last)
    _prune_attempts(store, before, names)
    sweep(store)
    return total


_OLD_ATTEMPTS = (
    "FROM attempts a JOIN sessions s ON s.key = a.session "
    "WHERE coalesce(a.ended_at, s.changed_at) < ? AND s.name >= ? AND s.name < ?"
)


def has_old_attempts(store: SqlReader, before: float, prefix: str) -> bool:
    """Whether ``prune`` would delete attempts."""
    names = names_from(prefix)
    return bool(store._rows(f"SELECT 1 {_OLD_ATTEMPTS} LIMIT 1", (before, *names)))


def _prune_attempts(store: SqlReader, before: float, names: tuple[str, str]) -> None:
    def pruned(execute: Any) -> int:
        old = f"SELECT a.id {_OLD_ATTEMPTS} LIMIT ?"
        rows = execute(old, (before, *names, _BATCH)).fetchall()
        for (key,) in rows:
            _delete_attempt(execute, key)
        return len(rows)

    while store._transaction(pruned):
        pass


def _delete_attempt(execute: Any, key: bytes) -> None:
    execute("DELETE FROM uses WHERE owner = ?", (key,))
    execute("DELETE FROM attempts WHERE id = ?", (key,))


# -- what nobody can reach any more --------------------------------------------------------


def sweep(store: SqlReader) -> None:
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

    def swept(execute: Any) -> int:
        search.wait_for_others(execute)
        rows = execute(loose, (_BATCH,)).fetchall()
        for number, key in rows:
            execute("DELETE FROM uses WHERE owner = ?", (key,))
            execute("DELETE FROM turns WHERE number = ?", (number,))
        _forget_bases(execute, [number for number, _ in rows])
        search.forget(store.index, execute, [number for number, _ in rows])
        return len(rows)

    while store._transaction(swept) == _BATCH:
        pass
    sweep_blobs(store)


def _forget_bases(execute: Any, turns: Sequence[int]) -> None:
    """Let no attempt follow turns that were deleted: their numbers may be given again."""
    if turns:
        marks = ", ".join("?" * len(turns))
        execute(f"UPDATE attempts SET base = NULL WHERE base IN ({marks})", turns)


def sweep_blobs(store: SqlReader) -> None:
    """Delete bytes that neither a turn nor an attempt has need of."""
    unused = "NOT EXISTS (SELECT 1 FROM uses u WHERE u.hash = blobs.hash)"

    def swept(execute: Any) -> int:
        rows = execute(
            f"SELECT hash FROM blobs WHERE {unused} LIMIT ? {store.locking}", (_BATCH,)
        ).fetchall()
        # Asked again, now that they are locked: somebody may have come to need one.
        for row in rows:
            execute(f"DELETE FROM blobs WHERE hash = ? AND {unused}", row)
        return len(rows)

    while store._transaction(swept) == _BATCH:
        pass


# -- one turn ------------------------------------------------------------------------------


def erase(store: SqlReader, turn: str) -> None:
    """Leave of a turn its identity and its place; see ``protocol.Store.erase``."""
    rows = store._rows(
        "SELECT number, parent, session, body FROM turns WHERE id = ?", (_key(store, turn),)
    )
    if not rows:
        raise TurnMissing(turn, store=store.address)
    number, parent, session, body = rows[0]
    # Attempts first: when the turn is gone nobody knows any more what they may not say.
    # And of them those that others may put among the ended ones meanwhile.
    said = _said_in(bytes(body))
    if said:
        _free_of_attempts(store, (session, parent, number), said)
        _erase_attempts(store, (session, parent, number), said)

    def erased(execute: Any) -> None:
        search.wait_for_others(execute)
        emptied = execute(
            "UPDATE turns SET body = ? WHERE number = ? AND length(body) > 0", (b"", number)
        )
        execute("UPDATE erasures SET total = total + ?", (emptied.rowcount,))
        execute("DELETE FROM uses WHERE owner = ?", (key_of(turn),))
        search.empty(store.index, execute, number, parent)

    store._transaction(erased)
    sweep_blobs(store)


def _key(store: SqlReader, turn: object) -> bytes:
    try:
        key = key_of(turn) if isinstance(turn, str) else b""
    except ValueError:
        key = b""
    if len(key) != 32:
        raise TurnMissing(str(turn), store=store.address)
    return key


def _said_in(body: bytes) -> set[str]:
    """Return what a record says: each of its texts, and the names of its bytes."""
    try:
        members = decoded(body) if body else {}
    except StoreCorrupt:
        return set()
    received = members.get("received")
    messages = [*contents_in(members), *_answers_in(received if isinstance(received, dict) else {})]
    places = members.get("blobs")  # anything, if the record is damaged
    listed = [p for p in places if isinstance(p, list) and p] if isinstance(places, list) else []
    blobs = {str(place[-1]) for place in listed}
    return {text for message in messages if (text := text_of(message).strip())} | blobs


def _answers_in(received: Object) -> list[Object]:
    contents = [c.get("content") for c in received.get("candidates") or () if isinstance(c, dict)]
    return [content for content in contents if isinstance(content, dict)]


def _erase_attempts(store: SqlReader, where: Sequence[int | None], said: set[str]) -> None:
    """Delete attempts of the turn's session, and at its place in others, that said the same."""

    def erased(execute: Any, last: bytes) -> bytes:
        """Look at some attempts; return the last of them, b"" if there were none."""
        rows = execute(
            "SELECT id, record FROM attempts WHERE (session = ? OR base = ? OR base = ?) "
            "AND id > ? ORDER BY id LIMIT ?",
            (*where, last, _BATCH_RECORDS),
        ).fetchall()
        for key, record in rows:
            if said & _said_in(bytes(record)):
                _delete_attempt(execute, key)
        return bytes(rows[-1][0]) if rows else b""

    last = store._transaction(erased, b"")
    while last:
        last = store._transaction(erased, last)


def _free_of_attempts(store: SqlReader, where: Sequence[int | None], said: set[str]) -> None:
    """Forget turns under way that said the same and whose process is gone."""

    def freed(execute: Any) -> None:
        now = store._now(execute)
        rows = execute(
            "SELECT key, attempt, holder, expires_at, record FROM sessions "
            "WHERE attempt <> '' AND (key = ? OR head = ? OR head = ?)",
            where,
        ).fetchall()
        for key, attempt, holder, until, record in rows:
            if not lives(attempt, holder, until, now) and said & _said_in(bytes(record)):
                execute("DELETE FROM uses WHERE owner = ?", (key_of(attempt),))
                execute(
                    f"UPDATE sessions SET {FREE}, version = version + 1 "
                    "WHERE key = ? AND attempt = ?",
                    (key, attempt),
                )

    store._transaction(freed)
