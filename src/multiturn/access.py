"""How a model's server is reached, and as whom: ``configure()`` and what may override it.

The order, the first that says something wins: the call's ``request_options``, the
chat's, the model's, ``configure()``, the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Never

from multiturn.checks import unknown
from multiturn.errors import InvalidContent, UnknownName, UsageError

# Headers whose values are never shown.
_SECRET_HEADERS = ("x-goog-api-key", "authorization", "proxy-authorization", "api-key", "cookie")
# Options of google.api_core's clients that say nothing here.
_PASSED_OVER = (
    "api_audience", "client_cert_source", "client_encrypted_cert_source", "scopes",
    "universe_domain",
)  # fmt: skip
_TRANSPORTS = (None, "rest", "grpc", "grpc_asyncio")


class Secret:
    """A value that is shown nowhere, and that pickle leaves behind; mostly a text."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _no_secret, ()


def _no_secret() -> None:
    return None


class Access:
    """Where a server is and as whom it is asked; every member may be unset.

    Attributes:
        api_key: For the header ``x-goog-api-key``.
        credentials: An object of google-auth, or the dict of a service account.
        endpoint: Host, with or without scheme, port and path.
        base_urls: Where the Gemini API and Vertex AI are if ``endpoint`` does not say; each
            may be None, which is Google's.
        api_version: As ``v1beta``.
        vertexai: Whether the server is Vertex AI; None decides by ``project``.
        project, location: Of Vertex AI.
        quota_project: Which project is billed.
        headers: Pairs for every request; the values of some names are Secrets.
        user_agent: Put before our own.
        http_client: A ``multiturn.http.HttpClient`` or a client of httpx; never closed.
    """

    __slots__ = (
        "api_key",
        "api_version",
        "base_urls",
        "credentials",
        "endpoint",
        "headers",
        "http_client",
        "location",
        "project",
        "quota_project",
        "user_agent",
        "vertexai",
    )

    def __init__(
        self,
        *,
        api_key: str | Secret | None = None,
        credentials: Any = None,
        endpoint: str | None = None,
        base_urls: tuple[str | None, str | None] | None = None,
        api_version: str | None = None,
        vertexai: bool | None = None,
        project: str | None = None,
        location: str | None = None,
        quota_project: str | None = None,
        headers: Iterable[tuple[str, str | Secret]] | Mapping[str, str] = (),
        user_agent: str | None = None,
        http_client: Any = None,
    ) -> None:
        self.api_key = secret_key(api_key)
        self.credentials, self.http_client = _open(credentials), _open(http_client)
        self.endpoint, self.base_urls = _text(endpoint, "api_endpoint"), base_urls
        self.api_version = _text(api_version, "api_version")
        if vertexai is not None and not isinstance(vertexai, bool):
            raise InvalidContent("vertexai", vertexai, "True, False or None")
        self.vertexai = vertexai
        self.project, self.location = _text(project, "project"), _text(location, "location")
        self.quota_project = quota_project
        self.headers = _pairs(headers, "headers")
        self.user_agent = user_agent

    @property
    def secrets(self) -> list[str]:
        """What nobody is to see of it: the key, and each word of secret headers."""
        secrets = [self.api_key, *(value for _, value in self.headers)]
        said = [str(one.reveal()) for one in secrets if isinstance(one, Secret)]
        return [word for text in said for word in text.replace(";", " ").split()]

    def over(self, other: Access) -> Access:
        """Return this access with the other's members where it says nothing.

        A key and credentials are one choice, and so is the place: who names one of them
        decides on all.
        """
        merged = Access()
        for name in self.__slots__:
            own = getattr(self, name)
            setattr(merged, name, getattr(other, name) if own is None else own)
        if self.api_key is not None or self.credentials is not None:
            merged.api_key, merged.credentials = self.api_key, self.credentials
        merged.headers = (*other.headers, *self.headers)
        return merged

    def __repr__(self) -> str:
        named = [n for n in self.__slots__ if n != "headers" and getattr(self, n) is not None]
        shown = {n: "…" if n == "credentials" else getattr(self, n) for n in named}
        return f"Access({', '.join(f'{n}={value!r}' for n, value in shown.items())})"

    def __getstate__(self) -> dict[str, Any]:
        left = ("api_key", "credentials", "headers", "http_client")
        return {n: getattr(self, n) for n in self.__slots__ if n not in left}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def configure(
    *,
    api_key: str | None = None,
    credentials: Any = None,
    transport: str | None = None,
    client_options: Any = None,
    client_info: Any = None,
    default_metadata: Iterable[tuple[str, str]] = (),
    vertexai: bool | None = None,
    project: str | None = None,
    location: str | None = None,
    api_version: str | None = None,
    http_client: Any = None,
    **others: Never,
) -> None:
    """Say how the Gemini API is reached, for every model that does not say so itself.

    Replaces what an earlier call said; takes effect at the next request, for models
    that exist already too.  Nothing is checked with the server.

    Args:
        api_key: None, or an empty one, takes GEMINI_API_KEY, else GOOGLE_API_KEY, of the
            environment.
        credentials: Of google-auth, instead of a key; or the dict of a service account.
        transport: "rest", "grpc" or "grpc_asyncio", as before; all travel over HTTP.
        client_options: A dict or an object with ``api_endpoint`` (host, with or without
            scheme, port and path), ``api_key``, ``quota_project_id``,
            ``credentials_file``.
        client_info: An object whose ``user_agent`` is put before ours.
        default_metadata: Pairs that every request carries as headers.
        vertexai: Use Vertex AI; None does if ``project`` is given.
        project: Of Vertex AI; with an API key alone (express mode) there is none.
        location: Of Vertex AI, as ``europe-west4``; None is ``global``.
        api_version: None is ``v1beta`` (``v1beta1`` on Vertex AI).
        http_client: Carries the requests: a ``multiturn.http.HttpClient``, or a client
            of httpx or httpx2.  It stays the caller's, who closes it.

    Raises:
        UsageError: Two arguments contradict each other, or one has no known form.
    """
    global _configured, _key_was_empty
    for name in others:
        # What it was given may be a key.
        raise unknown(name, Secret(None), configure.__kwdefaults__ or ())
    if transport not in _TRANSPORTS:
        raise InvalidContent("transport", transport, '"rest", "grpc" or "grpc_asyncio"')
    options = _client_options(client_options)
    if api_key and options.get("api_key"):
        raise UsageError("api_key is given twice: as api_key and in client_options; give it once")
    keys = [key for key in (api_key, options.get("api_key")) if key is not None]
    # google.generativeai 0.8.6 took an empty key for none, and looked at the environment.
    access = Access(
        api_key=next(filter(_is_said, keys), None),
        credentials=credentials or _from_file(options.get("credentials_file")),
        endpoint=options.get("api_endpoint"),
        api_version=api_version,
        vertexai=vertexai,
        project=project,
        location=location,
        quota_project=options.get("quota_project_id"),
        headers=_pairs(default_metadata, "default_metadata"),
        user_agent=getattr(client_info, "user_agent", None),
        http_client=http_client,
    )
    if access.api_key is not None and access.credentials is not None:
        raise UsageError("api_key and credentials are both given; give one of them")
    _configured, _key_was_empty = access, bool(keys) and access.api_key is None


def configured() -> Access:
    """Return what ``configure()`` said; the same object until it is called again."""
    return _configured


def key_was_empty() -> bool:
    """Whether ``configure()`` was given a key that is empty, as an unset variable makes it."""
    return _key_was_empty


def _is_said(key: Any) -> bool:
    return not isinstance(key, str) or bool(key.strip())


# What is looked at for each request; the last three matter on Vertex AI only.
_VARIABLES = (
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
)
_ENCODED_VARIABLES = tuple(map(os.environ.encodekey, _VARIABLES))


def from_environment(environment: Mapping[str, str] = os.environ) -> Access:
    """Return what the environment says; the same object while it says the same."""
    global _seen
    # Asked for a name that is not there, os.environ raises and catches two exceptions;
    # whether anything has changed is seen faster in the dict that it wraps.
    encoded = getattr(environment, "_data", None) if environment is os.environ else None
    if type(encoded) is dict:
        said = tuple(map(encoded.get, _ENCODED_VARIABLES))
    else:
        said = tuple(map(environment.get, _VARIABLES))
    if _seen is None or _seen[0] != said:
        _seen = said, _from_values(*map(environment.get, _VARIABLES))
    return _seen[1]


_seen: tuple[tuple[str | bytes | None, ...], Access] | None = None


def _from_values(
    gemini_key: str | None = None,
    google_key: str | None = None,
    use_vertexai: str | None = None,
    gemini_url: str | None = None,
    vertex_url: str | None = None,
    project: str | None = None,
    location: str | None = None,
) -> Access:
    variable = "GEMINI_API_KEY" if gemini_key else "GOOGLE_API_KEY"
    key = secret_key(gemini_key or google_key or None, variable)
    urls = gemini_url or None, vertex_url or None
    if (use_vertexai or "").lower() not in ("1", "true"):
        return Access(api_key=key, base_urls=urls)
    return Access(api_key=key, base_urls=urls, vertexai=True, project=project, location=location)


def _client_options(options: Any) -> dict[str, Any]:
    names = ("api_endpoint", "api_key", "quota_project_id", "credentials_file")
    if options is None:
        return {}
    if isinstance(options, Mapping):
        for name in options:
            if name not in names and name not in _PASSED_OVER:
                raise UnknownName("client option", str(name), names)
        return {name: options[name] for name in names if name in options}
    if not any(hasattr(options, name) for name in names):
        raise InvalidContent("client_options", options, "a dict or a ClientOptions")
    return {name: getattr(options, name, None) for name in names}


def _from_file(path: str | None) -> Any:
    if path is None:
        return None
    from multiturn.backends.gemini.google_auth import credentials_in

    return credentials_in(path)


def guarded(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return request options whose secrets are neither shown nor pickled.

    Raises:
        InvalidContent: A key or a header is not one.
    """
    kept = dict(options)
    if kept.get("api_key") is not None:
        kept["api_key"] = secret_key(kept["api_key"])
    if kept.get("metadata") is not None:
        kept["metadata"] = _pairs(kept["metadata"], "metadata")
    for name in ("credentials", "http_client"):
        if kept.get(name) is not None and not isinstance(kept[name], Secret):
            kept[name] = Secret(kept[name])
    return kept


def _open(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def secret_key(key: str | Secret | None, place: str = "api_key") -> Secret | None:
    """Return a key that is shown nowhere; ``place`` is where it was said.

    Raises:
        InvalidContent: It is none.
    """
    if key is None or isinstance(key, Secret):
        return key
    if not isinstance(key, str):
        raise InvalidContent(place, f"of type {type(key).__name__}", "a string")
    key = key.strip()
    if not key:
        expected = "a key (is the variable set from which it comes?), or None for no key of its own"
        raise InvalidContent(place, key, expected)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidContent(place, "a text (not shown)", "a key without spaces, in ASCII")
    return Secret(key)


def _text(value: Any, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidContent(name, value, "a string")
    return value or None


def _pairs(headers: Any, argument: str) -> tuple[tuple[str, str | Secret], ...]:
    items = headers.items() if isinstance(headers, Mapping) else headers or ()
    if not isinstance(items, Iterable):
        raise InvalidContent(argument, headers, "pairs of strings")
    pairs: list[tuple[str, str | Secret]] = []
    for item in items:
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise InvalidContent(argument, item, "pairs of strings")
        name, value = item
        if value is None:  # a secret that pickle left behind
            continue
        if isinstance(value, Secret):
            pairs.append((name, value))
            continue
        if isinstance(value, bytes):  # gRPC's metadata whose names end in -bin
            from base64 import b64encode

            value = b64encode(value).decode("ascii")
        if not isinstance(name, str) or not isinstance(value, str) or not _is_token(name):
            raise InvalidContent(argument, name, "a header's name with a string")
        pairs.append((name, Secret(value) if name.lower() in _SECRET_HEADERS else value))
    return tuple(pairs)


def _is_token(name: str) -> bool:
    return (
        bool(name) and name.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name)
    )


_configured, _key_was_empty = Access(), False
