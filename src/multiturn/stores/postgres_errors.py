"""What the errors of PostgreSQL and of its driver mean for a conversation."""

from __future__ import annotations

import re

from multiturn.stores.errors import (
    DiskFull,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
    StoreUnreachable,
    StoreUnusable,
)
from multiturn.stores.postgres_connections import NotConnectedError

# Serialisation failure, deadlock (PostgreSQL, appendix A): the same call may succeed.
_LOST_RACES = ("40001", "40P01")
# What a server says to whom it will not let in the next time either, where it speaks English
# (libpq gives no code for it), and what to do.
_REFUSED = {
    r"database .* does not exist": "create the database, or name another in the address",
    r"role .* does not exist|not permitted to log in": "create the role, or name another user",
    r"authentication failed|no password supplied": "give the password: PGPASSWORD, ~/.pgpass",
    r"no pg_hba.conf entry|permission denied for database": "have the server let this user in",
}


class LostRaceError(StoreBusy):
    """Another transaction was in the way; nothing was done."""


class NotReachedError(StoreUnreachable):
    """There was no connection to send anything on."""


Errors = tuple[type[StoreError], ...]
NOT_DONE: Errors = (LostRaceError, NotReachedError)
IN_DOUBT: Errors = (*NOT_DONE, StoreUnreachable)


def store_error(error: Exception, address: str) -> StoreError:
    """Return our error for one of the driver's or the server's."""
    state = getattr(error, "sqlstate", None) or ""
    text = f"{address}: {' '.join(str(error).split())}"
    kinds: dict[str, tuple[type[StoreError], str]] = {
        "53100": (DiskFull, "make room on the server and call again"),
        "25006": (StoreReadOnly, "use the primary server"),
        "42501": (StoreReadOnly, "grant this user the rights on the schema"),
        "55P03": (StoreBusy, "call again"),
        "XX001": (StoreCorrupt, "restore the database from a backup"),
        "XX002": (StoreCorrupt, "REINDEX the database"),
    }
    if state in kinds:
        kind, advice = kinds[state]
        return kind(f"{text}; {advice}", store=address)
    if state in _LOST_RACES or state == "23505":
        return LostRaceError(f"{text}; call again", store=address)
    for said, advice in _REFUSED.items():
        if not state and re.search(said, str(error)):
            return StoreUnusable(f"{text}; {advice}", store=address)
    # Class 08 and 57: the connection or the server went away.
    if not state or state[:2] in ("08", "57", "53"):
        if isinstance(error, NotConnectedError):
            return NotReachedError(f"{text}; see whether it runs", store=address)
        advice = "see whether it runs, and whether this was done: no answer came"
        return StoreUnreachable(f"{text}; {advice}", store=address)
    return StoreError(text, store=address)
