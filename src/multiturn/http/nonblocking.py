"""Exchanges in event loops (asyncio's, uvloop's): one pool for each loop, closed with it."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Self

from multiturn.cancel import Cancel
from multiturn.errors import ConnectionFailed
from multiturn.http import HttpHead, HttpRequest
from multiturn.http.message import ResponseReader
from multiturn.http.nonblocking_connection import Connection, connect
from multiturn.http.pool import Pool
from multiturn.http.route import Route, Trust, proxy_for, split

Loop = asyncio.AbstractEventLoop


class LoopConnections:
    """The connections of one event loop.

    Attributes:
        idle: Those that wait for a request.
        ending: What closes all of them when the loop ends.
    """

    __slots__ = ("__weakref__", "_in_use", "_looks_at", "_loop", "_timer", "ending", "idle")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.idle: Pool[Connection] = Pool()
        self._in_use: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf
        self.ending: AsyncIterator[None] | None = None

    def send(self, connection: Connection, request: HttpRequest, target: str) -> None:
        """Send a request, and watch over its time limits until it is released."""
        self._in_use.add(connection)
        connection.send(request, target)
        self._look_by(connection.time_limit)

    def release(self, connection: Connection) -> None:
        """Have no more to do with a connection."""
        self._in_use.discard(connection)

    def close(self) -> None:
        """Close all."""
        self.idle.close()
        for connection in list(self._in_use):
            connection.close()

    def _look_by(self, at: float) -> None:
        """See that all are looked at by then: one timer serves a thousand of them."""
        if at < self._looks_at:
            if self._timer is not None:
                self._timer.cancel()
            seconds = max(0.0, at - time.monotonic()) + 0.001
            # The loop does not keep the connections of a client that was dropped.
            ours: weakref.ref[LoopConnections] = weakref.ref(self)
            self._timer = self._loop.call_later(seconds, _look_at, ours)
            self._looks_at = at

    def look(self) -> None:
        """End what takes too long."""
        self._timer, self._looks_at, now = None, math.inf, time.monotonic()
        in_use = list(self._in_use)
        for connection in in_use:
            connection.look(now)
        self._look_by(min((c.time_limit for c in in_use), default=math.inf))


def _look_at(connections: weakref.ref[LoopConnections]) -> None:
    if (ours := connections()) is not None:
        ours.look()


class Connections:
    """The connections of all event loops."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self._by_loop: dict[Loop, LoopConnections] = {}

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Exchange:
        """Return an exchange that has not begun."""
        return Exchange(self, request, cancel)

    def of(self, loop: Loop) -> LoopConnections | None:
        """Return those of a loop, None as long as it had none."""
        return self._by_loop.get(loop)

    async def first(self, loop: Loop) -> LoopConnections:
        """Let the running loop have connections, which are closed when it ends."""
        for other in list(self._by_loop):  # other threads have loops too
            if other.is_closed() and (ended := self._by_loop.pop(other, None)) is not None:
                ended.close()
        self._by_loop[loop] = ours = LoopConnections(loop)
        # asyncio.run and its like end a loop by closing its async generators first: what
        # stands in the ``finally`` of a begun one runs in a loop that still works.
        ours.ending = self._until_the_loop_ends(loop, ours)
        await anext(ours.ending)
        return ours

    async def _until_the_loop_ends(self, loop: Loop, ours: LoopConnections) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            ours.close()
            await asyncio.sleep(0)  # the transports close their sockets in the next round


class Interrupt:
    """Ends what an exchange waits for, called from any thread.

    It does not know the exchange: one that was dropped is not kept by whoever might have
    interrupted it.

    Attributes:
        ends: What is waited for.
        was_now: Whether something was ended.
    """

    __slots__ = ("_loop", "ends", "was_now")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.ends: Connection | asyncio.Task[Connection] | None = None
        self.was_now = False

    def __call__(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it the connection
            self._loop.call_soon_threadsafe(self.now)

    def now(self) -> None:
        """Do the same in the loop's own thread."""
        if self.ends is not None:
            self.was_now = True
            self.ends.cancel()


class Exchange:
    """One request and its answer: gives the head, then the pieces of the body.

    Dropped before its end, in whatever thread, it closes its connection.
    """

    # Not an async generator, which would bring four more objects and two hooks of the
    # event loop: what a thousand exchanges at once cost is the collector's work.
    __slots__ = (
        "_cancel",
        "_connection",
        "_connections",
        "_has_head",
        "_interrupt",
        "_is_over",
        "_is_read",
        "_is_reused",
        "_ours",
        "_request",
    )

    def __init__(self, connections: Connections, request: HttpRequest, cancel: Cancel) -> None:
        self._connection: Connection | None = None
        self._connections, self._request, self._cancel = connections, request, cancel
        self._has_head = self._is_read = self._is_reused = self._is_over = False
        self._interrupt: Interrupt | None = None
        self._ours: LoopConnections | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> HttpHead | bytes:
        if self._is_over:
            raise StopAsyncIteration
        if self._is_read:
            raise RuntimeError("an answer is read by one task at a time")
        self._is_read = True
        try:
            connection = self._connection or self._reused() or await self._new()
            connection.require_time()
            while (event := self._arrived(connection.reader)) is None:
                try:
                    await connection.more()
                except ConnectionFailed:
                    # An idle connection that the server had closed, unseen by us: it saw
                    # nothing of the request, so a new one is free of charge.
                    stale = self._is_reused and not connection.reader.began
                    if not stale or self._cancel.is_set():
                        raise
                    connection = await self._new()
            if event:
                return event
            self._keep()
        except BaseException as error:
            self._close()
            if not (self._cancel.is_set() and isinstance(error, Exception)):
                raise
        finally:
            self._is_read = False
        raise StopAsyncIteration

    def _arrived(self, reader: ResponseReader) -> HttpHead | bytes | None:
        """Return what comes next; nothing at the end, None if it has not arrived yet."""
        if self._has_head:
            return reader.take() or (b"" if reader.complete else None)
        self._has_head = reader.head is not None
        return reader.head

    async def aclose(self) -> None:
        """End it; its connection is closed if the answer was not read to its end."""
        if self._interrupt is not None:
            self._interrupt.now()  # another task may wait
        self._close()

    def _reused(self) -> Connection | None:
        """Send on an idle connection, if there is one."""
        loop = asyncio.get_running_loop()
        self._interrupt = Interrupt(loop)
        self._cancel.call(self._interrupt)
        self._ours = self._connections.of(loop)
        origin, _ = split(self._request.url)
        connection = self._ours.idle.take(origin) if self._ours else None
        if connection is not None:
            self._is_reused = True
            self._send(connection)
        return connection

    async def _new(self) -> Connection:
        """Send on a new connection, in the place of one that was stale."""
        if stale := self._released():
            stale.close()
        assert self._interrupt is not None
        self._is_reused = False
        if self._ours is None:
            self._ours = await self._connections.first(asyncio.get_running_loop())
        origin, _ = split(self._request.url)
        route = Route(origin, proxy_for(origin))
        connecting = asyncio.ensure_future(connect(route, self._connections.trust, self._request))
        self._interrupt.ends = connecting
        try:
            connection = await connecting
        except asyncio.CancelledError:
            connecting.add_done_callback(_closed_if_late)
            task = asyncio.current_task()
            if self._interrupt.was_now and not (task and task.cancelling()):
                raise ConnectionFailed("the call was interrupted") from None
            raise
        if self._interrupt.was_now:  # when there was nothing left to end
            connection.close()
            raise ConnectionFailed("the call was interrupted")
        self._send(connection)
        return connection

    def _send(self, connection: Connection) -> None:
        assert self._interrupt is not None
        assert self._ours is not None
        self._connection = self._interrupt.ends = connection
        self._ours.send(connection, self._request, split(self._request.url)[1])

    def _keep(self) -> None:
        """Leave the connection to the next request, after a whole answer."""
        connection = self._ended()
        if connection is None or self._ours is None:
            return
        if connection.may_serve_again and not self._cancel.is_set():
            connection.rest()
            self._ours.idle.put(split(self._request.url)[0], connection)
        else:
            connection.close()

    def _close(self) -> None:
        if connection := self._ended():
            connection.close()

    def _ended(self) -> Connection | None:
        """Have no more to do with anything; return the connection that was used."""
        self._is_over = True
        if self._interrupt is not None:
            self._cancel.forget(self._interrupt)
        return self._released()

    def _released(self) -> Connection | None:
        connection, self._connection = self._connection, None
        if self._interrupt is not None:
            self._interrupt.ends = None
        if self._ours is not None and connection is not None:
            self._ours.release(connection)
        return connection

    def __del__(self) -> None:
        if self._connection is not None and (connection := self._ended()):
            connection.close_soon()


def _closed_if_late(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
