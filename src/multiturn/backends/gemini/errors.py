"""How the Gemini API says that it cannot answer, and what of it is worth another try; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from multiturn.errors import StatusError
from multiturn.google_errors import class_for
from multiturn.messages.message import Object

# The statuses on which the providers' own clients ask again.  409 only when aborted.
_RETRIED = (408, 429, 500, 502, 503, 504, 529)
_REQUEST_IDS = ("x-request-id", "x-goog-request-id", "x-cloud-trace-context", "request-id")
_SHOWN_CHARACTERS = 500


def error_from(code: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """Return the error that an answer with a bad status is.

    Args:
        code: The HTTP status.
        headers: Names in lower case.
        body: As it came: JSON in several forms, a page of a gateway, or nothing.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    return _error(_object_of(said), code, headers, _plain_text(text))


def error_in(chunk: Object) -> StatusError:
    """Return the error that stands in the place of a chunk, in the middle of a stream."""
    said = _object_of(chunk)
    code = said.get("code")
    return _error(said, code if type(code) is int and 100 <= code < 600 else 500, {}, "")


def _object_of(said: Any) -> Object:
    """Return the error's own object; some front ends wrap it in a list, some send a text."""
    if isinstance(said, list) and said:
        said = said[0]
    error = said.get("error", said) if isinstance(said, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def _plain_text(text: str) -> str:
    """Return what a person would read of a page."""
    if text.startswith("<"):
        text = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text[: 64 * 1024])
    return " ".join(text.split())[:_SHOWN_CHARACTERS]


def _error(said: Object, code: int, headers: Mapping[str, str], text: str) -> StatusError:
    status = said.get("status") if isinstance(said.get("status"), str) else ""
    message = said.get("message")
    if not isinstance(message, str) or not message:
        message = text or "(the server gave no reason)"
    if 300 <= code < 400:
        message = "the server redirects elsewhere, which is never followed; check api_endpoint"
    details = said.get("details")
    details = details if isinstance(details, list) else []
    error_class = class_for(code, status or "")
    found = [headers[name] for name in _REQUEST_IDS if name in headers]
    return error_class(
        message,
        status=status or "",
        code=code,
        details=details,
        request_id=found[0] if found else "",
        retryable=_is_retryable(code, status or "", details),
        retry_after_seconds=_retry_after(details, headers),
    )


def _is_retryable(code: int, status: str, details: list[Any]) -> bool:
    if code == 409:
        return status == "ABORTED"
    return code in _RETRIED and not _is_daily(details)


def _is_daily(details: list[Any]) -> bool:
    """Whether a quota of a whole day is used up, which waiting does not mend."""
    return any(
        "PerDay" in str(violation.get("quotaId", ""))
        for detail in details
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("QuotaFailure")
        for violation in detail.get("violations") or ()
        if isinstance(violation, dict)
    )


def _retry_after(details: list[Any], headers: Mapping[str, str]) -> float | None:
    """Return the pause that the server asks for: RetryInfo first, else Retry-After."""
    for detail in details:
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("RetryInfo"):
            delay = detail.get("retryDelay")
            if isinstance(delay, str) and re.fullmatch(r"\d{1,9}(\.\d+)?s", delay):
                return float(delay[:-1])
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", asked):
        return float(asked)
    return _seconds_until(asked) if asked else None


def _seconds_until(date: str) -> float | None:
    """Return the seconds until an HTTP date, by this machine's clock; at least 0."""
    import time
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None
