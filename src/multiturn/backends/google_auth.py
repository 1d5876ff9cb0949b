"""Access tokens through the optional google-auth, whose requests travel over our HTTP."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from multiturn.access import Secret
from multiturn.cancel import Cancel
from multiturn.errors import BackendError, ConnectionFailed, MissingKey, UsageError
from multiturn.http import HttpClient, HttpHead, HttpRequest
from multiturn.http.blocking import total_timed_out

_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/generative-language",
)
# A token is waited for no longer.
_SECONDS = 30.0
_lock = threading.Lock()


@contextmanager
def _alone(deadline: float) -> Iterator[None]:
    """Let nobody else ask for a token; who comes to it too late is told so."""
    lock = _lock
    if not lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)):
        raise total_timed_out()
    try:
        yield
    finally:
        lock.release()


def _google_auth() -> Any:
    try:
        import google.auth  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MissingKey(
            "these credentials need google-auth: pip install 'multiturn[vertex]'"
        ) from None
    return google.auth


class KnownCredentials:
    """The credentials that one backend was given last, so that a token is used again."""

    def __init__(self) -> None:
        # What was given, the file that the environment named then, and what they mean.
        self._known: tuple[Any, str | None, Any] | None = None

    def of(self, given: Any, deadline: float) -> Any:
        """Return the object of google-auth for what was given, the same one each time.

        Args:
            given: Such an object, the dict of a service account, or None for the
                application default credentials.
            deadline: When they must be there, as ``time.monotonic()`` counts.
        """
        file = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") if given is None else None
        with _alone(deadline):
            if self._known is None or self._known[0] is not given or self._known[1] != file:
                found = default_credentials() if given is None else credentials_from(given)
                self._known = given, file, found
            return self._known[2]


def default_credentials() -> Any:
    """Return the application default credentials; raise MissingKey if there are none."""
    auth = _google_auth()
    try:
        return auth.default(scopes=_SCOPES[:1])[0]
    except Exception as error:
        raise MissingKey(f"there are no application default credentials ({_said(error)})") from None


def credentials_in(path: str) -> Any:
    """Return the credentials that a file holds; raise MissingKey if it holds none."""
    auth = _google_auth()
    try:
        with warnings.catch_warnings():
            # It warns of files that a stranger may have written; this one the caller named.
            warnings.simplefilter("ignore", DeprecationWarning)
            return auth.load_credentials_from_file(path, scopes=_SCOPES[:1])[0]
    except Exception as error:
        raise MissingKey(f"{path!r} holds no credentials ({_said(error)})") from None


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

    make: Any = service_account.Credentials.from_service_account_info
    try:
        return make(dict(given), scopes=_SCOPES[:1])
    except ValueError as error:
        raise UsageError(
            f"credentials is a dict, but not that of a service account ({_said(error)})"
        ) from None


def token_of(
    credentials: Any, client: HttpClient, *, deadline: float, refused: Secret | None = None
) -> Secret:
    """Return an access token that is valid now; may ask Google's servers, blocking.

    Args:
        credentials: Of google-auth.
        client: Carries the requests for a token.
        deadline: When it must be there, as ``time.monotonic()`` counts.
        refused: A token that a server refused; another is asked for.

    Raises:
        StatusError, ConnectionFailed, TimedOut: No token could be had.
    """
    with _alone(deadline):
        if not credentials.valid or refused == Secret(str(credentials.token)):
            try:
                credentials.refresh(_Carrier(client, deadline))
            except BackendError:
                raise
            except Exception as error:
                raise _unauthenticated(error) from None
        return Secret(str(credentials.token))


def _unauthenticated(error: Exception) -> BackendError:
    from multiturn.google_errors import Unauthenticated

    return Unauthenticated(
        f"the credentials could not be renewed ({type(error).__name__}: {_said(error)}); "
        "make new ones, or look whether the account may use the service",
        status="UNAUTHENTICATED",
        retryable=bool(getattr(error, "retryable", False)),
    )


def _said(error: Exception) -> str:
    """Return the words of an error of google-auth, without the answer that it repeats."""
    return str(error.args[0])[:200] if error.args else "no reason given"


class _Carrier:
    """What google-auth calls to send a request."""

    def __init__(self, client: HttpClient, deadline: float) -> None:
        self._client, self._deadline = client, deadline

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
        deadline = min(self._deadline, time.monotonic() + min(timeout or _SECONDS, _SECONDS))
        request = HttpRequest(method, url, tuple((headers or {}).items()), data, deadline)
        head, *pieces = self._client.exchange(request, Cancel())
        if not isinstance(head, HttpHead):
            raise ConnectionFailed("the HTTP client gave no head")
        return _Answer(head, b"".join(p for p in pieces if isinstance(p, bytes)))


class _Answer:
    """What google-auth reads of an answer."""

    def __init__(self, head: HttpHead, data: bytes) -> None:
        self.status, self.headers, self.data = head.status, head.headers, data


def _unlock_after_fork() -> None:
    """Free a forked child of the lock: whoever asked for a token stayed in the parent."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)
