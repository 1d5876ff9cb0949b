"""Access tokens through the optional google-auth, whose requests travel over our HTTP."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from multiturn.access import Secret
from multiturn.cancel import Cancel
from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    MissingKey,
    TurnCancelled,
    UsageError,
)
from multiturn.http import HttpClient, HttpHead, HttpRequest
from multiturn.http.blocking import total_timed_out

_SCOPES = (
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/generative-language",
)
# A token is waited for no longer.
_SECONDS = 30.0
# How often one that waits for the token of another looks whether it was cancelled.
_LOOK_SECONDS = 0.02
# Of so many service accounts at once the tokens are used again.
_REMEMBERED = 32
_lock = threading.Lock()


@contextmanager
def _alone(deadline: float, cancel: Cancel) -> Iterator[None]:
    """Let nobody else ask for a token; who comes to it too late, or gives up, is told so."""
    lock = _lock
    while not lock.acquire(timeout=min(max(deadline - time.monotonic(), 0.0), _LOOK_SECONDS)):
        _require_go(cancel)
        if time.monotonic() >= deadline:
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


def _require_go(cancel: Cancel) -> None:
    if cancel.reason is not None:
        raise TurnCancelled(cancel.reason)


class KnownCredentials:
    """The credentials that one backend was given lately, so that their tokens are used again."""

    def __init__(self) -> None:
        # By what was given, the one used last at the end; an object knows its own token.
        self._known: dict[Hashable, Any] = {}

    def of(self, given: Any, deadline: float, cancel: Cancel) -> Any:
        """Return the object of google-auth for what was given, the same one each time.

        Args:
            given: Such an object, the dict of a service account, or None for the
                application default credentials.
            deadline: When they must be there, as ``time.monotonic()`` counts.
            cancel: Raised by any thread, it ends the wait with TurnCancelled.
        """
        if given is not None and not isinstance(given, Mapping):
            return credentials_from(given)
        name = _name_of(given)
        with _alone(deadline, cancel):
            found = self._known.pop(name, None)
            if found is None:
                found = default_credentials() if given is None else credentials_from(given)
            self._known[name] = found
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
            return found


def _name_of(given: Mapping[str, Any] | None) -> Hashable:
    """Return what tells credentials apart: a hash of a dict, or the file of the environment."""
    if given is None:
        return os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    import hashlib

    return hashlib.sha256(repr(sorted(given.items(), key=repr)).encode()).digest()


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
    credentials: Any,
    client: HttpClient,
    *,
    deadline: float,
    cancel: Cancel,
    refused: Secret | None = None,
) -> Secret:
    """Return an access token that is valid now; may ask Google's servers, blocking.

    Args:
        credentials: Of google-auth.
        client: Carries the requests for a token.
        deadline: When it must be there, as ``time.monotonic()`` counts.
        cancel: Raised by any thread, it ends the request for a token, and the wait for
            that of another call.
        refused: A token that a server refused; another is asked for.

    Raises:
        TurnCancelled: ``cancel`` was raised.
        StatusError, ConnectionFailed, TimedOut: No token could be had.
    """
    with _alone(deadline, cancel):
        if not credentials.valid or refused == Secret(str(credentials.token)):
            try:
                credentials.refresh(_Carrier(client, deadline, cancel))
            except (BackendError, TurnCancelled):
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

    def __init__(self, client: HttpClient, deadline: float, cancel: Cancel) -> None:
        self._client, self._deadline, self._cancel = client, deadline, cancel

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
        events = list(self._client.exchange(request, self._cancel))
        _require_go(self._cancel)  # an exchange that is cancelled just ends
        if not events or not isinstance(events[0], HttpHead):
            raise ConnectionFailed("the HTTP client gave no head")
        return _Answer(events[0], b"".join(p for p in events if isinstance(p, bytes)))


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
