"""HTTP for backends: what a request and an answer are, and the protocol of whoever carries them.

``multiturn.http.client.Http`` is our own; a user may hand in another (see ``foreign.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from multiturn.access import Secret
from multiturn.cancel import Cancel

# Limits that hold for every exchange.  They bound what a wrong or hostile server can
# cost: the longest answers that the Gemini API gives (64 K tokens, or some images in
# base64) are far below.
BODY_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 256 * 1024
# Highest ratio of unpacked to packed bytes, counted from the first MiB unpacked.  JSON
# text packs 3 to 20 times; deflate cannot reach more than 1,032.
PACKING_RATIO = 200

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 60.0
TOTAL_SECONDS = 600.0

Body: TypeAlias = bytes | Sequence[bytes | memoryview]
Headers: TypeAlias = tuple[tuple[str, str | Secret], ...]


def revealed(headers: Headers) -> list[tuple[str, str]]:
    """Return headers with their secrets; not to be kept in a variable."""
    return [(name, value if isinstance(value, str) else value.reveal()) for name, value in headers]


class HttpRequest:
    """One request; nothing in it changes.

    Attributes:
        method: As ``POST``.
        url: Absolute; never holds a key.
        headers: Pairs, without ``Host`` and ``Content-Length``; what is secret is a Secret.
        pieces: What is sent, one behind the other; what they show must not change.
        size_bytes: How much that is.
        deadline: When everything must be over, as ``time.monotonic()`` counts.
        connect_seconds: Time for a new connection, its proxy and TLS included.
        idle_seconds: Longest silence of the server while it takes the request in, and
            from the first byte of its answer's body on; between the two a model may
            think, as long as the deadline allows.
    """

    __slots__ = (
        "connect_seconds",
        "deadline",
        "headers",
        "idle_seconds",
        "method",
        "pieces",
        "size_bytes",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: Body,
        deadline: float,
        connect_seconds: float = CONNECT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.method, self.url, self.headers = method, url, headers
        self.pieces = (body,) if isinstance(body, bytes) else body
        self.size_bytes = sum(map(len, self.pieces))
        self.deadline = deadline
        self.connect_seconds, self.idle_seconds = connect_seconds, idle_seconds

    @property
    def body(self) -> bytes:
        """What is sent, in one; made anew."""
        return b"".join(self.pieces)

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.url} {self.headers} {self.size_bytes} bytes>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an HttpRequest carries credentials and is not pickled")


class HttpHead(NamedTuple):
    """How an answer begins.

    Attributes:
        status: As 200; never an informational one.
        headers: Names in lower case; values of a repeated name joined by ", ".
    """

    status: int
    headers: dict[str, str]


@runtime_checkable
class HttpClient(Protocol):
    """Carries requests; shared by any number of threads, or of tasks.

    An exchange gives the head first, then the pieces of the body as they arrive,
    unpacked if they were compressed.  It never follows a redirect, ends by the
    request's deadline, and raises ConnectionFailed, TimedOut or MalformedReply.  Closing
    it, or raising ``cancel`` from any thread, ends it at once; after ``cancel`` it may
    just end.  Only the half that a program uses needs to be there.
    """

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Iterator[HttpHead | bytes]:
        """Send, and give what comes back."""
        ...

    def exchange_async(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        """The same without ever blocking the event loop."""
        ...
