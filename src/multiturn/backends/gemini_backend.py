"""The Gemini API as a backend: asks over HTTP what the codec writes, gives what it reads."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from multiturn.access import Access, Secret, configured, from_environment, key_was_empty
from multiturn.backends import gemini, gemini_address, google_auth
from multiturn.backends.gemini_reply import ReplyReader
from multiturn.backends.redaction import redact
from multiturn.cancel import Cancel
from multiturn.errors import BackendError, MalformedReply, MissingKey
from multiturn.http import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    TOTAL_SECONDS,
    Body,
    Headers,
    HttpHead,
    HttpRequest,
)
from multiturn.http.client import Http
from multiturn.http.foreign import as_http_client
from multiturn.messages.message import Object
from multiturn.request import Request

_http = Http()
# So much of an error's body is read.
_ERROR_BODY_BYTES = 1024 * 1024
# Request options that say how the server is reached, and what Access calls them.
_ACCESS_OPTIONS = {
    "metadata": "headers",
    "api_key": "api_key",
    "credentials": "credentials",
    "api_endpoint": "endpoint",
    "api_version": "api_version",
    "vertexai": "vertexai",
    "project": "project",
    "location": "location",
    "http_client": "http_client",
}


class Server:
    """Where calls are sent and as whom; shared by all that say the same about it.

    Attributes:
        access: What they say.
        client: Who carries the requests.
    """

    __slots__ = ("_headers", "access", "client")

    def __init__(self, access: Access) -> None:
        self.access, own = access, access.http_client
        self.client: Any = _http if own is None else as_http_client(own)
        self._headers: dict[bool, Headers] = {}

    def headers(self, is_stream: bool, token: Secret | None = None) -> Headers:
        """Return who asks, and as whom: with an access token, or as the access says."""
        if token is not None:
            return self._made(is_stream, (("Authorization", Secret(f"Bearer {token.reveal()}")),))
        if (headers := self._headers.get(is_stream)) is None:
            key = self.access.api_key
            identity: Headers = () if key is None else (("x-goog-api-key", key),)
            headers = self._headers[is_stream] = self._made(is_stream, identity)
        return headers

    def _made(self, is_stream: bool, identity: Headers) -> Headers:
        base, project = _base_headers(self.access.user_agent, is_stream), self.access.quota_project
        billed: Headers = (("x-goog-user-project", project),) if project else ()
        return (*base, *identity, *billed, *self.access.headers)


class Gemini:
    """Models of the Gemini API and of Vertex AI; shared by sessions, threads and event loops.

    Args:
        access: What this backend says itself; for the rest it follows ``configure()``
            and the environment.
    """

    name = "gemini"
    default_timeout_seconds = TOTAL_SECONDS

    def __init__(self, access: Access | None = None) -> None:
        self._own = access or Access()
        self._known: tuple[Access, Access, Server] | None = None
        self.credentials = google_auth.KnownCredentials()

    # -- the protocol of backends --------------------------------------------------------

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Ask, and give the chunks of the answer as they arrive."""
        return carried_out(_Generating(self, request, cancel))

    def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """The same without ever blocking the event loop."""
        return carried_out_async(_Generating(self, request, cancel))

    def count_tokens(self, request: Request) -> Object:
        """Count, on the server, the tokens of the whole request that would be sent."""
        return next(carried_out(_Counting(self, request, Cancel())))

    async def count_tokens_async(self, request: Request) -> Object:
        """The same without ever blocking the event loop."""
        return await anext(carried_out_async(_Counting(self, request, Cancel())))

    # -- as whom -------------------------------------------------------------------------

    def server(self, options: Mapping[str, Any]) -> Server:
        """Return who is asked by a call with these request options."""
        said, environment = configured(), from_environment()
        known = self._known
        if known is None or known[0] is not said or known[1] is not environment:
            known = said, environment, Server(self._own.over(said).over(environment))
            self._known = known
        server = known[2]
        if not options:
            return server
        own = Access(**{_ACCESS_OPTIONS[n]: v for n, v in options.items()})
        return Server(own.over(server.access))

    def __repr__(self) -> str:
        return f"Gemini({self._own!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._own,)


def _unpickled(access: Access) -> Gemini:
    return Gemini(access)


def _error_in(chunk: Object) -> BackendError:
    """Return the error that stands in the place of a chunk."""
    from multiturn.backends.gemini_errors import error_in

    return error_in(chunk)


class MethodCall:
    """One method call: what is sent next, and what becomes of what comes back.

    Attributes:
        server: Where it is sent, and as whom.
        goes_on: Whether something is to be sent.
        head: How the answer began, None until it has.
        reader: What reads its body from then on.
        counts: Tokens of the requests before the one that is under way.
    """

    verb = "POST"
    method = ""
    query = ""
    goes_on = True
    head: HttpHead | None = None
    reader: ReplyReader | None = None
    counts: Mapping[str, int] | None = None
    _shown: Secret | None = None
    _refused: Secret | None = None

    def __init__(self, backend: Gemini, request: Request, cancel: Cancel) -> None:
        self._backend, self.request, self.cancel = backend, request, cancel
        self.server = backend.server(request.options)
        seconds = request.timeout_seconds or backend.default_timeout_seconds
        self._deadline = time.monotonic() + seconds
        self._error_body = bytearray()

    # -- what is sent --------------------------------------------------------------------

    def body(self) -> Body:
        """Return what is sent next."""
        raise NotImplementedError

    def forget_body(self) -> None:
        """Let go of the body: who keeps an error would keep a copy of the history with it."""

    def next(self, token: Secret | None) -> HttpRequest:
        """Return the next request, with an access token if it needs one."""
        self.head, self.reader, self.goes_on = None, None, False
        return HttpRequest(
            self.verb,
            self.url(),
            self.headers(token),
            self.body(),
            self._deadline,
            CONNECT_SECONDS,
            IDLE_SECONDS,
        )

    def url(self) -> str:
        """Return where it is sent."""
        return gemini_address.url(self.server.access, self.request.model, self.method, self.query)

    def headers(self, token: Secret | None) -> Headers:
        """Return who asks, and as whom."""
        return self.server.headers(bool(self.query), token)

    @property
    def needs_token(self) -> bool:
        """Whether the caller shows an access token instead of a key."""
        access = self.server.access
        if access.credentials is not None:
            return True
        if access.api_key is not None or any(_is_identity(name) for name, _ in access.headers):
            return False
        # Nothing was said: a server of one's own may not ask; Google's look at the
        # application default credentials where a program relies on them.
        names_a_file = "GOOGLE_APPLICATION_CREDENTIALS" in os.environ
        if not gemini_address.is_googles(access):
            return names_a_file and gemini_address.is_vertex(access)
        if names_a_file or gemini_address.is_vertex(access):
            return True
        empty = "configure() was given an empty one; " if key_was_empty() else ""
        raise MissingKey(
            f"there is no API key for the Gemini API, which was to be asked for "
            f"{self.request.model!r}: {empty}set GEMINI_API_KEY or call "
            "multiturn.configure(api_key=…); multiturn.GenerativeModel() without a name is "
            "the model embedded in this process and needs none"
        )

    def token(self) -> Secret:
        """Return an access token; may block."""
        deadline, cancel = self._deadline, self.cancel
        credentials = self._backend.credentials.of(self.server.access.credentials, deadline, cancel)
        client = self.server.client if hasattr(self.server.client, "exchange") else _http
        self._shown = google_auth.token_of(
            credentials, client, deadline=deadline, cancel=cancel, refused=self._refused
        )
        return self._shown

    # -- what comes back -----------------------------------------------------------------

    def chunks(self, event: HttpHead | bytes) -> Iterable[Object]:
        """Take in what an exchange gives; return the chunks that it completes, lazily."""
        if isinstance(event, HttpHead):
            self.head = event
            self.reader = ReplyReader(bool(self.query), _error_in, self.counts)
        elif self.head is None or self.reader is None:
            raise MalformedReply("the HTTP client gave a body without a head")
        elif self.head.status == 200:
            return self.reader.feed(event)
        elif len(self._error_body) < _ERROR_BODY_BYTES:
            self._error_body += event
        return []

    def end(self) -> Iterable[Object]:
        """Take note that an exchange is over; return the chunks that this completes."""
        if self.cancel.is_set():
            self.goes_on = False
            return []
        if self.head is None or self.reader is None:
            raise MalformedReply("the HTTP client gave no answer")
        if self.head.status != 200:
            from multiturn.backends.gemini_errors import error_from

            raise error_from(self.head.status, self.head.headers, bytes(self._error_body))
        return self.reader.end()

    def go_on(self) -> None:
        """See whether there is more to be sent now."""

    def failed(self, error: BackendError) -> None:
        """Raise an error, unless a new access token may mend it."""
        status = getattr(error, "code", None)
        if status == 401 and self._shown is not None and self._refused is None:
            self.goes_on, self._refused = True, self._shown
            self._error_body.clear()
            return
        self.forget_body()
        error.backend = self._backend.name
        for secret in (self.server.access.api_key, self._shown):
            if secret is not None:
                redact(error, secret.reveal())
        from multiturn.google_errors import as_google

        raise as_google(error).with_traceback(None)


class _Generating(MethodCall):
    """generateContent or streamGenerateContent, in as many hops as the server wants."""

    def __init__(self, backend: Gemini, request: Request, cancel: Cancel) -> None:
        super().__init__(backend, request, cancel)
        self.method = "streamGenerateContent" if request.stream else "generateContent"
        self.query = "?alt=sse" if request.stream else ""
        self._token: str | None = None
        self._body = gemini.body(request)  # what is wrong in it is said before all else

    def body(self) -> Body:
        return self._body

    def forget_body(self) -> None:
        self._body = []

    def go_on(self) -> None:
        reader = self.reader
        if reader is not None and (token := reader.continuation_token) is not None:
            if token == self._token:
                raise MalformedReply("the server asks twice to go on with the same token", token)
            self.counts = reader.counts()
            self._token, self.goes_on = token, True
            self._body = gemini.body(self.request, {"continuationToken": token})


class _Counting(MethodCall):
    method = "countTokens"

    def body(self) -> bytes:
        if gemini_address.is_vertex(self.server.access):  # it counts these members, by themselves
            alone = self.request._replace(tool_config=None, safety_settings=(), more={})
            return gemini.unchecked_body(alone)
        return gemini.count_body(self.request)

    def end(self) -> Iterable[Object]:
        chunks = list(super().end())
        if len(chunks) != 1:
            raise MalformedReply("the server answered a count with something else")
        return chunks


def carried_out(call: MethodCall) -> Iterator[Object]:
    """Give the chunks of a call, blocking."""
    while call.goes_on:
        try:
            token = call.token() if call.needs_token else None
            exchange: Any = call.server.client.exchange(call.next(token), call.cancel)
            try:
                for event in exchange:
                    yield from call.chunks(event)
            finally:
                exchange.close()
            yield from call.end()
            call.go_on()
        except BackendError as error:
            event = exchange = None  # a server may echo a key: not for tracebacks
            call.failed(error)


async def carried_out_async(call: MethodCall) -> AsyncIterator[Object]:
    """The same without blocking the event loop."""
    while call.goes_on:
        try:
            token = await _token(call) if call.needs_token else None
            exchange: Any = call.server.client.exchange_async(call.next(token), call.cancel)
            try:
                async for event in exchange:
                    for chunk in call.chunks(event):
                        yield chunk
            finally:
                await exchange.aclose()
            for chunk in call.end():
                yield chunk
            call.go_on()
        except BackendError as error:
            event = exchange = None  # as above
            call.failed(error)


async def _token(call: MethodCall) -> Secret:
    import asyncio

    return await asyncio.to_thread(call.token)


@cache
def _base_headers(user_agent: str | None, is_stream: bool) -> Headers:
    """Return the headers that every request carries.

    Streams are asked for unpacked: packing would hold back their first chunk.
    """
    from multiturn import __version__

    agent = f"multiturn/{__version__} gl-python/{'.'.join(map(str, sys.version_info[:3]))}"
    agent = f"{user_agent} {agent}" if user_agent else agent
    return (
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "identity" if is_stream else "gzip"),
        ("User-Agent", agent),
        ("x-goog-api-client", agent),
    )


def _is_identity(name: str) -> bool:
    return name.lower() in ("x-goog-api-key", "authorization")


_shared = Gemini()


def backend() -> Gemini:
    """Return the backend that follows ``configure()``."""
    return _shared
