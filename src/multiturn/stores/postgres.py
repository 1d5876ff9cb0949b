"""A store in PostgreSQL, shared by many machines; needs ``pip install multiturn[postgres]``.

Works behind a pooler in transaction mode: every call is one transaction, nothing is kept
in a server's session, and statements are not prepared there.  Tables lie in a schema of
their own.  A call whose connection breaks is made again on another one if doing it twice
does it once, as a commit does by the turn's identity.  ``create``, ``restore``, ``rename``
and ``delete`` do not: they are made again only if nothing was sent.
"""

from __future__ import annotations

import functools
import os
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from multiturn.checks import seconds, whole
from multiturn.errors import InvalidContent, UsageError
from multiturn.stores.errors import (
    Conflict,
    OutcomeUnknown,
    SchemaTooNew,
    StoreUnreachable,
)
from multiturn.stores.limit import Limit, limit_here
from multiturn.stores.migrations import NEWEST, migrate
from multiturn.stores.protocol import SessionState
from multiturn.stores.reading import Execute, Given, T
from multiturn.stores.sql import SqlStore
from multiturn.stores.tsvector import TsVector

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    from multiturn.stores.postgres_connections import Connection, Connections
    from multiturn.stores.postgres_errors import (
        IN_DOUBT,
        NOT_DONE,
        Errors,
        NotReachedError,
        store_error,
    )
except ImportError as error:
    raise UsageError("PostgresStore needs psycopg: pip install 'multiturn[postgres]'") from error

_TYPES = {
    "key": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "number": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "bytes": "BYTEA",
    "text": 'TEXT COLLATE "C"',
    "words": "TSVECTOR",
    "index_words": "CREATE INDEX passages_words ON passages USING gin (words)",
}
_TABLES = (
    *("sessions", "turns", "attempts", "blobs", "uses"),
    *("passages", "indexing", "erasures"),
)
_TABLE = re.compile(rf"\b({'|'.join(_TABLES)})\b")
# "mtrn" in ASCII: the advisory lock under which one process at a time migrates.
_MIGRATION_LOCK = 0x6D74726E
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5
# Keywords of libpq that hold a secret themselves.
_SECRETS = {
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
}
_stores: weakref.WeakSet[PostgresStore] = weakref.WeakSet()
# What a forked child has from its parent, whose sockets they are.
_never_closed: list[Connections | None] = []


class PostgresStore(SqlStore):
    """Sessions in a PostgreSQL database (tested with 15).

    May be shared by threads, and used in a child after ``fork()``.

    Args:
        conninfo: ``postgresql://user@host/database`` or keywords, as libpq takes them.
        schema: Where the tables lie; made if it is not there.
        max_connections: How many are open at once in this process.
        reconnect_seconds: How long a call tries to reach a server that is away.
        lease_seconds: As in ``SqlStore``; counted on the server's clock.
    """

    index = TsVector()
    clock = "extract(epoch FROM clock_timestamp())::float8"
    latest = "greatest"
    locking = "FOR UPDATE"
    # Locks the row, so that a transaction that would delete it waits, and then looks again.
    _if_there = "DO UPDATE SET hash = excluded.hash"

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = "multiturn",
        max_connections: int = 10,
        reconnect_seconds: float = 10,
        lease_seconds: float = 60,
    ) -> None:
        super().__init__(lease_seconds=lease_seconds)
        if not (isinstance(schema, str) and re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema)):
            raise InvalidContent("schema", schema, "a lower-case name, as 'multiturn'")
        whole("max_connections", max_connections)
        seconds("reconnect_seconds", reconnect_seconds, or_zero=True)
        _require_address(conninfo)
        self._conninfo, self.schema = conninfo, schema
        self.max_connections, self.reconnect_seconds = max_connections, reconnect_seconds
        self.threads = max_connections
        self._connections: Connections | None = None
        self._making = threading.Lock()
        self._is_prepared = False
        self._translate = functools.cache(functools.partial(_in_schema, schema))
        _stores.add(self)

    @property
    def address(self) -> str:
        """Where it is, without a password."""
        parts = conninfo_to_dict(self._conninfo)
        place = f"{parts.get('user', '')}@{parts.get('host', '')}:{parts.get('port', 5432)}"
        return f"postgresql://{place}/{parts.get('dbname', '')}#{self.schema}"

    def __reduce__(self) -> tuple[Callable[[], PostgresStore], tuple[()]]:
        """Pickle as what it was made with, unless that holds a password."""
        if secrets := _SECRETS & conninfo_to_dict(self._conninfo).keys():
            raise UsageError(
                f"a PostgresStore whose address holds a {min(secrets)} is not pickled; make it "
                "where it is needed, or leave the password to PGPASSFILE or ~/.pgpass"
            )
        made = functools.partial(
            type(self),
            self._conninfo,
            schema=self.schema,
            max_connections=self.max_connections,
            reconnect_seconds=self.reconnect_seconds,
            lease_seconds=self.lease_seconds,
        )
        return made, ()

    # -- connections ---------------------------------------------------------------------

    def _connected(self, work: Callable[[Connection], T]) -> T:
        try:
            return self._pool().lend(functools.partial(self._prepared, work))
        except psycopg.Error as error:
            raise store_error(error, self.address) from error

    def _pool(self) -> Connections:
        """Return what is open in this process; another thread may close it meanwhile."""
        with self._making:
            if self._connections is None:
                given = self._conninfo, self.max_connections, self.reconnect_seconds
                self._connections = Connections(*given)
            return self._connections

    def _prepared(self, work: Callable[[Connection], T], connection: Connection) -> T:
        if not self._is_prepared:
            self._prepare(connection)
        return work(connection)

    def _transaction(
        self, work: Callable[[Execute, *Given], T], *given: *Given, is_durable: bool = True
    ) -> T:
        def within(connection: Connection) -> T:
            with connection.transaction():
                return work(self._executing(connection), *given)

        return self._connected(within)

    def _alone(self, statement: str, values: Sequence[Any] = (), *, is_durable: bool = True) -> Any:
        return self._connected(lambda one: self._executing(one)(statement, values))

    def _reading(self, work: Callable[[Execute, *Given], T], *given: *Given) -> T:
        return self._transaction(work, *given)

    def _rows(self, statement: str, values: Sequence[Any]) -> list[Any]:
        return list(self._alone(statement, values).fetchall())

    def _executing(self, connection: Connection) -> Execute:
        translate = self._translate

        def execute(statement: str, values: Any = ()) -> Any:
            query: Any = translate(statement)
            return connection.execute(query, values)

        return execute

    def _row(self, execute: Execute, state: SessionState) -> SessionState:
        # Locked by a statement of its own: one that waits for the lock goes on with what it
        # saw before it waited, in which the head that it now finds has not been said yet.
        execute("SELECT 1 FROM sessions WHERE key = ? FOR UPDATE", (state.key,))
        return super()._row(execute, state)

    def _compact(self) -> None:
        for table in _TABLES:
            self._alone(f"VACUUM (FULL, ANALYZE) {table}")

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        self.recent.let_go()
        with self._making:
            connections, self._connections = self._connections, None
        if connections is not None:
            connections.close()

    def _leave_to_parent(self) -> None:
        _never_closed.append(self._connections)
        self._connections, self._making = None, threading.Lock()

    # -- tables --------------------------------------------------------------------------

    def _prepare(self, connection: Connection) -> None:
        """Bring the tables up to date; of many that begin at once one does it."""
        version = self._version(connection)
        while version < NEWEST:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
                version = self._version(connection)
                if version < NEWEST:
                    self._step(connection, version)
                    version += 1
        if version > NEWEST:
            raise SchemaTooNew(version, NEWEST, store=self.address)
        self._is_prepared = True

    def _version(self, connection: Connection) -> int:
        # Asked of the catalogue's rows: to_regclass() remembers what was not there before
        # this transaction waited for another that made it.
        there = connection.execute(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
            "ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = 'version'",
            (self.schema,),
        ).fetchone()
        if there is None:
            return 0
        query: Any = f"SELECT max(version) FROM {self.schema}.version"
        return int((connection.execute(query).fetchone() or (0,))[0])

    def _step(self, connection: Connection, version: int) -> None:
        execute = self._executing(connection)
        execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
        execute(f"CREATE TABLE IF NOT EXISTS {self.schema}.version (version INTEGER)")
        migrate(execute, _TYPES, version)
        execute(f"INSERT INTO {self.schema}.version VALUES (?)", (version + 1,))

    # -- doing it again ------------------------------------------------------------------

    def _again(self, work: Callable[[], T], after: Errors = IN_DOUBT) -> T:
        """Do work, and again after these errors, while the server may come back."""
        if limit := limit_here():
            return self._tried(work, after, limit)
        with Limit() as limit:
            return self._tried(work, after, limit)

    def _tried(self, work: Callable[[], T], after: Errors, limit: Limit) -> T:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return work()
            except after as error:
                deadline = min(limit.began + self.reconnect_seconds, limit.ends)
                if time.monotonic() + pause > deadline:
                    if isinstance(error, NotReachedError):  # known by that name
                        raise StoreUnreachable(str(error), store=self.address) from None
                    raise
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def commit(self, state: SessionState, turns: Any, blobs: Any) -> SessionState:
        """Add turns and move the head; sent again until it is known to be done."""
        lost = False

        def work() -> SessionState:
            nonlocal lost
            try:
                return super(PostgresStore, self).commit(state, turns, blobs)
            except NOT_DONE:
                raise
            except StoreUnreachable:
                lost = True
                raise
            except Conflict:
                # What was sent first may have won the race against being sent again.
                if lost and self._has(turns[-1].id):
                    return self.state_of(state)
                raise

        try:
            return self._again(work)
        except IN_DOUBT as error:
            if not lost:
                raise
            raise OutcomeUnknown(turns[-1].id, store=self.address) from error

    def _has(self, turn: str) -> bool:
        return bool(self._rows("SELECT 1 FROM turns WHERE id = ?", (bytes.fromhex(turn),)))

    def state_of(self, state: SessionState) -> SessionState:
        """Return a session as it is now."""
        return self._reading(self._row, state)

    def move(self, state: SessionState, head: Any, redo: Any = ()) -> SessionState:
        """Point a session at another turn; once, even if it has to be sent again."""
        lost = False

        def work() -> SessionState:
            nonlocal lost
            try:
                return super(PostgresStore, self).move(state, head, redo)
            except NOT_DONE:
                raise
            except StoreUnreachable:
                lost = True
                raise
            except Conflict:
                now = self.state_of(state)
                if lost and (now.head, now.redo) == (head, tuple(redo)):
                    return now
                raise

        return self._again(work)


def _require_address(conninfo: str) -> None:
    try:
        conninfo_to_dict(conninfo)
    except (psycopg.Error, AttributeError, TypeError):
        expected = "postgresql://user@host/database, or keywords of libpq"
        raise InvalidContent("conninfo", "a value (not shown)", expected) from None


def _in_schema(schema: str, statement: str) -> str:
    return _TABLE.sub(rf"{schema}.\1", statement).replace("?", "%s")


def _make_again(name: str, after: Errors) -> None:
    plain = getattr(SqlStore, name)

    @functools.wraps(plain)
    def again(self: PostgresStore, *given: Any, **named: Any) -> Any:
        return self._again(functools.partial(plain, self, *given, **named), after)

    setattr(PostgresStore, name, again)


# Doing these twice is doing them once.
for _name in (
    *("open", "state", "sessions", "begin", "note", "renew", "settle"),
    *("line", "tree", "attempts", "blobs", "check", "search"),
    *("erase", "prune", "vacuum", "_sweep"),
):
    _make_again(_name, IN_DOUBT)
# These are not: the second time finds that the name is taken, or gone.
for _name in ("create", "restore", "rename", "_delete_alone"):
    _make_again(_name, NOT_DONE)


def _after_fork_in_child() -> None:
    for store in list(_stores):
        store._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
