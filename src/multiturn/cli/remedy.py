"""What a server's error means at the shell: which server it was, and what to do next."""

from __future__ import annotations

import os

from multiturn.access import configured, from_environment
from multiturn.backends.openai.providers import PROVIDERS
from multiturn.errors import BackendError, ConnectionFailed, MalformedReply, StatusError


def of_server(error: BackendError) -> str:
    """Return the error of a server, named by host and port, with what to do next."""
    text = str(error)
    if error.not_waited:  # the remedy says when
        text = text.partition("; the server asks to wait ")[0]
    if isinstance(error, StatusError) and error.code is not None and 300 <= error.code < 400:
        text = f"{error.code} the server redirects elsewhere, which is never followed"
    place = "" if error.server in text else f"{error.server}: "
    remedy = _remedy(error)
    return f"{place}{text}; {remedy}" if remedy else f"{place}{text}"


def _remedy(error: BackendError) -> str:
    address = _variable_of_address(error.backend)
    is_elsewhere = bool(address and os.environ.get(address)) and address not in str(error)
    if isinstance(error, MalformedReply | ConnectionFailed):
        return f"the address is that of {address}" if is_elsewhere else ""
    if not isinstance(error, StatusError) or error.code is None:
        return ""
    if 300 <= error.code < 400:
        return f"check the address in {address}" if address else "check its address"
    if error.code in (401, 403) or getattr(error, "reason", None) == "API_KEY_INVALID":
        return _about_key(error.backend)
    if error.code == 404:
        place = f", and the address in {address}" if is_elsewhere else ""
        return f"check the model's name (multiturn models lists what there is){place}"
    if error.retry_after_seconds:
        return f"try again in {_span(error.retry_after_seconds)}"
    return "try again later" if error.retryable else ""


def _about_key(backend: str) -> str:
    """Return where the key came from that was refused, as far as that is known here."""
    if backend == "gemini":
        return _about_googles_key()
    if backend in PROVIDERS:
        name = f"{backend.upper()}_API_KEY"
        return f"the key is that of {name}" if os.environ.get(name) else _no_key(name)
    provider = backend.removeprefix("any/")
    if provider != backend:
        return f"see to the key of {provider}, which any-llm takes from the environment"
    return f"see to the key that the backend {backend} takes"


def _about_googles_key() -> str:
    said = configured()
    if said.api_key is not None or said.credentials is not None:
        return f"the {'key is that' if said.api_key else 'credentials are those'} of configure()"
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        if os.environ.get(name):
            return f"the key is that of {name}"
    if from_environment().vertexai or "GOOGLE_APPLICATION_CREDENTIALS" in os.environ:
        return "no key was sent but Google's application default credentials; see to their rights"
    return _no_key("GEMINI_API_KEY")


def _no_key(name: str) -> str:
    return f"no key was sent; export {name}=… is the place for one"


def _variable_of_address(backend: str) -> str:
    """Return the variable that says where a server is, "" if there is none that we know."""
    if backend == "gemini":
        is_vertex = from_environment().vertexai
        return "GOOGLE_VERTEX_BASE_URL" if is_vertex else "GOOGLE_GEMINI_BASE_URL"
    return f"{backend.upper()}_BASE_URL" if backend in PROVIDERS else ""


def _span(seconds: float) -> str:
    """Return a time to wait in words, never shorter than it is."""
    for unit, size in (("hour", 3600), ("minute", 60)):
        if seconds > size * 1.5:
            return f"{-int(-seconds // size)} {unit}s"
    whole = max(1, -int(-seconds // 1))
    return f"{whole} second{'' if whole == 1 else 's'}"
