"""What a store is: turns that are only ever added, and names that point at them.

Whoever writes a store of their own provides these methods and runs
``multiturn.stores.conformance`` against it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from multiturn.errors import InvalidContent
from multiturn.stores.record import Record

# Names stand in tables, file names of exports and terminals: one line, of bounded length.
_NAME_CHARACTERS = 200


class SessionState(NamedTuple):
    """A session as it was at one moment.

    Attributes:
        key: Identifies the session for ever; a name may be given to another.
        name: What people call it.
        head: The turn it points at, None before the first.
        turns: How many turns lead to the head, the head and erased ones included.
        version: Grows with every change of the session.
        redo: The heads that rewinding left, the latest last.
        attempt: The turn under way, "" if there is none.
        changed_at: When it last changed, in seconds since 1970; for show and for ``prune``.
        erasures: How many turns were erased from the store; when it grows, what was read
            before is read again.
    """

    key: int
    name: str
    head: str | None
    turns: int
    version: int
    redo: tuple[str, ...]
    attempt: str
    changed_at: float
    erasures: int = 0


class StoredTurn(NamedTuple):
    """A turn as it lies in a store; see ``record.py``.

    Attributes:
        id: 64 hexadecimal digits, the hash of ``parent`` and ``body``.
        parent: The turn before, None for the first.
        number: How many turns precede it, erased ones included.
        place: The session's version when it was added: orders a session's turns.
        body: The record; b"" if it was erased.
        blobs: Of which bytes the record makes use, by their SHA-256; () as it is read.
    """

    id: str
    parent: str | None
    number: int
    place: int
    body: bytes
    blobs: tuple[str, ...] = ()

    @property
    def is_erased(self) -> bool:
        """Whether only its identity is left: readers go on with its parent."""
        return not self.body


class StoredAttempt(NamedTuple):
    """A turn that was begun and has not become one.

    Attributes:
        id: 32 hexadecimal digits, random.
        base: The turn it follows.
        place: The session's version when it began.
        outcome: "open" until it has ended, then as in ``JournalEntry``.
        is_alive: Whether its holder lives and its lease has not run out; false if ended.
        body: The record of what is known of it.
    """

    id: str
    base: str | None
    place: int
    outcome: str
    is_alive: bool
    body: bytes


class Found(NamedTuple):
    """A message that a search found.

    Attributes:
        session: The session in which it was said; one that leads to it if that is gone or
            was not asked for.
        turn: The turn it belongs to, 64 hexadecimal digits.
        role: Who said it, "user" or "model".
        excerpt: One printable line of it, up to about 200 characters, around the first hit.
        hits: Where the words lie in ``excerpt``, as pairs of start and end.
        at: When the turn was stored, in seconds since 1970; 0 if that is not known.
    """

    session: str
    turn: str
    role: str
    excerpt: str
    hits: tuple[tuple[int, int], ...]
    at: float


# Bytes by their SHA-256 in hexadecimal.
Blobs = Mapping[str, bytes]


class WholeSession(NamedTuple):
    """All that a session holds, as it is put into a store at once.

    Attributes:
        turns: Each after the one it follows; ``place`` of each in the order of time.
        head: The turn to point at, None for none.
        redo: As in ``SessionState``.
        attempts: What became no turn; each follows one of ``turns``, or none.
        attempt_blobs: Of which bytes the attempts make use, by their identity.
        blobs: The bytes of turns and attempts.
        version: Of the session; no ``place`` is later.
    """

    turns: Sequence[StoredTurn]
    head: str | None
    redo: Sequence[str]
    attempts: Sequence[StoredAttempt]
    attempt_blobs: Mapping[str, Sequence[str]]
    blobs: Blobs
    version: int


class Store(Protocol):
    """Where conversations rest.

    Methods block; each is one transaction, may be called from any thread and process,
    and either has happened or has not.  They raise the errors of ``errors.py`` beside it.

    Three members may be left out, and are no part of the type:

    - ``threads: int``: how many threads do what must not block an event loop; the work of
      sessions whose keys are equal modulo it is done by one, in order.  One without it.
    - ``lease_seconds: float``: how long ``begin`` and ``renew`` lease a session; leases are
      renewed three times as often.  60 without it.
    - ``recent: RecentTurns`` (``recent.py``): turns of sessions that were open lately, so
      that opening one again reads only what is new; the store calls its ``forget()`` when
      it erases.  Without it all is read again.
    """

    @property
    def address(self) -> str:
        """Where it is, for people; without a password."""
        ...

    def open(self, name: str) -> SessionState:
        """Return a session, begun if there is none of this name."""
        ...

    def create(self, name: str, head: str | None) -> SessionState:
        """Begin a session at a turn; SessionExists if the name is taken."""
        ...

    def restore(self, name: str, session: WholeSession) -> SessionState:
        """Begin a session with everything that another had.

        Raises:
            SessionExists: The name is taken.
            Conflict: The store has turns with the identity of one of these.
        """
        ...

    def state(self, name: str) -> SessionState | None:
        """Return a session, None if there is none of this name."""
        ...

    def sessions(self, prefix: str = "") -> list[SessionState]:
        """Return the sessions whose names begin so, by name."""
        ...

    def rename(self, name: str, new_name: str) -> SessionState:
        """Give a session another name."""
        ...

    def delete(self, name: str, *, even_if_busy: bool = False) -> None:
        """Delete a session, and its turns that no other session has.

        Raises:
            SessionMissing: There is none of this name.
            SessionBusy: A turn is under way, and ``even_if_busy`` is not given; with it, who
                speaks there gets SessionMissing.
        """
        ...

    def search(self, query: str, prefix: str = "", limit: int = 20) -> list[Found]:
        """Return the messages in which all words of a query occur, newest first.

        Case and accents make no difference.  Words in double quotes are a phrase; nothing
        else in a query has a meaning of its own, and one without words finds nothing.

        Args:
            query: What to look for.
            prefix: Only in sessions whose names begin so.
            limit: At most so many, at least 1.
        """
        ...

    def erase(self, turn_id: str) -> None:
        """Erase what was said in a turn, wherever it is part of a conversation.

        Its identity and its place stay, so that what follows can still be verified.  Its
        bytes that no other turn has go too, and so do attempts that said the same.

        Raises:
            TurnMissing: There is no such turn.
        """
        ...

    def prune(
        self,
        *,
        before: float | None = None,
        older_than_seconds: float | None = None,
        prefix: str = "",
    ) -> int:
        """Delete sessions that were not changed for long, and attempts that old.

        Args:
            before: Those last changed before this moment, in seconds since 1970, not
                later than now.
            older_than_seconds: Those last changed longer ago than this, at least 0; or
                ``before``.
            prefix: Only sessions whose names begin so.

        Returns:
            How many sessions were deleted.  One with a turn under way is kept.

        Raises:
            InvalidContent: It is no such moment.
        """
        ...

    def vacuum(self) -> None:
        """Give the space of what was deleted back; nothing of it can be read any more.

        May take long, and needs room for a copy; others wait.
        """
        ...

    def begin(self, state: SessionState, attempt: str, record: Record) -> SessionState:
        """Note a turn that is about to be asked for, and lease the session for it.

        Returns:
            The session as it is now; its head may be another than ``state``'s.

        Raises:
            SessionBusy: Another attempt holds the lease.
            SessionMissing: The session was deleted.
        """
        ...

    def note(self, state: SessionState, record: Record) -> None:
        """Record how far the attempt of ``state`` has come; nothing if it has ended."""
        ...

    def renew(self, states: Iterable[SessionState]) -> None:
        """Prolong the leases of attempts that are still under way."""
        ...

    def commit(
        self, state: SessionState, turns: Sequence[StoredTurn], blobs: Blobs
    ) -> SessionState:
        """Add turns and move the head to the last, if nothing happened since ``begin``.

        Doing it again with the same turns changes nothing.

        Args:
            state: The session as ``begin`` returned it.
            turns: One or more, each of which follows the one before it.
            blobs: The bytes of all of them.

        Raises:
            Conflict: The lease was taken over, or the session changed.
            SessionMissing: The session was deleted.
        """
        ...

    def settle(self, state: SessionState, outcome: str, record: Record) -> None:
        """Note how the attempt of ``state`` ended, which became no turn; the first note stays."""
        ...

    def move(self, state: SessionState, head: str | None, redo: Sequence[str] = ()) -> SessionState:
        """Point a session at another turn, if its head is still ``state``'s.

        Raises:
            Conflict: Another moved it.
            SessionBusy: A turn is under way.
        """
        ...

    def line(self, head: str, limit: int | None = None) -> list[StoredTurn]:
        """Return a turn and those before it, newest first."""
        ...

    def tree(self, name: str) -> list[StoredTurn]:
        """Return all turns that were ever added in a session, by place."""
        ...

    def attempts(self, name: str) -> list[StoredAttempt]:
        """Return the turns of a session that were tried and did not become one, by place."""
        ...

    def blobs(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """Return bytes by their SHA-256 in hexadecimal; those not there are left out."""
        ...

    def check(self) -> list[str]:
        """Verify everything stored; return what is wrong, one line each."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next call opens them again."""
        ...


def require_store(store: object) -> None:
    """Raise InvalidContent unless something is a store; a path is none."""
    if isinstance(store, type) or not callable(getattr(store, "begin", None)):
        path = str(store) if isinstance(store, str | os.PathLike) else "chats.db"
        raise InvalidContent("store", store, f"a store, as SQLiteStore({path!r})")


def require_name(name: object) -> str:
    """Return a session's name; raise InvalidContent unless it can be one."""
    if not isinstance(name, str):
        fault = "; this is no string"
    elif not 1 <= len(name) <= _NAME_CHARACTERS:
        fault = f"; this has {len(name)}"
    elif name != name.strip():
        fault = "; this has a blank at its beginning or its end"
    elif not name.isprintable():
        fault = next(f"; {c!a} cannot be printed" for c in name if not c.isprintable())
    else:
        return name
    expected = f"a name of 1 to {_NAME_CHARACTERS} printable characters, as 'ada/planning'{fault}"
    raise InvalidContent("session", name, expected)
