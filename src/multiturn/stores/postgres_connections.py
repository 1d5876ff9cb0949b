"""Connections to PostgreSQL: opened by the call that needs one, and kept for the next.

There is no thread behind them that would wait, longer and longer, before it tries again:
see ``docs/decisions/0014``.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import selectors
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from multiturn.stores.limit import Limit, limit_here

# Where nothing is set up for logs, standard error would be told of each rollback that a
# broken connection could not do; whoever called gets the error.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

T = TypeVar("T")
# What libpq is told where the address does not: a partition is noticed after 10 seconds while
# something is sent, and after a minute while nothing is.
_NETWORK = {
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
# The least that libpq takes for opening a connection.
_LEAST_CONNECT_SECONDS = 2
# What a try has though the time of its call is nearly over, if the limit allows it.
_LEAST_TRY_SECONDS = 1.0
# Longer unused, a connection is closed.
_IDLE_SECONDS = 600.0
# select() takes no socket whose number is 1,024 or more; Windows, where numbers do not
# matter, has no poll().
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
# How often a call that waits for a connection looks whether one was lost by an interrupt.
_LOOK_AGAIN_SECONDS = 0.5


class NotConnectedError(psycopg.OperationalError):
    """There is no connection, so that nothing was sent."""


class Connection(psycopg.Connection[Any]):
    """A connection on which nobody waits beyond a limit, nor for a server that is frozen.

    Attributes:
        limit: Of the call that has it now.
        silent_seconds: How long the server may say nothing before ``lives`` is asked.
        lives: Tells whether the server answers on another connection.
    """

    limit: Limit = Limit()
    silent_seconds = math.inf
    lives: Callable[[], bool] = staticmethod(lambda: True)

    def wait(self, gen: Any, *given: Any, **named: Any) -> Any:
        """Wait for an answer of the server, as ``psycopg``, and give up as said above."""
        return super().wait(self._watched(gen), *given, **named)

    def _watched(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        silent_since, ready = time.monotonic(), None
        try:
            while True:
                ready = yield gen.send(ready)
                if not ready:  # about every tenth of a second while nothing comes
                    now = time.monotonic()
                    if now >= self.limit.ends:
                        self._give_up("gave no answer before the time limit of the call")
                    looks = min(silent_since + self.silent_seconds, now)
                    if looks < now and now + _LEAST_CONNECT_SECONDS < self.limit.ends:
                        if not self.lives():
                            self._give_up("gave no answer, and none on another connection")
                        silent_since = time.monotonic()
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _give_up(self, reason: str) -> None:
        self.pgconn.finish()
        raise psycopg.OperationalError(f"the server {reason}")


class Connections:
    """A process's connections to one database; may be shared by threads.

    Args:
        conninfo: As libpq takes it.
        most: How many are open at once.
        reconnect_seconds: How long a call tries to get one.
    """

    def __init__(self, conninfo: str, most: int, reconnect_seconds: float) -> None:
        self._open = partial(_opened, conninfo)
        self._most, self._seconds = most, reconnect_seconds
        # Newest last, each with the time from when it is not used.
        self._idle: list[tuple[float, Connection]] = []
        # A call that is interrupted anywhere takes its place with it.
        self._lent: weakref.WeakSet[_Place] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._freed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_closed = False
        weakref.finalize(self, _close_all, self._idle, os.getpid())

    def lend(self, work: Callable[[Connection], T]) -> T:
        """Do work with a connection that no other has meanwhile.

        Raises:
            NotConnectedError: None could be opened, or all were in use.
            psycopg.Error: It broke, or the work raised it.
        """
        limit, place = limit_here() or Limit(), _Place()
        until = max(limit.began + self._seconds, time.monotonic() + _LEAST_TRY_SECONDS)
        until = min(limit.ends, until)
        connection = None
        try:
            connection = self._enter(place, until) or self._open(until)
            connection.limit = limit
            # Half of the time is for a look whether it lives.
            connection.silent_seconds = max(until - time.monotonic(), _LEAST_TRY_SECONDS) / 2
            connection.lives = partial(_lives, self._open)
            return work(connection)
        finally:
            self._leave(place, connection)

    def _enter(self, place: _Place, until: float) -> Connection | None:
        """Wait until fewer than the most are lent; return an idle one if there is any."""
        while True:
            with self._lock:
                if len(self._lent) < self._most:
                    self._lent.add(place)
                    idle = next(self._usable(), None)
                    break
            left = until - time.monotonic()
            if left <= 0:
                raise NotConnectedError(
                    f"all {self._most} connections were in use all the time; see max_connections"
                )
            with suppress(queue.Empty):
                self._freed.get(timeout=min(left, _LOOK_AGAIN_SECONDS))
        if len(self._lent) < self._most and self._freed.empty():
            self._freed.put(None)  # of two that left at once one may have told nobody
        return idle

    def _usable(self) -> Iterator[Connection]:
        """Give idle connections that the server has not ended, the newest first."""
        while self._idle:
            connection = self._idle.pop()[1]
            with _Selector() as selector:
                selector.register(connection.pgconn.socket, selectors.EVENT_READ)
                has_something_to_say = selector.select(0)
            if not has_something_to_say:
                yield connection
            else:  # that it ended the connection, or something that nobody asked for
                connection.close()

    def _leave(self, place: _Place, connection: Connection | None) -> None:
        idle = psycopg.pq.TransactionStatus.IDLE
        is_whole = connection is not None and connection.pgconn.transaction_status == idle
        now, gone = time.monotonic(), [connection]
        with self._lock:
            self._lent.discard(place)
            if connection is not None and is_whole and not self._is_closed:
                self._idle.append((now, connection))
                gone = [one for since, one in self._idle if since < now - _IDLE_SECONDS]
            elif not is_whole:  # those that were opened before are broken too, most likely
                gone += [one for _, one in self._idle]
            if gone:
                self._idle[:] = [pair for pair in self._idle if pair[1] not in gone]
        if self._freed.empty():
            self._freed.put(None)
        for one in gone:
            if one is not None:
                one.close()

    def close(self) -> None:
        """Close those that nobody has, and the others when they come back."""
        with self._lock:
            self._is_closed = True
        _close_all(self._idle, os.getpid())


class _Place:
    """Counts as one connection for as long as somebody holds it."""

    __slots__ = ("__weakref__",)


def _opened(conninfo: str, until: float) -> Connection:
    """Open a connection; libpq takes no limit below two seconds."""
    given = conninfo_to_dict(conninfo)
    named: Any = {name: value for name, value in _NETWORK.items() if name not in given}
    seconds = max(_LEAST_CONNECT_SECONDS, math.ceil(until - time.monotonic()))
    most = int(given.get("connect_timeout") or 0)
    named["connect_timeout"] = min(seconds, most) if most > 0 else seconds
    try:
        return Connection.connect(conninfo, autocommit=True, prepare_threshold=None, **named)
    except psycopg.OperationalError as error:
        raise NotConnectedError(str(error)) from None  # it holds the password


def _lives(open_: Callable[[float], Connection]) -> bool:
    """Return whether the server says anything on another connection."""
    try:
        until = time.monotonic() + _LEAST_CONNECT_SECONDS
        with open_(until) as connection:
            connection.limit = Limit(until)
            connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return "FATAL" in str(error)  # it has no room for one more, say
    return True


def _close_all(idle: list[tuple[float, Connection]], process_id: int) -> None:
    if process_id == os.getpid():  # a forked child has its parent's sockets
        while idle:
            idle.pop()[1].close()
