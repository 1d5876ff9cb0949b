"""Where calls of the Gemini API are sent and as whom, and the headers that say so."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from multiturn.access import Access, Secret
from multiturn.http import Headers
from multiturn.http.client import Http
from multiturn.http.foreign import as_http_client

own_client = Http()


class Server:
    """Where calls are sent and as whom; shared by all that say the same about it.

    Attributes:
        access: What they say.
        client: Who carries the requests.
    """

    __slots__ = ("_headers", "access", "client")

    def __init__(self, access: Access) -> None:
        self.access, own = access, access.http_client
        self.client: Any = own_client if own is None else as_http_client(own)
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
