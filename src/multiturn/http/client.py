"""Our own HTTP client: keeps connections open, and asks once more when an idle one was stale."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from multiturn.cancel import Cancel
from multiturn.errors import ConnectionFailed
from multiturn.http import HttpHead, HttpRequest
from multiturn.http.blocking import Connection, Interrupt, connect
from multiturn.http.pool import Pool
from multiturn.http.route import Origin, Route, Trust, proxy_for, split

if TYPE_CHECKING:
    from multiturn.http.nonblocking import Connections


class Http:
    """An HTTP/1.1 client for any number of threads and event loops.

    Proxies and certificates are those of the environment when a connection is made.
    Connections are kept open and used again; those of an event loop are closed with it,
    and a forked process uses none of its parent's.
    """

    def __init__(self) -> None:
        self._trust = Trust()
        self._pool: Pool[Connection] = Pool()
        self._by_loop: Connections | None = None
        _clients.add(self)

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Iterator[HttpHead | bytes]:
        """Send, and give the head, then the pieces of the body."""
        origin, target = split(request.url)
        interrupt = Interrupt()
        cancel.call(interrupt)
        connection: Connection | None = None
        try:
            connection = self._answered(origin, target, request, interrupt)
            reader = connection.reader
            assert reader.head is not None
            yield reader.head
            while True:
                if data := reader.take():
                    yield data
                if reader.complete:
                    break
                connection.receive(request)
            interrupt.guard(None)
            if reader.reusable and not interrupt.is_set:
                self._pool.put(origin, connection)
                connection = None
        except Exception:
            if not cancel.is_set():
                raise
        finally:
            cancel.forget(interrupt)
            if connection is not None:
                interrupt.guard(None)
                connection.close()

    def _answered(
        self, origin: Origin, target: str, request: HttpRequest, interrupt: Interrupt
    ) -> Connection:
        """Return a connection on which the head of the answer has arrived."""
        connection = self._pool.take(origin)
        while True:
            is_reused = connection is not None
            if connection is None:
                route = Route(origin, proxy_for(origin))
                connection = connect(route, self._trust, request, interrupt)
            try:
                connection.guarded_by(interrupt)
                connection.send(request, target)
                while connection.reader.head is None:
                    connection.receive(request)
                return connection
            except BaseException as error:
                interrupt.guard(None)
                connection.close()
                # An idle connection that the server had closed, unseen by us: it saw
                # nothing of the request, so a new one is free of charge.
                stale = isinstance(error, ConnectionFailed) and not connection.reader.began
                if not (stale and is_reused) or interrupt.is_set:
                    raise
                connection = None

    def exchange_async(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        """The same without ever blocking the event loop."""
        if self._by_loop is None:
            from multiturn.http.nonblocking import Connections

            self._by_loop = Connections(self._trust)
        return self._by_loop.exchange(request, cancel)

    def close(self) -> None:
        """Close the idle connections of blocking calls; the client may go on being used."""
        self._pool.close()

    def _after_fork(self) -> None:
        self._trust.renewed()

    def __reduce__(self) -> tuple[type[Http], tuple[()]]:
        return type(self), ()


_clients: weakref.WeakSet[Http] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_clients):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
