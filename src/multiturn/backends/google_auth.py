"""Access tokens through the optional google-auth, whose requests travel over our HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from multiturn.cancel import Cancel
from multiturn.errors import BackendError, ConnectionFailed, MissingKey, UsageError
from multiturn.http import HttpClient, HttpHead, HttpRequest

_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/generative-language",
)
_SECONDS = 30.0
_lock = threading.Lock()


def _google_auth() -> Any:
    try:
        import google.auth  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MissingKey(
            "these credentials need google-auth: pip install 'multiturn[vertex]'"
        ) from None
    return google.auth


def default_credentials() -> Any:
    """Return the application default credentials; raise MissingKey if there are none."""
    auth = _google_auth()
    try:
        return auth.default(scopes=_SCOPES[:1])[0]
    except Exception as error:
        raise MissingKey(f"there are no application default credentials ({error})") from None


def credentials_in(path: str) -> Any:
    """Return the credentials that a file holds."""
    return _google_auth().load_credentials_from_file(path, scopes=_SCOPES[:1])[0]


def credentials_from(given: Any) -> Any:
    """Return an object of google-auth for an object, or the dict of a service account."""
    if not isinstance(given, Mapping):
        if not hasattr(given, "refresh"):
            raise UsageError(f"credentials of type {type(given).__name__} cannot be refreshed")
        return given
    _google_auth()
    from google.oauth2 import (  # type: ignore[import-not-found,unused-ignore]
        service_account,
    )

    return service_account.Credentials.from_service_account_info(dict(given), scopes=_SCOPES[:1])


def token_of(credentials: Any, client: HttpClient, *, renew: bool = False) -> str:
    """Return an access token that is valid now; may ask Google's servers, blocking.

    Raises:
        StatusError, ConnectionFailed: No token could be had.
    """
    with _lock:
        if renew or not credentials.valid:
            try:
                credentials.refresh(_Carrier(client))
            except BackendError:
                raise
            except Exception as error:
                from multiturn.google_errors import Unauthenticated

                raise Unauthenticated(
                    f"the credentials could not be renewed ({type(error).__name__})",
                    status="UNAUTHENTICATED",
                ) from None
        return str(credentials.token)


class _Carrier:
    """What google-auth calls to send a request."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        data = body.encode() if isinstance(body, str) else body or b""
        deadline = time.monotonic() + min(timeout or _SECONDS, _SECONDS)
        request = HttpRequest(method, url, tuple((headers or {}).items()), data, deadline)
        head, *pieces = self._client.exchange(request, Cancel())
        if not isinstance(head, HttpHead):
            raise ConnectionFailed("the HTTP client gave no head")
        return _Answer(head, b"".join(p for p in pieces if isinstance(p, bytes)))


class _Answer:
    """What google-auth reads of an answer."""

    def __init__(self, head: HttpHead, data: bytes) -> None:
        self.status, self.headers, self.data = head.status, head.headers, data
