"""Blocking connections: sockets with a deadline that another thread can interrupt."""

from __future__ import annotations

import errno
import math
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from multiturn.errors import BackendError, ConnectionFailed, TimedOut
from multiturn.http import Headers, HttpRequest
from multiturn.http.addresses import Address, interleaved, not_found, numeric
from multiturn.http.liveness import set_up
from multiturn.http.message import ResponseReader, joined, request_head, unsent, written
from multiturn.http.readiness import Readiness
from multiturn.http.route import Route, Trust

# Larger receive buffers cost more than they save: above this size the C library maps
# and unmaps memory for each call.
_RECEIVE_BYTES = 65_536
# No system takes more pieces in one call.
_GATHERED = 1024
# RFC 8305: how long one address is tried before the next is tried beside it.
_NEXT_ADDRESS_SECONDS = 0.25
# How often a connection that is being made looks whether it was interrupted.
_LOOK_SECONDS = 0.1


class Interrupt:
    """Ends a blocked call on a socket from another thread, a signal handler included."""

    __slots__ = ("_lock", "_process_id", "_socket", "is_set")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._process_id = os.getpid()
        self.is_set = False

    def __call__(self) -> None:
        """Interrupt; whoever blocks on the socket sees its end."""
        with self._lock:
            self.is_set = True
            if self._socket is not None and self._process_id == os.getpid():
                with suppress(OSError):
                    # Not SSLSocket.shutdown, which changes the object under its reader.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def guard(self, sock: socket.socket | None) -> None:
        """Take this socket on, None to let go of it."""
        with self._lock:
            self._socket = sock
            if self.is_set and sock is not None:
                self()


class Limit:
    """The time that is left for something, in words for the error that ends it."""

    __slots__ = ("_at", "_is_total", "_seconds", "_what")

    def __init__(self, request: HttpRequest, seconds: float, what: str) -> None:
        now = time.monotonic()
        self._is_total = request.deadline <= now + seconds
        self._at = request.deadline if self._is_total else now + seconds
        self._seconds, self._what = seconds, what

    @property
    def left_seconds(self) -> float:
        """Seconds until the time is up; raises TimedOut when it is."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> TimedOut:
        """Return what to raise when the time is up."""
        if self._is_total:
            return total_timed_out()
        return TimedOut(f"{self._what} within {self._seconds:g} s", retryable=True)


def total_timed_out() -> TimedOut:
    """Return what is raised at a call's deadline; asking again would not help."""
    return TimedOut(
        "the call was not over by its time limit; request_options={'timeout': seconds} sets it"
    )


class Connection:
    """A connection along a route; used by one request at a time.

    Its socket does not block: what is waited for, and how long, is said here.
    """

    __slots__ = (
        "_gathers",
        "_pending",
        "_readiness",
        "_socket",
        "_wants_read",
        "_wants_write",
        "reader",
        "route",
    )

    def __init__(self, sock: socket.socket, route: Route) -> None:
        sock.setblocking(False)
        self._socket, self.route = sock, route
        self._readiness = Readiness(sock)
        self.reader = ResponseReader()
        # TLS holds back bytes that it has read, and may have to read in order to write.
        self._pending: Callable[[], int] | None = getattr(sock, "pending", None)
        self._wants_read: type[OSError] = BlockingIOError
        self._wants_write: type[OSError] = BlockingIOError
        if self._pending is not None:
            import ssl

            self._wants_read, self._wants_write = ssl.SSLWantReadError, ssl.SSLWantWriteError
        # Not over TLS, and not on Windows.
        self._gathers = self._pending is None and hasattr(sock, "sendmsg")

    def send(self, request: HttpRequest, target: str) -> None:
        """Send a request, or as much of it as the server wants before it answers."""
        pieces = written(self.route, target, request)
        self.reader.begin()
        try:
            self._send(request, pieces if self._gathers else joined(pieces))
        except TimedOut:
            raise
        except OSError as error:
            # Perhaps it said why (413, 429) before it closed.
            with suppress(BackendError, OSError):
                while self.reader.head is None and not self.reader.complete:
                    self.receive(request)
            if self.reader.head is None:
                raise failed("the connection broke while the request was sent", error) from None

    def _send(self, request: HttpRequest, pieces: list[bytes | memoryview]) -> None:
        while pieces and not self.reader.complete:
            try:
                if self._gathers:
                    sent = self._socket.sendmsg(pieces[:_GATHERED])
                else:
                    sent = self._socket.send(pieces[0])
            except self._wants_write:
                self._wait(request, self._readiness.either, "the server took nothing more in")
                if self._readiness.readable(0):
                    self._take_in(request)
            except self._wants_read:
                self._wait(request, self._readiness.readable, "the server took nothing more in")
            else:
                pieces = unsent(pieces, sent)
        if pieces:
            self.reader.reusable = False

    def receive(self, request: HttpRequest) -> None:
        """Wait for more of the answer, and let the reader have it."""
        while True:
            if self._pending is None or not self._pending():
                # A model may think for minutes; a peer that is gone, TCP tells of.
                idle = request.idle_seconds if self.reader.body_began else math.inf
                self._wait(request, self._readiness.readable, "the server sent nothing", idle)
            if self._take_in(request):
                return

    def _take_in(self, request: HttpRequest) -> bool:
        """Let the reader have what is there; return whether there was anything."""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except self._wants_read:
            return False
        except self._wants_write:
            self._wait(request, self._readiness.writable, "the server took nothing more in")
            return False
        except OSError as error:
            raise failed("the connection broke", error) from None
        if data:
            self.reader.feed(data)
        else:
            self.reader.end(self.route.origin.authority)
        return True

    @staticmethod
    def _wait(
        request: HttpRequest, ready: Callable[[float], bool], what: str, idle: float | None = None
    ) -> None:
        idle = request.idle_seconds if idle is None else idle
        seconds = min(request.deadline - time.monotonic(), idle)
        if not (seconds > 0 and ready(seconds)):
            raise (
                TimedOut(f"{what} within {seconds:g} s", retryable=True)
                if seconds == idle
                else total_timed_out()
            )

    def guarded_by(self, interrupt: Interrupt) -> None:
        """Let an interrupt end what blocks on this connection."""
        interrupt.guard(self._socket)

    @property
    def is_usable(self) -> bool:
        """Whether the server seems to be still there: an idle one says nothing."""
        try:
            return not self._readiness.readable(0)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    forget = close  # close() of a socket says nothing that the parent's peer would hear


def failed(what: str, error: OSError, *, retryable: bool = True) -> ConnectionFailed:
    """Return the error for a connection that failed, with the system's reason."""
    reason = getattr(error, "verify_message", "") or error.strerror or str(error)
    if getattr(error, "reason", "") == "WRONG_VERSION_NUMBER":  # of an ssl.SSLError
        reason = "the server does not speak TLS there; is its address http:// and not https://?"
    return ConnectionFailed(f"{what} ({reason or type(error).__name__})", retryable=retryable)


def connect(route: Route, trust: Trust, request: HttpRequest, interrupt: Interrupt) -> Connection:
    """Return a new connection along a route.

    Raises:
        ConnectionFailed, TimedOut: Nobody could be reached, or trusted.
    """
    host, port = route.first_stop
    limit = Limit(request, request.connect_seconds, f"no connection to {host}:{port} was made")
    found = numeric(host, port) or _looked_up(host, port, limit, interrupt)
    sock = _first_connected(found, f"{host}:{port}", limit, interrupt)
    try:
        interrupt.guard(sock)
        set_up(sock)
        sock.settimeout(limit.left_seconds)
        if route.is_tunnel:
            _tunnel(sock, route, limit)
        if route.is_secure:
            sock = _secured(sock, route, trust, limit)
            interrupt.guard(sock)
        return Connection(sock, route)
    except TimeoutError as error:
        sock.close()
        raise error if isinstance(error, TimedOut) else limit.error() from None
    except OSError as error:
        sock.close()
        if isinstance(error, ConnectionFailed):
            raise
        raise failed(f"the connection to {host}:{port} broke", error) from None
    except BaseException:
        sock.close()
        raise


def _secured(sock: socket.socket, route: Route, trust: Trust, limit: Limit) -> socket.socket:
    import ssl

    try:
        secure = trust.context().wrap_socket(
            sock, server_hostname=route.origin.host, do_handshake_on_connect=False
        )
    except ValueError as error:
        raise ConnectionFailed(f"{route.origin.host!r} is no name for TLS ({error})") from None
    try:
        secure.settimeout(limit.left_seconds)
        secure.do_handshake()
    except ssl.SSLCertVerificationError as error:
        secure.close()
        raise untrusted(route, error) from None
    except BaseException:
        secure.close()
        raise
    return secure


def untrusted(route: Route, error: OSError) -> ConnectionFailed:
    """Return the error for a certificate that is not trusted."""
    return failed(
        f"the certificate of {route.origin.host} is not trusted; if a company's proxy signs it, "
        "name its certificate in SSL_CERT_FILE",
        error,
        retryable=False,
    )


def _tunnel(sock: socket.socket, route: Route, limit: Limit) -> None:
    sock.sendall(tunnel_request(route))
    reader = ResponseReader()
    while reader.head is None:
        sock.settimeout(limit.left_seconds)
        data = sock.recv(4096)
        if data:
            reader.feed(data)
        else:
            reader.end("the proxy")
    require_tunnel(reader)


def tunnel_request(route: Route) -> memoryview:
    """Return the request that makes a proxy pass bytes on."""
    assert route.proxy is not None
    name = f"[{route.origin.host}]" if ":" in route.origin.host else route.origin.host
    target = f"{name}:{route.origin.port}"
    login = route.proxy.authorization
    headers: Headers = (("Proxy-Authorization", login),) if login else ()
    return request_head("CONNECT", target, target, headers)


def require_tunnel(reader: ResponseReader) -> None:
    """Raise ConnectionFailed unless the proxy passes bytes on."""
    status = reader.head.status if reader.head else 0
    if not 200 <= status < 300:
        raise ConnectionFailed(
            f"the proxy refused the connection with status {status}", retryable=status >= 500
        )
    if reader.take():
        raise ConnectionFailed("the proxy spoke before the server could")


def _looked_up(host: str, port: int, limit: Limit, interrupt: Interrupt) -> list[Address]:
    """Look a name up in a thread of its own: the system's look-up knows no time limit."""
    found: list[Address] = []
    problem: list[OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            # As bytes, a plain name needs no codec for names in other scripts.
            name = host.encode("ascii") if host.isascii() else host
            found.extend(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            problem.append(error)

    thread = threading.Thread(target=look_up, name="multiturn-look-up", daemon=True)
    thread.start()
    while thread.is_alive() and not interrupt.is_set:
        thread.join(min(limit.left_seconds, _LOOK_SECONDS))
    if problem or not found:
        reason = problem[0] if problem else "interrupted"
        raise not_found(host, reason)
    return found


def _first_connected(
    addresses: list[Address], place: str, limit: Limit, interrupt: Interrupt
) -> socket.socket:
    """Try the addresses one beside the other, a quarter of a second apart."""
    waiting = interleaved(addresses)
    last_error = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    next_at = 0.0
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                if interrupt.is_set:
                    raise ConnectionFailed("the call was interrupted")
                now = time.monotonic()
                if waiting and (now >= next_at or not selector.get_map()):
                    started = _started(waiting.pop(0))
                    next_at = now + _NEXT_ADDRESS_SECONDS
                    if isinstance(started, OSError):
                        last_error = started
                        continue
                    selector.register(started, selectors.EVENT_WRITE)
                for key, _ in selector.select(min(limit.left_seconds, _LOOK_SECONDS)):
                    sock: Any = key.fileobj
                    selector.unregister(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return sock  # type: ignore[no-any-return]
                    sock.close()
                    last_error = OSError(code, os.strerror(code))
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    raise failed(f"no connection to {place} could be made", last_error)


def _started(address: Address) -> socket.socket | OSError:
    family, kind, protocol, _, place = address
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        return error
    sock.setblocking(False)
    code = sock.connect_ex(place)
    if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)):
        return sock
    sock.close()
    return OSError(code, os.strerror(code))
