"""The errors of stores: what became of a turn that was to rest somewhere.

    StoreError                                 .store
    ├─ Conflict                                another changed the session   .session
    ├─ SessionMissing (also LookupError)       .session
    ├─ SessionExists                           .session
    ├─ TurnMissing (also LookupError)          .turn_id
    ├─ SearchUnavailable                       the database cannot search
    ├─ StoreBusy (also TimeoutError)           others hold it longer than the busy timeout
    ├─ StoreUnreachable (also ConnectionError) the database server cannot be reached
    ├─ OutcomeUnknown                          sent, and no answer whether it is stored   .turn_id
    └─ StoreUnusable                           nothing can be stored until a person acts
        ├─ DiskFull
        ├─ StoreReadOnly (also PermissionError)
        ├─ StoreCorrupt                        .findings
        │  └─ TurnDamaged                      .turn_id
        ├─ ForeignFile                         no store of multiturn
        └─ SchemaTooNew                        .found .known

After each of them the history is what it was, in memory and in the store; only after
OutcomeUnknown it may hold the turn, which the next call on the session finds out.  After
StoreUnreachable a session may have been made, renamed, deleted or rewound: look.
"""

from __future__ import annotations

from collections.abc import Sequence

from multiturn.errors import MultiturnError


class StoreError(MultiturnError):
    """A store could not do what it was asked for.

    Attributes:
        store: Where it is, as a path or an address without its password.
    """

    def __init__(self, message: str, *, store: str = "") -> None:
        super().__init__(message)
        self.store = store


class Conflict(StoreError):
    """The session is no longer where the caller last saw it; nothing was changed.

    Attributes:
        session: Its name.
    """

    retryable = True

    def __init__(self, session: str, reason: str, *, store: str = "") -> None:
        super().__init__(
            f"session {session!r} was changed by another: {reason}; nothing was changed by this "
            "call; look at chat.history, which now shows what is stored, and call again",
            store=store,
        )
        self.session = session


class SessionMissing(StoreError, LookupError):
    """The store has no session of this name, or has it no longer."""

    def __init__(self, session: str, *, store: str = "") -> None:
        super().__init__(f"there is no session {session!r} in {store or 'this store'}", store=store)
        self.session = session


class SessionExists(StoreError):
    """A new session was to get a name that is taken."""

    def __init__(self, session: str, *, store: str = "") -> None:
        super().__init__(
            f"session {session!r} exists already in {store or 'this store'}; choose another name, "
            "or delete or rename that one",
            store=store,
        )
        self.session = session


class TurnMissing(StoreError, LookupError):
    """The store has no turn of this identity, or has it no longer.

    Attributes:
        turn_id: What was asked for.
    """

    def __init__(self, turn_id: str, *, store: str = "") -> None:
        super().__init__(
            f"there is no turn {turn_id[:64]!r} in {store or 'this store'}; identities have 64 "
            "hexadecimal digits, as in chat.turns[-1].id",
            store=store,
        )
        self.turn_id = turn_id


class SearchUnavailable(StoreError):
    """The database was built without what searching needs."""


class StoreBusy(StoreError, TimeoutError):
    """Others were writing all the time that this call would wait."""

    retryable = True


class StoreUnreachable(StoreError, ConnectionError):
    """The database server cannot be reached; the history is what it was.

    A connection that was lost in the middle of making, restoring, forking, renaming or
    deleting a session may have done it, and the message says so: look.
    """

    retryable = True


class OutcomeUnknown(StoreError):
    """The connection was lost while a turn was committed, and nobody could be asked since.

    Attributes:
        turn_id: The turn that is stored once or not at all.
    """

    def __init__(self, turn_id: str, *, store: str = "") -> None:
        super().__init__(
            f"the connection was lost while turn {turn_id[:12]} was being stored, and the store "
            "cannot be reached to see whether it is; open the session again when it can",
            store=store,
        )
        self.turn_id = turn_id


class StoreUnusable(StoreError):
    """Nothing can be stored before a person has done something about it."""


class DiskFull(StoreUnusable):
    """There is no room; the session can be used again when there is."""


class StoreReadOnly(StoreUnusable, PermissionError):
    """The file or the database may not be written to."""


class StoreCorrupt(StoreUnusable):
    """What is stored is not what was written; it is left as it is.

    Attributes:
        findings: What is wrong, one line each.
    """

    def __init__(self, message: str, findings: Sequence[str] = (), *, store: str = "") -> None:
        super().__init__(message, store=store)
        self.findings = tuple(findings)


class TurnDamaged(StoreCorrupt):
    """A turn is not what was stored, so that nothing that follows it is sent or shown.

    Attributes:
        turn_id: Its identity.
    """

    def __init__(self, turn_id: str, *, store: str = "") -> None:
        super().__init__(
            f"turn {turn_id} of this conversation is damaged: what is stored is not what was said; "
            "go on from before it (chat.rewind), or without it (store.erase); chat.turns, "
            "chat.tree and chat.export give the others",
            store=store,
        )
        self.turn_id = turn_id


class ForeignFile(StoreUnusable):
    """The file is not a store of multiturn; it is left as it is."""


class SchemaTooNew(StoreUnusable):
    """A newer multiturn wrote the store; it is left as it is.

    Attributes:
        found: The version of its tables.
        known: The newest version that this multiturn knows.
    """

    def __init__(self, found: int, known: int, *, store: str = "") -> None:
        super().__init__(
            f"{store} has tables of version {found} and this multiturn knows versions up to "
            f"{known}; install the newer multiturn that wrote it",
            store=store,
        )
        self.found, self.known = found, known
