"""Exchanges in event loops (asyncio's, uvloop's): one pool for each loop, closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from multiturn.cancel import Cancel
from multiturn.errors import ConnectionFailed
from multiturn.http import HttpHead, HttpRequest
from multiturn.http.nonblocking_connection import Connection, connect
from multiturn.http.pool import Pool
from multiturn.http.route import Origin, Route, Trust, proxy_for, split


class Connections:
    """The pools of all event loops."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._pools: dict[asyncio.AbstractEventLoop, tuple[Pool[Connection], Any]] = {}

    async def exchange(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        """Send, and give the head, then the pieces of the body."""
        origin, target = split(request.url)
        loop = asyncio.get_running_loop()
        entry = self._pools.get(loop)
        pool = entry[0] if entry else await self._new_pool(loop)
        call = _Call(loop)
        cancel.call(call.interrupt_soon)
        connection: Connection | None = None
        try:
            connection = await self._answered(pool, origin, target, request, call)
            reader = connection.reader
            assert reader.head is not None
            yield reader.head
            while True:
                if data := reader.take():
                    yield data
                if reader.complete:
                    break
                await connection.more()
            call.connection = None
            if reader.reusable and connection.is_usable and not cancel.is_set():
                connection.rest()
                pool.put(origin, connection)
                connection = None
        except Exception:
            if not cancel.is_set():
                raise
        finally:
            cancel.forget(call.interrupt_soon)
            call.connection = None
            if connection is not None:
                connection.close()

    async def _answered(
        self,
        pool: Pool[Connection],
        origin: Origin,
        target: str,
        request: HttpRequest,
        call: _Call,
    ) -> Connection:
        """Return a connection on which the head of the answer has arrived."""
        connection = pool.take(origin)
        while True:
            is_reused = connection is not None
            if connection is None:
                route = Route(origin, proxy_for(origin))
                connection = await call.run(connect(route, self._trust, request))
            try:
                call.connection = connection
                connection.send(request, target)
                while connection.reader.head is None:
                    await connection.more()
                return connection
            except BaseException as error:
                call.connection = None
                connection.close()
                stale = isinstance(error, ConnectionFailed) and not connection.reader.began
                if not (stale and is_reused) or call.is_interrupted:
                    raise
                connection = None

    async def _new_pool(self, loop: asyncio.AbstractEventLoop) -> Pool[Connection]:
        """Make a loop's pool, and have it closed when the loop ends."""
        for other in [other for other in self._pools if other.is_closed()]:
            self._pools.pop(other)[0].close()
        pool: Pool[Connection] = Pool()
        # asyncio.run and its like end a loop by closing its async generators first: what
        # stands in the ``finally`` of a begun one runs in a loop that still works.
        ending = self._until_the_loop_ends(loop, pool)
        self._pools[loop] = pool, ending
        await anext(ending)
        return pool

    async def _until_the_loop_ends(
        self, loop: asyncio.AbstractEventLoop, pool: Pool[Connection]
    ) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._pools.pop(loop, None)
            pool.close()
            await asyncio.sleep(0)  # the transports close their sockets in the next round


class _Call:
    """One exchange, for whoever interrupts it from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connecting: asyncio.Task[Connection] | None = None
        self.connection: Connection | None = None
        self.is_interrupted = False

    def interrupt_soon(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and with it the connection
            self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        self.is_interrupted = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self.connection is not None:
            self.connection.interrupt()

    async def run(self, connecting: Any) -> Connection:
        """Await a new connection, which an interrupt gives up."""
        task: asyncio.Task[Connection] = asyncio.ensure_future(connecting)
        self._connecting = task
        try:
            return await task
        except asyncio.CancelledError:
            if self.is_interrupted:
                raise ConnectionFailed("the call was interrupted") from None
            task.cancel()
            raise
        finally:
            self._connecting = None
