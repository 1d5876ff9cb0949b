"""One request to a server of the OpenAI protocol, and the two ways of carrying it out."""

from __future__ import annotations

import platform
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, closing
from functools import cache
from typing import TYPE_CHECKING, Any

from multiturn.access import Access, Secret
from multiturn.backends.openai.errors import error_from
from multiturn.backends.openai.providers import PROVIDERS
from multiturn.backends.redaction import redact
from multiturn.cancel import Cancel
from multiturn.errors import BackendError, ConnectionFailed, MalformedReply
from multiturn.google_errors import as_google
from multiturn.http import CONNECT_SECONDS, TOTAL_SECONDS, Body, Headers, HttpHead, HttpRequest
from multiturn.http.client import Http
from multiturn.http.foreign import as_http_client
from multiturn.http.route import server_of
from multiturn.messages.message import Object
from multiturn.request import Request

if TYPE_CHECKING:
    from multiturn.backends.openai.backend import OpenAIBackend

_http = Http()
_ERROR_BODY_BYTES = 1024 * 1024


class Call:
    """One request, and what becomes of what comes back.

    Attributes:
        client: Who carries it.
        access: Where it is sent, and as whom.
        received: The body of an error, or of an answer that is read as a whole.
    """

    verb = "POST"
    is_stream = False

    def __init__(self, backend: OpenAIBackend, request: Request, cancel: Cancel) -> None:
        self.backend, self.request, self.cancel = backend, request, cancel
        self.access = access = backend.access(request.options)
        self.client = _http if access.http_client is None else as_http_client(access.http_client)
        seconds = request.timeout_seconds or backend.default_timeout_seconds
        self._deadline = time.monotonic() + seconds
        self._head: HttpHead | None = None
        self.received = bytearray()

    def url(self) -> str:
        """Return where it is sent."""
        raise NotImplementedError

    def content(self) -> Body:
        """Return what is sent."""
        return b""

    def http_request(self) -> HttpRequest:
        """Return the request.

        A model that thinks, or reads a long prompt on a slow machine, is silent for
        minutes: only the time for the whole call limits it.
        """
        return HttpRequest(
            self.verb,
            self.url(),
            (*_base_headers(self.is_stream), *_identity(self.access)),
            self.content(),
            self._deadline,
            CONNECT_SECONDS,
            TOTAL_SECONDS,
        )

    def chunks(self, event: HttpHead | bytes) -> Iterable[Object]:
        """Take in what an exchange gives; return the chunks that it completes, lazily."""
        if isinstance(event, HttpHead):
            self._head = event
        elif self._head is None:
            raise MalformedReply("the HTTP client gave a body without a head")
        elif self._head.status == 200:
            return self.read(event)
        elif len(self.received) < _ERROR_BODY_BYTES:
            self.received += event
        return ()

    def read(self, data: bytes) -> Iterable[Object]:
        """Take in a piece of a good answer's body."""
        self.received += data
        return ()

    def end(self) -> Iterable[Object]:
        """Take note that the exchange is over; return the chunks that this completes."""
        if self.cancel.is_set():
            return ()
        if self._head is None:
            raise MalformedReply("the HTTP client gave no answer")
        if self._head.status != 200:
            return self.refused(self._head)
        return self.whole()

    def refused(self, head: HttpHead) -> Iterable[Object]:
        """Raise what a bad status means, or return what it is taken for."""
        raise error_from(head.status, head.headers, bytes(self.received))

    def whole(self) -> Iterable[Object]:
        """Return what the end of a good answer completes."""
        raise NotImplementedError

    def failed(self, error: BackendError) -> BackendError:
        """Return an error with our name on it and without the key in it."""
        error.backend = name = self.backend.name
        error.server = server_of(self.url())
        is_ones_own = name in PROVIDERS and not PROVIDERS[name].wants_key
        if isinstance(error, ConnectionFailed) and self._head is None and is_ones_own:
            error.args = (f"{error}; {_started(name, self.access)}", *error.args[1:])
        redact(error, *self.access.secrets)
        return as_google(error)


def carried_out(call: Call) -> Iterator[Object]:
    """Give the chunks of a call, blocking."""
    try:
        exchange: Any = call.client.exchange(call.http_request(), call.cancel)
        with closing(exchange):
            for event in exchange:
                yield from call.chunks(event)
        yield from call.end()
    except BackendError as error:
        raise call.failed(error) from error.__cause__


async def carried_out_async(call: Call) -> AsyncIterator[Object]:
    """The same without blocking the event loop."""
    try:
        exchange: Any = call.client.exchange_async(call.http_request(), call.cancel)
        async with aclosing(exchange):
            async for event in exchange:
                for chunk in call.chunks(event):
                    yield chunk
        for chunk in call.end():
            yield chunk
    except BackendError as error:
        raise call.failed(error) from error.__cause__


@cache
def _base_headers(is_stream: bool) -> Headers:
    """Return the headers that every request carries; streams are asked for unpacked."""
    from multiturn import __version__

    return (
        ("Content-Type", "application/json"),
        ("Accept", "text/event-stream" if is_stream else "application/json"),
        ("Accept-Encoding", "identity" if is_stream else "gzip"),
        ("User-Agent", f"multiturn/{__version__} python/{platform.python_version()}"),
    )


def _started(name: str, access: Access) -> str:
    """Return what to do about a server of one's own that cannot be reached."""
    setting = f"{name.upper()}_BASE_URL"
    return f"is {name} running at {access.endpoint}? {setting} names another address"


def has_identity(access: Access) -> bool:
    return any(name.lower() in ("authorization", "api-key") for name, _ in access.headers)


def _identity(access: Access) -> Headers:
    if access.api_key is None or has_identity(access):
        return access.headers
    return (("Authorization", Secret(f"Bearer {access.api_key.reveal()}")), *access.headers)
