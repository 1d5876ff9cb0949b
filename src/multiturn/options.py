"""How one request is carried out: how long it may take, and whether it is made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from multiturn.checks import LONGEST_SECONDS, seconds
from multiturn.errors import InvalidContent, UnknownName
from multiturn.retry import NO_RETRY, Retry, RetryRule

# How the server is reached, for backends that have one.
_ACCESS_NAMES = (
    "metadata",
    "api_key",
    "credentials",
    "api_endpoint",
    "api_version",
    "vertexai",
    "project",
    "location",
    "http_client",
)
_NAMES = ("timeout", "retry", *_ACCESS_NAMES)
# The others may hold a key.
_SHOWN = ("timeout", "retry", "api_endpoint", "api_version", "vertexai", "project", "location")


class RequestOptions(Mapping[str, Any]):
    """Options of one call; a dict with the same members does as well.

    Attributes:
        retry: When a request is made again: a ``multiturn.Retry``, a Retry of
            google.api_core, or False for never; None means as the model says.
        timeout: Seconds for the call as a whole; None means the default.
        metadata: Pairs sent along as headers.

    How the server is reached may be said too, with the names of ``configure()``:
    ``api_key``, ``credentials``, ``api_endpoint``, ``api_version``, ``vertexai``,
    ``project``, ``location``, ``http_client``.
    """

    def __init__(self, *, retry: Any = None, timeout: float | None = None, **access: Any) -> None:
        self._given = _checked({"retry": retry, "timeout": timeout, **access})
        _require_values(self._given)

    def __getattr__(self, name: str) -> Any:
        if name in _NAMES:
            return self._given.get(name)
        raise AttributeError(name)

    def __repr__(self) -> str:
        named = [name for name, value in self._given.items() if value is not None]
        shown = [f"{n}={self._given[n]!r}" if n in _SHOWN else f"{n}=…" for n in named]
        return f"RequestOptions({', '.join(shown)})"

    def __getitem__(self, name: str) -> Any:
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


RequestOptionsLike: TypeAlias = RequestOptions | Mapping[str, Any] | None


def timeout_seconds_of(options: RequestOptionsLike) -> float | None:
    """Return the total time for a call, None for the default; refuse what is no time."""
    timeout = None if options is None else _checked(options).get("timeout")
    timeout = getattr(timeout, "_timeout", timeout)  # the timeouts of google.api_core
    if timeout is None:
        return None
    seconds("$.request_options.timeout", timeout, or_endless=True)
    return float(min(timeout, LONGEST_SECONDS))


def retry_of(options: RequestOptionsLike, default: RetryRule) -> RetryRule:
    """Return when to make a request again.

    Args:
        options: ``retry`` may be a Retry, one of google.api_core, False for never, or None
            for the default.
        default: The model's.
    """
    retry = None if options is None else _checked(options).get("retry")
    return default if retry is None else rule_of("$.request_options.retry", retry)


def rule_of(name: str, retry: Any) -> RetryRule:
    """Return when to make a request again, as ``retry_of``; ``name`` is the argument's."""
    if retry is None:
        return Retry()
    if retry is False:
        return NO_RETRY
    if callable(getattr(retry, "pause_seconds", None)):
        return retry  # type: ignore[no-any-return]
    if hasattr(retry, "_predicate") and hasattr(retry, "_initial"):
        from multiturn.borrowed_retry import BorrowedRetry

        return BorrowedRetry(retry)
    raise InvalidContent(name, retry, "a Retry of multiturn or google.api_core, False or None")


def access_of(options: RequestOptionsLike) -> dict[str, Any]:
    """Return what options say about how the server is reached."""
    if options is None:
        return {}
    given = _checked(options)
    access = {name: given[name] for name in _ACCESS_NAMES if given.get(name) is not None}
    return guarded_options(access) if access else access


def guarded_options(options: RequestOptionsLike) -> dict[str, Any]:
    """Return options as a dict in which secrets are neither shown nor pickled."""
    if options is None:
        return {}
    from multiturn.access import guarded

    _require_values(options)
    return guarded(_checked(options))


def _require_values(options: Mapping[str, Any]) -> None:
    """Refuse a time limit or a rule that is none."""
    timeout_seconds_of(options)
    retry_of(options, NO_RETRY)


def merged_options(options: RequestOptionsLike, over: RequestOptionsLike) -> RequestOptionsLike:
    """Return options with others over them; headers of both are sent."""
    if not options or over is None:
        return options if over is None else over
    named = {name: value for name, value in _checked(over).items() if value is not None}
    merged = {**_checked(options), **named}
    if named.get("metadata") and options.get("metadata"):
        merged["metadata"] = [*_items(options["metadata"]), *_items(named["metadata"])]
    return merged


def _items(pairs: Any) -> Any:
    return pairs.items() if isinstance(pairs, Mapping) else pairs


def _checked(options: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise InvalidContent("$.request_options", options, "a RequestOptions or a dict")
    for name in options:
        if name not in _NAMES:
            raise UnknownName("request option", str(name), _NAMES)
    return options
