"""Connections of event loops (asyncio's, uvloop's): one pool for each loop, closed with it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

from multiturn.cancel import Cancel
from multiturn.errors import BackendError, ConnectionFailed, TimedOut
from multiturn.http import HttpHead, HttpRequest
from multiturn.http.blocking import (
    Address,
    Limit,
    failed,
    interleaved,
    require_tunnel,
    total_timed_out,
    tunnel_request,
    untrusted,
)
from multiturn.http.message import ResponseReader, request_head
from multiturn.http.pool import Pool
from multiturn.http.route import Route, Trust, addressed, proxy_for, split

# So much of an answer may wait for its reader before the server is made to wait.
_WAITING_BYTES = 1024 * 1024
_JOINED_BYTES = 65_536
_NEXT_ADDRESS_SECONDS = 0.25

# Transports of a process from which this one was forked: left alone, never collected.
_inherited: list[Any] = []


class Connection(asyncio.Protocol):
    """A connection to a route; used by one request at a time, in one event loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._transport: Any = None
        self.reader = ResponseReader()
        self._waiter: asyncio.Future[None] | None = None
        self._problem: BackendError | None = None
        self._request: HttpRequest | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._is_paused = self._is_closed = False

    # -- what the event loop calls -------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        if self._request is None:
            self.close()  # an idle server has nothing to say
            return
        try:
            self.reader.feed(data)
        except BackendError as problem:
            self._problem = problem
        if self.reader.waiting_bytes > _WAITING_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._is_closed = True
        if self._request is None or self._problem is not None:
            return
        try:
            if isinstance(error, OSError):
                self._problem = failed("the connection broke", error)
            else:
                self.reader.end()
        except BackendError as problem:
            self._problem = problem
        self._wake()

    # -- one request ---------------------------------------------------------------------

    def send(self, request: HttpRequest, head: memoryview) -> None:
        """Send a request, in part perhaps when the loop comes to it."""
        self.reader.begin()
        self._request, self._problem = request, None
        self._heard_at = time.monotonic()
        if len(request.body) <= _JOINED_BYTES:
            self._transport.write(b"".join((head, request.body)))
        else:
            self._transport.write(head)
            self._transport.write(request.body)
        self._look_later()

    async def more(self) -> None:
        """Wait until more of the answer is there; raise what ended it."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        if self._problem is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            self._heard_at = time.monotonic()
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._problem is not None and not (self.reader.complete or self.reader.waiting_bytes):
            raise self._problem

    def interrupt(self) -> None:
        """End what waits on this connection; for the loop's own thread."""
        self._problem = self._problem or ConnectionFailed("the call was interrupted")
        self._wake()

    def rest(self) -> None:
        """Wait for the next request."""
        self._request = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look_later(self) -> None:
        request = self._request
        assert request is not None
        at = min(request.deadline, self._heard_at + request.idle_seconds)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, at - time.monotonic()) + 0.001, self._look)

    def _look(self) -> None:
        """Whether the time is up; one timer for each request, set anew when it fires."""
        request, now = self._request, time.monotonic()
        if request is None or self._is_closed:
            return
        if self._waiter is None:
            self._heard_at = now  # it is the reader of the answer who takes his time
        if now >= request.deadline:
            self._problem = self._problem or total_timed_out()
        elif now >= self._heard_at + request.idle_seconds:
            self._problem = self._problem or TimedOut(
                f"the server sent nothing within {request.idle_seconds:g} s", retryable=True
            )
        else:
            self._look_later()
            return
        self._wake()

    # -- between requests ----------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether the server seems to be still there."""
        return not self._is_closed and not self._transport.is_closing()

    def close(self) -> None:
        """Close at once."""
        self.rest()
        self._is_closed = True
        if self._transport is None:
            self._socket.close()
            return
        try:
            self._transport.abort()
        except RuntimeError:  # its loop is closed
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                self._socket.close()
                self._transport = None

    def forget(self) -> None:
        """Close the socket without touching the loop, which is another process's."""
        _inherited.append(self._transport)
        self._request, self._timer, self._is_closed = None, None, True
        self._socket.close()


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
        route = Route(origin, proxy_for(origin))
        loop = asyncio.get_running_loop()
        entry = self._pools.get(loop)
        pool = entry[0] if entry else await self._new_pool(loop)
        target, host, headers = addressed(route, target)
        head = request_head(
            request.method, target, host, (*request.headers, *headers), len(request.body)
        )
        call = _Call(loop)
        cancel.call(call.interrupt_soon)
        connection: Connection | None = None
        try:
            connection = await self._answered(pool, route, request, head, call)
            reader = connection.reader
            assert reader.head is not None
            yield reader.head
            while True:
                for piece in reader.take():
                    yield piece
                if reader.complete:
                    break
                await connection.more()
            call.connection = None
            if reader.reusable and connection.is_usable and not cancel.is_set():
                connection.rest()
                pool.put(route, connection)
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
        route: Route,
        request: HttpRequest,
        head: memoryview,
        call: _Call,
    ) -> Connection:
        """Return a connection on which the head of the answer has arrived."""
        connection = pool.take(route)
        while True:
            is_reused = connection is not None
            connection = connection or await call.run(connect(route, self._trust, request))
            try:
                call.connection = connection
                connection.send(request, head)
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
        self._connecting = asyncio.ensure_future(connecting)
        try:
            return await self._connecting
        except asyncio.CancelledError:
            if self.is_interrupted:
                raise ConnectionFailed("the call was interrupted") from None
            self._connecting.cancel()
            raise
        finally:
            self._connecting = None


async def connect(route: Route, trust: Trust, request: HttpRequest) -> Connection:
    """Return a new connection along a route.

    Raises:
        ConnectionFailed, TimedOut: Nobody could be reached, or trusted.
    """
    host, port = route.first_stop
    limit = Limit(request, request.connect_seconds, f"no connection to {host}:{port} was made")
    try:
        async with asyncio.timeout(limit.left_seconds):
            sock = await _first_connected(host, port)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                if route.is_tunnel:
                    await _tunnel(sock, route)
                return await _begun(sock, route, trust)
            except BaseException:
                sock.close()
                raise
    except TimeoutError as error:
        raise error if isinstance(error, TimedOut) else limit.error() from None
    except ssl.SSLCertVerificationError as error:
        raise untrusted(route, error) from None
    except OSError as error:
        if isinstance(error, ConnectionFailed):
            raise
        raise failed(f"the connection to {host}:{port} broke", error) from None


async def _begun(sock: socket.socket, route: Route, trust: Trust) -> Connection:
    loop = asyncio.get_running_loop()
    context = trust.context() if route.is_secure else None
    _, connection = await loop.create_connection(
        lambda: Connection(sock),
        sock=sock,
        ssl=context,
        server_hostname=route.origin.host if context else None,
    )
    return connection


async def _tunnel(sock: socket.socket, route: Route) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, tunnel_request(route))
    reader = ResponseReader()
    while reader.head is None:
        data = await loop.sock_recv(sock, 4096)
        if data:
            reader.feed(data)
        else:
            reader.end()
    require_tunnel(reader)


async def _first_connected(host: str, port: int) -> socket.socket:
    """Try the addresses of a name one beside the other, a quarter of a second apart."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionFailed(f"the name {host!r} was not found ({error})") from None
    addresses = interleaved(cast("list[Address]", found))
    if len(addresses) == 1:
        try:
            return await _opened(addresses[0])
        except OSError as error:
            raise failed(f"no connection to {host} could be made", error) from None
    tries: set[asyncio.Task[socket.socket]] = set()
    error_seen: OSError = OSError("no address")
    try:
        while addresses or tries:
            if addresses:
                tries.add(asyncio.ensure_future(_opened(addresses.pop(0))))
            pause = _NEXT_ADDRESS_SECONDS if addresses else None
            done, tries = await asyncio.wait(
                tries, timeout=pause, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                problem = task.exception()
                if problem is None:
                    return task.result()
                if isinstance(problem, OSError):
                    error_seen = problem
    finally:
        for task in tries:
            task.cancel()
            task.add_done_callback(_closed_if_late)
    raise failed(f"no connection to {host} could be made", error_seen)


def _closed_if_late(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _opened(address: Address) -> socket.socket:
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, place)
    except BaseException:
        sock.close()
        raise
    return sock
