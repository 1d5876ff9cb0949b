"""What a store is: turns that are only ever added, and names that point at them.

Whoever writes a store of their own provides these methods and runs
``multiturn.stores.conformance`` against it.
"""

from __future__ import annotations

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
        turns: How many turns lead to the head, the head included.
        version: Grows with every change of the session.
        redo: The heads that rewinding left, the latest last.
        attempt: The turn under way, "" if there is none.
        changed_at: When it last changed, in seconds since 1970; only for show.
    """

    key: int
    name: str
    head: str | None
    turns: int
    version: int
    redo: tuple[str, ...]
    attempt: str
    changed_at: float


class StoredTurn(NamedTuple):
    """A turn as it lies in a store; see ``record.py``.

    Attributes:
        id: 64 hexadecimal digits, the hash of ``parent`` and ``body``.
        parent: The turn before, None for the first.
        number: How many turns precede it.
        place: The session's version when it was added: orders a session's turns.
        body: The record.
        blobs: Of which bytes the record makes use, by their SHA-256; () as it is read.
    """

    id: str
    parent: str | None
    number: int
    place: int
    body: bytes
    blobs: tuple[str, ...] = ()


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


# Bytes by their SHA-256 in hexadecimal.
Blobs = Mapping[str, bytes]


class Store(Protocol):
    """Where conversations rest.

    Methods block; each is one transaction, may be called from any thread and process,
    and either has happened or has not.  They raise the errors of ``errors.py`` beside it.
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

    def state(self, name: str) -> SessionState | None:
        """Return a session, None if there is none of this name."""
        ...

    def sessions(self, prefix: str = "") -> list[SessionState]:
        """Return the sessions whose names begin so, by name."""
        ...

    def rename(self, name: str, new_name: str) -> SessionState:
        """Give a session another name."""
        ...

    def delete(self, name: str) -> None:
        """Delete a session, and its turns that no other session has."""
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
            Conflict: The lease was taken over, or the session changed or is gone.
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


def require_name(name: object) -> str:
    """Return a session's name; raise InvalidContent unless it can be one."""
    expected = f"a name of 1 to {_NAME_CHARACTERS} printable characters, as 'ada/planning'"
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_CHARACTERS:
        raise InvalidContent("$.session", name, expected)
    if not name.isprintable() or name != name.strip():
        raise InvalidContent("$.session", name, expected)
    return name
