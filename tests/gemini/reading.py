"""An exchange of our HTTP client, read in either way."""

from __future__ import annotations

import time
from typing import Any

from gemini.wire_server import (
    STREAM_HEAD,
    chunked,
)
from multiturn.access import Secret
from multiturn.cancel import Cancel
from multiturn.http import Body, HttpRequest
from multiturn.http.client import Http
from ways import Way

KEY = "AIzaSentinel-0123456789"
BEGUN = STREAM_HEAD + chunked(b"some")  # and the server waits for the next request


def request_to(url: str, body: Body = b"{}", seconds: float = 20) -> HttpRequest:
    headers = (("x-goog-api-key", Secret(KEY)),)
    return HttpRequest("POST", url + "/x", headers, body, time.monotonic() + seconds)


class Reading:
    """An exchange, read in either way."""

    def __init__(
        self, way: Way, client: Http, request: HttpRequest, cancel: Cancel | None = None
    ) -> None:
        self.cancel = cancel or Cancel()
        ask = client.exchange if way.name == "sync" else client.exchange_async
        self.exchange: Any = ask(request, self.cancel)

    async def next(self) -> Any:
        """Return what comes next, None at the end."""
        if hasattr(self.exchange, "__anext__"):
            return await anext(self.exchange, None)
        return next(self.exchange, None)

    async def rest(self) -> list[Any]:
        found = []
        while (item := await self.next()) is not None:
            found.append(item)
        return found

    async def close(self) -> None:
        if hasattr(self.exchange, "aclose"):
            await self.exchange.aclose()
        else:
            self.exchange.close()
