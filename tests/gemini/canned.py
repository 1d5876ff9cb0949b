"""An HTTP client that needs no server: it gives what a test says, in pieces of any size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from gemini.wire_server import pieces
from multiturn import GenerativeModel
from multiturn.access import Access
from multiturn.backends.gemini.backend import Gemini
from multiturn.cancel import Cancel
from multiturn.http import HttpHead, HttpRequest
from multiturn.retry import Retry


class Canned:
    """Answers every request with the next body; the last one is repeated.

    Attributes:
        requests: What was sent.
    """

    def __init__(self, *bodies: bytes, size: int = 1 << 20, status: int = 200, **headers: str):
        self.bodies = list(bodies)
        self.size, self.head = size, HttpHead(status, headers)
        self.requests: list[HttpRequest] = []

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Iterator[HttpHead | bytes]:
        self.requests.append(request)
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        yield self.head
        yield from pieces(body, self.size)

    async def exchange_async(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        for event in self.exchange(request, cancel):
            yield event

    def model(self, name: str = "gemini-test", **options: Any) -> GenerativeModel:
        backend = Gemini(Access(api_key="k-of-the-tests", http_client=self))
        return GenerativeModel(name, backend=backend, retry=Retry(attempts=1), **options)
