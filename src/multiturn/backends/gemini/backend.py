"""The Gemini API as a backend: asks over HTTP what the codec writes, gives what it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from multiturn.access import Access, configured, from_environment
from multiturn.backends.gemini import address, google_auth
from multiturn.backends.gemini.method_call import MethodCall, carried_out, carried_out_async
from multiturn.backends.gemini.request import body, count_body, unchecked_body
from multiturn.backends.gemini.server import Server
from multiturn.cancel import Cancel
from multiturn.errors import MalformedReply
from multiturn.http import TOTAL_SECONDS, Body
from multiturn.messages.message import Object
from multiturn.request import Request

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


class _Generating(MethodCall):
    """generateContent or streamGenerateContent, in as many hops as the server wants."""

    def __init__(self, backend: Gemini, request: Request, cancel: Cancel) -> None:
        super().__init__(backend, request, cancel)
        self.method = "streamGenerateContent" if request.stream else "generateContent"
        self.query = "?alt=sse" if request.stream else ""
        self._token: str | None = None
        self._body = body(request)  # what is wrong in it is said before all else

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
            self._body = body(self.request, {"continuationToken": token})


class _Counting(MethodCall):
    method = "countTokens"

    def body(self) -> bytes:
        if address.is_vertex(self.server.access):  # it counts these members, by themselves
            alone = self.request._replace(tool_config=None, safety_settings=(), more={})
            return unchecked_body(alone)
        return count_body(self.request)

    def end(self) -> Iterable[Object]:
        chunks = list(super().end())
        if len(chunks) != 1:
            raise MalformedReply("the server answered a count with something else")
        return chunks


_shared = Gemini()


def backend() -> Gemini:
    """Return the backend that follows ``configure()``."""
    return _shared
