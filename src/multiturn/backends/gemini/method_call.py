"""One call of a method of the Gemini API, and the two ways of carrying it out."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from multiturn.access import Secret, key_was_empty
from multiturn.backends.gemini import address, google_auth
from multiturn.backends.gemini.reply import ReplyReader
from multiturn.backends.gemini.server import own_client
from multiturn.backends.redaction import redact
from multiturn.cancel import Cancel
from multiturn.errors import BackendError, MalformedReply, MissingKey
from multiturn.http import CONNECT_SECONDS, IDLE_SECONDS, Body, Headers, HttpHead, HttpRequest
from multiturn.http.route import server_of
from multiturn.messages.message import Object
from multiturn.request import Request

if TYPE_CHECKING:
    from multiturn.backends.gemini.backend import Gemini

# So much of an error's body is read.
_ERROR_BODY_BYTES = 1024 * 1024


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
    _url = ""
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
        self._url = self.url()
        return HttpRequest(
            self.verb,
            self._url,
            self.headers(token),
            self.body(),
            self._deadline,
            CONNECT_SECONDS,
            IDLE_SECONDS,
        )

    def url(self) -> str:
        """Return where it is sent."""
        return address.url(self.server.access, self.request.model, self.method, self.query)

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
        if not address.is_googles(access):
            return names_a_file and address.is_vertex(access)
        if names_a_file or address.is_vertex(access):
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
        client = self.server.client if hasattr(self.server.client, "exchange") else own_client
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
            from multiturn.backends.gemini.errors import error_from

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
        error.server = server_of(self._url)
        if self._shown is not None:
            redact(error, self._shown.reveal())
        redact(error, *self.server.access.secrets)
        from multiturn.google_errors import as_google

        raise as_google(error).with_traceback(None)


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


def _error_in(chunk: Object) -> BackendError:
    """Return the error that stands in the place of a chunk."""
    from multiturn.backends.gemini.errors import error_in

    return error_in(chunk)


def _is_identity(name: str) -> bool:
    return name.lower() in ("x-goog-api-key", "authorization")
