"""A store in one SQLite file, shared by the threads and processes of one machine."""

from __future__ import annotations

import functools
import math
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from multiturn.checks import one_of, seconds
from multiturn.errors import InvalidContent
from multiturn.stores import read_only, write_lock
from multiturn.stores.errors import ForeignFile, SchemaTooNew, StoreBusy, StoreError
from multiturn.stores.fts5 import Fts5, merge
from multiturn.stores.limit import wait_seconds
from multiturn.stores.migrations import NEWEST, migrate
from multiturn.stores.reading import Execute, Given, T
from multiturn.stores.sql import SqlStore
from multiturn.stores.sqlite_connection import Connection, within
from multiturn.stores.sqlite_errors import not_writable, os_error, store_error
from multiturn.stores.sqlite_file import identity, may_write, require_file, sync_folder
from multiturn.stores.write_lock import WriteLock

TYPES = {
    "key": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "number": "INTEGER PRIMARY KEY",
    "bytes": "BLOB",
    "text": "TEXT",
    "words": "TEXT",
    "index_words": "",  # by the first search: see fts5.py
}
# From days since noon in 4714 BC, as the Julian calendar counts.
CLOCK = "(julianday('now') - 2440587.5) * 86400"
# "mtrn" in ASCII: how a file says that it is ours.
APPLICATION_ID = 0x6D74726E
# How often a file that somebody else changes meanwhile is read anew.
_TRIES = 10
# The first SQLite whose write-ahead log several processes may share without our lock.
_LOG_IS_SAFE = (3, 51, 3)
_SETTINGS = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cell_size_check = ON",
    "PRAGMA journal_size_limit = 16777216",
    # Deleted text is overwritten; the default where Debian builds SQLite, and not elsewhere.
    "PRAGMA secure_delete = ON",
)
_stores: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()
# Neither used any more nor closed: connections that a forked child has from its parent, since
# closing would act on files that are the parent's, and those named in ``close``.
_never_closed: list[sqlite3.Connection] = []


class SQLiteStore(SqlStore):
    """Sessions in one file, on a local disk; made with mode 0600 if it is not there.

    May be shared by threads, and used in a child after ``fork()``.  Many processes may
    have the same file open.  Beside it lie ``-wal`` and ``-shm``, which are SQLite's and
    hold turns not yet moved into the file, and ``-lock``; copy a store with
    ``sqlite3 chats.db ".backup copy.db"``, not with ``cp``.

    Args:
        path: The file; its folder must exist.
        synchronous: "FULL": a turn that ``send_message`` returned survives a power cut.
            "NORMAL": it survives the end of the process, and a power cut may take the
            last turns, whole ones, from the end.
        busy_timeout_seconds: How long to wait for other writers.
        lease_seconds: As in ``SqlStore``.

    A file that may not be written to is opened for reading; what would write raises
    StoreReadOnly.  The file is looked at when it is first needed.  Whatever is not a
    store of ours, or a newer one, or corrupt, is left as it is and raises
    StoreUnusable's children.
    """

    index = Fts5()
    clock, latest = CLOCK, "max"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        busy_timeout_seconds: float = 10,
        lease_seconds: float = 60,
    ) -> None:
        super().__init__(lease_seconds=lease_seconds)
        one_of("synchronous", synchronous, ("FULL", "NORMAL"))
        seconds("busy_timeout_seconds", busy_timeout_seconds, or_zero=True)
        if not isinstance(path, str | os.PathLike) or str(path) in ("", ":memory:"):
            raise InvalidContent("path", path, "a file; MemoryStore() keeps nothing on disk")
        self.path = Path(path).expanduser().absolute()
        self.synchronous: Literal["FULL", "NORMAL"] = synchronous
        self.busy_timeout_seconds = busy_timeout_seconds
        self._reset()
        _stores.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._database: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._is_read_only = False
        self._still: read_only.Mark | None = None
        self._synchronous, self._waits_seconds = "", math.nan
        self._writers = WriteLock(self.path, self.busy_timeout_seconds)

    @property
    def address(self) -> str:
        """The file's path."""
        return str(self.path)

    def __reduce__(self) -> tuple[Callable[[], SQLiteStore], tuple[()]]:
        """Pickle as what it was made with: it is opened anew."""
        made = functools.partial(
            type(self),
            self.path,
            synchronous=self.synchronous,
            busy_timeout_seconds=self.busy_timeout_seconds,
            lease_seconds=self.lease_seconds,
        )
        return made, ()

    # -- transactions --------------------------------------------------------------------

    def _transaction(
        self, work: Callable[[Execute, *Given], T], *given: *Given, is_durable: bool = True
    ) -> T:
        with self._lock:
            try:
                database = self._to_write()
                try:
                    self._writers.take()
                    self._adjust(database, self.synchronous if is_durable else "NORMAL")
                    return within("BEGIN IMMEDIATE", database, work, *given)
                finally:
                    self._writers.release()
            except (sqlite3.Error, OSError) as error:
                self._raise_ours(error)
                raise

    def _reading(self, work: Callable[[Execute, *Given], T], *given: *Given) -> T:
        with self._lock:
            try:
                database = self._connected()
                self._adjust(database, self._synchronous)
                if self._still is None:
                    return within("BEGIN", database, work, *given)
                return self._read_still(work, *given)
            except (sqlite3.Error, OSError) as error:
                self._raise_ours(error)
                raise

    def _read_still(self, work: Callable[[Execute, *Given], T], *given: *Given) -> T:
        """Read a file that is taken to be still; anew if somebody has written to it meanwhile."""
        for _ in range(_TRIES):
            database, before = self._connected(), self._still
            try:
                found = within("BEGIN", database, work, *given)
            except sqlite3.Error:
                if before is None or read_only.mark(self.path) == before:
                    raise
            else:
                if before is None or read_only.mark(self.path) == before:
                    return found
            self.close()
        raise StoreBusy(
            f"{self.path} was changed again and again while it was read; call again",
            store=self.address,
        )

    def _scrub(self) -> None:
        merge(self)
        self._alone("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _compact(self) -> None:
        merge(self)
        self._alone("VACUUM")
        self._alone("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _alone(
        self, statement: str, values: Sequence[Any] = (), *, is_durable: bool = True
    ) -> sqlite3.Cursor:
        with self._lock:
            try:
                database = self._to_write()
                try:
                    self._writers.take()
                    self._adjust(database, self.synchronous if is_durable else "NORMAL")
                    return database.execute(statement, values)
                finally:
                    self._writers.release()
            except (sqlite3.Error, OSError) as error:
                self._raise_ours(error)
                raise

    def _raise_ours(self, error: BaseException) -> None:
        """Raise our error for SQLite's and the system's; begin anew if that leaves doubt."""
        if isinstance(error, StoreError):  # some of ours are errors of the system too
            return
        if isinstance(error, sqlite3.Error):
            ours, is_certain = store_error(error, self.path)
            if not is_certain:
                self.close()
            raise ours from error
        if isinstance(error, PermissionError):
            raise not_writable(self.path) from error
        if isinstance(error, OSError):
            self.close()
            raise os_error(error, self.path) from error

    def _adjust(self, database: sqlite3.Connection, synchronous: str) -> None:
        """Have SQLite write as durably as asked, and wait for others within this call's limit."""
        if synchronous != self._synchronous:
            self._synchronous = ""  # if it is interrupted
            database.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        if (seconds_here := wait_seconds(self.busy_timeout_seconds)) != self._waits_seconds:
            self._waits_seconds = math.nan
            database.execute(f"PRAGMA busy_timeout = {round(seconds_here * 1000)}")
            self._waits_seconds = seconds_here

    # -- the file ------------------------------------------------------------------------

    def _to_write(self) -> sqlite3.Connection:
        """Return the connection where it may write; refuse before anything is done elsewhere."""
        if self._is_read_only and self._may_write():  # by now
            self.close()
        database = self._connected()
        if self._is_read_only:
            raise not_writable(self.path)
        return database

    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            require_file(self.path, self._writers)
            self._file = identity(self.path)
            self._is_read_only = not self._may_write()
            how, self._still = "mode=rw", None
            if self._is_read_only:
                how, self._still = read_only.how_to_read(self.path)
            database = sqlite3.connect(
                f"{self.path.as_uri()}?{how}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=wait_seconds(self.busy_timeout_seconds),
                cached_statements=256,
                factory=Connection,
            )
            try:
                self._prepare(database)
            except BaseException:
                database.close()
                raise
            self._database = database
        elif identity(self.path) != self._file:
            raise StoreError(
                f"{self.path} was removed, or another file put in its place, while it was open; "
                "nothing was stored by this call: put it back, or close() the store to go on "
                "with what is there now",
                store=self.address,
            )
        return self._database

    def _may_write(self) -> bool:
        return may_write(self.path)

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Look whether the file is ours before anything is written, then bring it up to date."""
        for setting in _SETTINGS:
            database.execute(setting)
        seen = within("BEGIN", database, self._version)
        if self._is_read_only and seen == NEWEST:
            return
        if self._is_read_only:
            raise read_only.unreadable(self.path, "an older multiturn made its tables")
        if seen == NEWEST and self._has_wanted_journal(database):
            return
        try:
            self._writers.take()
            database.execute(f"PRAGMA journal_mode = {self._wanted_journal}")
            # Else a power cut could bring back the rollback journal, and with it the past.
            sync_folder(self.path)
            while within("BEGIN IMMEDIATE", database, self._step) != NEWEST:
                pass
        finally:
            self._writers.release()

    def _step(self, execute: Execute) -> int:
        """Bring the tables to the next version, if there is one; return which they had."""
        version = self._version(execute)
        if version != NEWEST:
            migrate(execute, TYPES, version)
            execute(f"PRAGMA application_id = {APPLICATION_ID}")
            execute(f"PRAGMA user_version = {version + 1}")
        return version

    def _version(self, execute: Execute) -> int:
        """Return the version of the tables, 0 for an empty file; refuse foreign and newer ones.

        Three reads, which only a transaction makes one look.
        """
        (application,) = execute("PRAGMA application_id").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        (objects,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, version, objects) == (0, 0, 0):
            return 0
        if application != APPLICATION_ID:
            raise ForeignFile(
                f"{self.path} is an SQLite database of another program; it was left as it is, "
                "choose another path",
                store=self.address,
            )
        if version > NEWEST:
            raise SchemaTooNew(version, NEWEST, store=self.address)
        return int(version)

    @property
    def _wanted_journal(self) -> str:
        is_safe = write_lock.EXISTS or sqlite3.sqlite_version_info >= _LOG_IS_SAFE
        return "wal" if is_safe else "truncate"

    def _has_wanted_journal(self, database: sqlite3.Connection) -> bool:
        return bool(database.execute("PRAGMA journal_mode").fetchone()[0] == self._wanted_journal)

    def _broken_file(self, execute: Execute) -> Iterator[str]:
        for row in execute("PRAGMA integrity_check").fetchall():
            if row[0] != "ok":
                yield f"SQLite: {row[0]}"

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        self.recent.let_go()
        with self._lock:
            database, self._database = self._database, None
            self._synchronous, self._waits_seconds = "", math.nan
            if database is not None and self._still is not None and self._may_write():
                # It has no locks of its own; closed, it would take those from others of this
                # process that may have opened the file since (POSIX drops them all).
                _never_closed.append(database)
            elif database is not None:
                # The last to close moves the log into the file, which is writing.
                try:
                    if not self._is_read_only:
                        self._writers.take()
                    database.close()
                finally:
                    self._writers.release()
            self._writers.close()

    def _leave_to_parent(self) -> None:
        if self._database is not None:
            _never_closed.append(self._database)
        self._writers.close()
        self._reset()


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
