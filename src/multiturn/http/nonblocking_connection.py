"""One connection of an event loop: made, used by one request after another, closed."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import time
from typing import Any, cast

from multiturn.errors import BackendError, ConnectionFailed, TimedOut
from multiturn.http import HttpRequest
from multiturn.http.addresses import Address, interleaved, not_found, numeric
from multiturn.http.blocking import (
    Limit,
    failed,
    require_tunnel,
    total_timed_out,
    tunnel_request,
    untrusted,
)
from multiturn.http.liveness import set_up
from multiturn.http.message import ResponseReader, written
from multiturn.http.route import Route, Trust

# So much of an answer may wait for its reader before the server is made to wait.
_WAITING_BYTES = 1024 * 1024
_NEXT_ADDRESS_SECONDS = 0.25
# So much a socket takes from its program at once.
_SENT_AT_ONCE_BYTES = 16_384

# Transports of loops that work no more (closed, or of the process from which this one was
# forked).  Their sockets are closed; collected, they would ask their loop for a last word.
_orphans: list[Any] = []


class Connection(asyncio.Protocol):
    """A connection to a route; used by one request at a time, in one event loop."""

    __slots__ = (
        "_heard_at",
        "_is_closed",
        "_is_paused",
        "_loop",
        "_problem",
        "_request",
        "_route",
        "_socket",
        "_transport",
        "_waiter",
        "reader",
    )

    def __init__(self, sock: socket.socket, route: Route) -> None:
        self._socket, self._route = sock, route
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self.reader = ResponseReader()
        self._waiter: asyncio.Future[None] | None = None
        self._problem: BackendError | None = None
        self._request: HttpRequest | None = None
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
        # Now, since its loop closes a connection only when all of the request is sent.
        self._ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closed = True
        self._ended(exc)

    def _ended(self, exc: Exception | None = None) -> None:
        if self._request is None or self._problem is not None:
            return
        try:
            if isinstance(exc, OSError):
                self._problem = failed("the connection broke", exc)
            else:
                self.reader.end(self._route.origin.authority)
        except BackendError as problem:
            self._problem = problem
        self._wake()

    # -- one request ---------------------------------------------------------------------

    def send(self, request: HttpRequest, target: str) -> None:
        """Send a request, in part perhaps when the loop comes to it."""
        pieces = written(self._route, target, request)
        self.reader.begin()
        self._request, self._problem = request, None
        self._heard_at = time.monotonic()
        if self.is_usable:  # else the event loop has said so, or is about to
            self._transport.writelines(pieces)

    def more(self) -> asyncio.Future[None]:
        """Return what is done when more of the answer is there; raise what ended it."""
        if self._problem is not None:
            raise self._problem
        if self._is_closed:
            raise ConnectionFailed("the server closed the connection before it was used")
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        self._heard_at = time.monotonic()
        self._waiter = self._loop.create_future()
        return self._waiter

    def require_time(self) -> None:
        """Raise if the call's time is up, although a slow reader finds more of the answer."""
        deadline = self._request.deadline if self._request is not None else math.inf
        if time.monotonic() >= deadline and not self.reader.complete:
            raise total_timed_out()

    def cancel(self) -> None:
        """End what waits on this connection; for the loop's own thread."""
        self._problem = self._problem or ConnectionFailed("the call was interrupted")
        self._wake()

    def rest(self) -> None:
        """Wait for the next request."""
        self._request = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    @property
    def time_limit(self) -> float:
        """When the request's time is up if nothing is heard, as time.monotonic() counts."""
        if self._request is None or self._problem is not None or self._is_closed:
            return math.inf
        return min(self._request.deadline, self._heard_at + self._request.idle_seconds)

    def look(self, now: float) -> None:
        """End a request whose time is up."""
        if self._waiter is None or not self.reader.body_began:
            self._heard_at = now  # its reader takes his time, or the model thinks
        request = self._request
        if request is None or now < self.time_limit:
            return
        if now >= request.deadline:
            self._problem = total_timed_out()
        else:
            self._problem = TimedOut(
                f"the server sent nothing within {request.idle_seconds:g} s", retryable=True
            )
        self._wake()

    # -- between requests ----------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """Whether the server seems to be still there."""
        return not self._is_closed and not self._transport.is_closing()

    @property
    def may_serve_again(self) -> bool:
        """Whether it can carry another request after the answer that was read.

        A server that answered early may never read the rest of what was to be sent.
        """
        return self.reader.reusable and self.is_usable and not self._may_be_unsent

    @property
    def _may_be_unsent(self) -> bool:
        """Whether the event loop may have more of the request to send."""
        if self._transport.get_write_buffer_size():
            return True
        # Beneath TLS it does not tell, and nobody grants at once what he has not read.
        head, request = self.reader.head, self._request
        is_long = request is not None and request.size_bytes > _SENT_AT_ONCE_BYTES
        return is_long and self._route.is_secure and head is not None and head.status >= 300

    def close_soon(self) -> None:
        """Close from whatever thread."""
        try:
            self._loop.call_soon_threadsafe(self.close)
        except RuntimeError:  # its loop is closed
            self.close()

    def close(self) -> None:
        """Close at once."""
        self.cancel()
        self.rest()
        self._is_closed = True
        if self._transport is None:
            self._socket.close()
            return
        try:
            self._transport.abort()
        except RuntimeError:  # its loop is closed
            _orphans.append(self._transport)
            self._socket.close()

    def forget(self) -> None:
        """Close the socket without touching the loop, which is another process's."""
        _orphans.append(self._transport)
        self._request, self._is_closed = None, True
        self._socket.close()


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
                set_up(sock)
                if route.is_tunnel:
                    await _tunnel(sock, route)
                context = trust.context() if route.is_secure else None
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(sock, route),
                    sock=sock,
                    ssl=context,
                    server_hostname=route.origin.host if context else None,
                )
                return connection
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


async def _tunnel(sock: socket.socket, route: Route) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, tunnel_request(route))
    reader = ResponseReader()
    while reader.head is None:
        data = await loop.sock_recv(sock, 4096)
        if data:
            reader.feed(data)
        else:
            reader.end("the proxy")
    require_tunnel(reader)


async def _first_connected(host: str, port: int) -> socket.socket:
    """Try the addresses of a name one beside the other, a quarter of a second apart."""
    loop = asyncio.get_running_loop()
    try:
        found = numeric(host, port) or await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise not_found(host, error) from None
    addresses = interleaved(cast("list[Address]", found))
    if len(addresses) == 1:
        try:
            return await _opened(addresses[0])
        except OSError as error:
            raise failed(f"no connection to {host}:{port} could be made", error) from None
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
    raise failed(f"no connection to {host}:{port} could be made", error_seen)


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
