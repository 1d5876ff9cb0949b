"""How servers of the OpenAI protocol say that they cannot answer; pure.

The protocol's own form is ``{"error": {"message", "type", "param", "code"}}``.  Others are
read too: vLLM's ``{"object": "error", "message", "code"}``, Ollama's ``{"error": "text"}``,
``{"detail": …}`` of servers made with FastAPI, ``{"message": …}``, pages and nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from multiturn.errors import BackendError, ContextTooLong
from multiturn.google_errors import class_for
from multiturn.messages.message import Object

# The statuses on which the providers' own clients ask again.  409 is a lock at OpenAI.
_RETRIED = (408, 409, 429, 500, 502, 503, 504, 529)
# Codes and types that waiting does not mend, whatever the status.
_SPENT = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "access_terminated",
)
_REQUEST_IDS = ("x-request-id", "request-id", "cf-ray", "x-generation-id")
_SHOWN_CHARACTERS = 500
# What OpenAI's and Azure's filters say when they refuse a prompt.
_REFUSED = ("content_filter", "content_policy_violation")


def error_from(code: int, headers: Mapping[str, str], body: bytes) -> BackendError:
    """Return the error that an answer with a bad status is.

    Args:
        code: The HTTP status.
        headers: Names in lower case.
        body: As it came.
    """
    text = body.decode("utf-8", "replace").strip()
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    return _error(_object_of(said), code, headers, _plain_text(text) if said is None else "")


def error_in(chunk: Any) -> BackendError:
    """Return the error that stands in the place of a chunk, in the middle of a stream."""
    said = _object_of(chunk)
    return _error(said, _status(said) or 500, {}, "")


def is_refused_prompt(code: int, body: bytes) -> bool:
    """Whether an error says that a filter refused the prompt."""
    if code != 400 or not any(name.encode() in body for name in _REFUSED):
        return False
    try:
        said = _object_of(json.loads(body))
    except (ValueError, RecursionError):
        return False
    return said.get("code") in _REFUSED or said.get("type") in _REFUSED


def _object_of(said: Any) -> Object:
    """Return the error's own object, with a ``message`` that is a text if it has any."""
    if isinstance(said, list) and said:
        said = said[0]
    if not isinstance(said, dict):
        return {"message": said} if isinstance(said, str) else {}
    found = said.get("error") or said
    if isinstance(found, str):
        found = {**said, "message": found}
    if not isinstance(found, dict):
        return {}
    message = found.get("message") or found.get("detail") or said.get("message")
    if isinstance(message, dict):
        message = message.get("message") or message.get("detail") or message
    if isinstance(message, list):  # FastAPI lists what is wrong with a request
        message = "; ".join(_fault(one) for one in message)
    if message is not None and not isinstance(message, str):
        message = json.dumps(message, ensure_ascii=False)
    return {**found, "message": message or ""}


def _fault(fault: Any) -> str:
    if not isinstance(fault, dict):
        return str(fault)
    place = ".".join(str(step) for step in fault.get("loc") or ())
    return f"{place}: {fault.get('msg') or fault}" if place else str(fault.get("msg") or fault)


def _plain_text(text: str) -> str:
    """Return what a person would read of a page."""
    if text.startswith("<"):
        text = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", text[: 64 * 1024])
    return " ".join(text.split())[:_SHOWN_CHARACTERS]


def _status(said: Object) -> int | None:
    """Return the HTTP status that an error object names."""
    for name in ("code", "status", "status_code", "http_code"):
        value = said.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if type(value) is int and 400 <= value < 600:
            return value
    kind = str(said.get("type") or said.get("code") or "").lower()
    if "rate_limit" in kind:
        return 429
    if "invalid_request" in kind or "badrequest" in kind:
        return 400
    return 503 if "overloaded" in kind or "unavailable" in kind else None


def _error(said: Object, code: int, headers: Mapping[str, str], text: str) -> BackendError:
    message = said.get("message") or text or "(the server gave no reason)"
    if 300 <= code < 400:
        message = "the server redirects elsewhere, which is never followed; check base_url"
    sizes = _sizes(said, message)
    if code < 500 and sizes is not None:
        return ContextTooLong(*sizes)
    metadata = said.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        # OpenRouter: its own words say nothing; those of the provider behind it do.
        message = f"{message}: {_plain_text(metadata['raw'])}"
    names = [said.get(name) for name in ("code", "type")]
    status = next((n for n in names if isinstance(n, str) and n and not n.isdecimal()), "")
    found = [headers[name] for name in _REQUEST_IDS if name in headers]
    return class_for(code, "")(
        message,
        status=status,
        code=code,
        details=[said] if said else [],
        request_id=found[0] if found else "",
        retryable=_is_retryable(code, headers, status),
        retry_after_seconds=_retry_after(headers, message),
    )


def _is_retryable(code: int, headers: Mapping[str, str], status: str) -> bool:
    asked = headers.get("x-should-retry")
    if asked in ("true", "false"):  # OpenAI's own word for its clients
        return asked == "true"
    return code in _RETRIED and status not in _SPENT


_COUNT = r"(\d[\d,]*)"
_CONTEXT = re.compile(
    rf"(?:maximum context length is|context (?:size|length|window)\D{{0,40}}) *{_COUNT} tokens"
    rf".*?(?:requested|resulted in|has|contains) *(?:about )?{_COUNT} *(?:input )?tokens",
    re.DOTALL | re.IGNORECASE,
)


def _sizes(said: Object, message: str) -> tuple[int, int] | None:
    """Return the sizes of prompt and window if the error is that the prompt is too long."""
    prompt, window = said.get("n_prompt_tokens"), said.get("n_ctx")
    if type(prompt) is int and type(window) is int:  # llama.cpp
        return prompt, window
    found = _CONTEXT.search(message)
    if found is None:
        return None
    window_text, prompt_text = found.groups()
    return int(prompt_text.replace(",", "")), int(window_text.replace(",", ""))


# "Please try again in 1m2.5s", "in 20ms"; OpenAI and Groq.
_AGAIN = re.compile(r"try again in (?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s)\b)?", re.I)


def _retry_after(headers: Mapping[str, str], message: str) -> float | None:
    """Return the pause that the server asks for: by header first, else in words."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", milliseconds):
        return float(milliseconds) / 1000
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", asked):
        return float(asked)
    if asked:
        return _seconds_until(asked)
    found = _AGAIN.search(message)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, amount, unit = found.groups()
    seconds = float(amount or 0) / (1000 if (unit or "").lower() == "ms" else 1)
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + seconds


def _seconds_until(date: str) -> float | None:
    """Return the seconds until an HTTP date, by this machine's clock; at least 0."""
    import time
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())
    except ValueError:
        return None
