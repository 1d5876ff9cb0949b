"""How any-llm, and the providers' packages inside it, say that they cannot answer; pure.

Their classes are known by name: which packages there are differs from machine to machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from multiturn.backends.openai.errors import error_from, error_in, is_refused_prompt
from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    MalformedReply,
    MissingKey,
    MultiturnError,
    TimedOut,
    UsageError,
)

# What was wrong with the call, before anything was sent.
_USAGE = {"UnsupportedProviderError", "UnsupportedParameterError", "NotImplementedError"}
_USAGE |= {"ImportError"}  # a provider's own package; the message says which extra has it
# Names of httpx, and of the packages that OpenAI's generator of clients made.
_LATE = {"TimeoutError", "APITimeoutError", "TimeoutException"}
_LOST = {"ConnectionError", "APIConnectionError", "TransportError"}
_UNREADABLE = {"ValidationError", "APIResponseValidationError"}
# What any-llm's classes mean where the provider's error names no HTTP status.
_STATUSES = {
    "RateLimitError": 429,
    "AuthenticationError": 401,
    "ModelNotFoundError": 404,
    "InsufficientFundsError": 402,
    "InvalidRequestError": 400,
    "ContextLengthExceededError": 400,
    "ContentFilterError": 400,
    "UpstreamProviderError": 502,
    "GatewayTimeoutError": 504,
}


def translated(error: Exception) -> MultiturnError:
    """Return our error for any-llm's; what a provider's package said inside it wins."""
    if isinstance(error, MultiturnError):
        return error
    inner = _inner(error)
    text, names = str(error), _names(error) | _names(inner)
    if "MissingApiKeyError" in names:
        return MissingKey(text)
    if names & _USAGE:
        return UsageError(text)
    if names & _LATE:
        return TimedOut(f"the provider did not answer in time ({text or 'the time limit'})")
    if names & _LOST:
        return ConnectionFailed(f"the provider could not be reached, or broke off: {text}")
    if names & _UNREADABLE:
        return MalformedReply(f"any-llm cannot read the provider's answer: {text}")
    code = _status(error)
    if code is None and isinstance(getattr(inner, "body", None), dict):
        return error_in({"error": inner.body})  # in the middle of a stream
    code = code or next((_STATUSES[name] for name in _STATUSES if name in names), None)
    if code is not None:
        return error_from(code, _headers(inner), _body(error))
    return BackendError(f"any-llm failed with {type(inner).__name__}: {text}")


def is_refused(error: Exception) -> bool:
    """Whether an error says that the provider's filter refused the prompt."""
    code = _status(error)
    return code is not None and is_refused_prompt(code, _body(error))


def _inner(error: Exception) -> Any:
    return getattr(error, "original_exception", None) or error


def _names(error: BaseException) -> set[str]:
    return {base.__name__ for base in type(error).__mro__}


def _status(error: Exception) -> int | None:
    """Return the HTTP status of an error, None if it has none, or one of success."""
    for owner in (error, _inner(error)):
        code = getattr(owner, "status_code", None)
        if type(code) is int and code >= 300:
            return code
    return None


def _body(error: Exception) -> bytes:
    """Return what the provider said with an error, as near to what it sent as there is."""
    inner = _inner(error)
    with suppress(Exception):  # packages differ, and an answer may not have been read
        content = inner.response.content
        if isinstance(content, bytes) and content:
            return content
    said = getattr(inner, "body", None)
    said = said if isinstance(said, dict) else {"message": str(error)}
    return json.dumps(said if "error" in said else {"error": said}, default=str).encode()


def _headers(error: Any) -> Mapping[str, str]:
    with suppress(Exception):
        return {str(name).lower(): str(value) for name, value in error.response.headers.items()}
    return {}
