"""Clients of the user's own, behind our protocol; never closed, and left as they are.

A client of httpx or httpx2 (or one of the same shape) is recognised by its methods.
What it cannot do, we cannot either: its silence limit holds for each read, and the total
time is looked at whenever something arrives.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any

from multiturn.cancel import Cancel
from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    InvalidContent,
    MalformedReply,
    TimedOut,
)
from multiturn.http import HttpClient, HttpHead, HttpRequest, revealed


def as_http_client(client: Any) -> HttpClient:
    """Return a client behind our protocol.

    Raises:
        InvalidContent: It has neither our methods nor those of httpx.
    """
    if hasattr(client, "exchange") or hasattr(client, "exchange_async"):
        return client  # type: ignore[no-any-return]
    if hasattr(client, "build_request") and hasattr(client, "send"):
        return Httpx(client)
    raise InvalidContent("http_client", client, "a multiturn.http.HttpClient, or one of httpx")


class Httpx:
    """A ``Client`` or an ``AsyncClient`` of httpx; each serves its own kind of call."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Iterator[HttpHead | bytes]:
        """Send, and give the head, then the pieces of the body."""
        try:
            response = self._client.send(self._built(request), stream=True, follow_redirects=False)
            with closing(response):
                yield _head(response)
                for piece in response.iter_bytes():
                    _require_time(request)
                    yield piece
                    if cancel.is_set():
                        return
        except BackendError:
            raise
        except Exception as error:
            raise _translated(error) from error

    async def exchange_async(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        """The same without ever blocking the event loop."""
        import asyncio

        try:
            async with asyncio.timeout(max(0.0, request.deadline - time.monotonic())):
                response = await self._client.send(
                    self._built(request), stream=True, follow_redirects=False
                )
            async with aclosing(response):
                yield _head(response)
                async for piece in response.aiter_bytes():
                    _require_time(request)
                    yield piece
                    if cancel.is_set():
                        return
        except BackendError:
            raise
        except TimeoutError:
            raise _too_late() from None
        except Exception as error:
            raise _translated(error) from error

    def _built(self, request: HttpRequest) -> Any:
        left = max(0.001, request.deadline - time.monotonic())
        return self._client.build_request(
            request.method,
            request.url,
            content=request.body,
            headers=revealed(request.headers),
            # It cannot tell a model that thinks from a server that stalls.
            timeout=(min(request.connect_seconds, left), left, left, left),
        )


def _head(response: Any) -> HttpHead:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpHead(response.status_code, headers)


def _require_time(request: HttpRequest) -> None:
    if time.monotonic() >= request.deadline:
        raise _too_late()


def _too_late() -> TimedOut:
    return TimedOut("the call was not over by its time limit")


def _translated(error: Exception) -> Exception:
    """Return our error for one of httpx; others are the caller's own."""
    names = {base.__name__ for base in type(error).__mro__}
    if "TimeoutException" in names:
        return TimedOut(f"the HTTP client gave up ({type(error).__name__})", retryable=True)
    if "DecodingError" in names:
        return MalformedReply(f"the answer could not be unpacked ({error})")
    if "TransportError" in names:
        return ConnectionFailed(f"the connection failed ({type(error).__name__}: {error})")
    return error
