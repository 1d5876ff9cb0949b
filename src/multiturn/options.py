"""How one request is carried out: how long it may take, and whether it is made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from multiturn.errors import InvalidContent, UnknownName
from multiturn.retry import NO_RETRY, Retry

_NAMES = ("timeout", "retry", "metadata")


class RequestOptions(Mapping[str, Any]):
    """Options of one call; a dict with the same members does as well.

    Attributes:
        retry: When a request is made again; None means as the model says.
        timeout: Seconds for the call as a whole; None means the default.
        metadata: Pairs sent along as headers; None means none.
    """

    def __init__(
        self, *, retry: Any = None, timeout: float | None = None, metadata: Any = None
    ) -> None:
        self.retry, self.timeout, self.metadata = retry, timeout, metadata

    def __repr__(self) -> str:
        return f"RequestOptions(retry={self.retry!r}, timeout={self.timeout!r})"

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


RequestOptionsLike: TypeAlias = RequestOptions | Mapping[str, Any] | None


def timeout_seconds_of(options: RequestOptionsLike) -> float | None:
    """Return the total time for a call, None for the default; refuse what is no time."""
    timeout = None if options is None else _checked(options).get("timeout")
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise InvalidContent("$.request_options.timeout", timeout, "seconds, more than 0")
    return float(timeout)


def retry_of(options: RequestOptionsLike, default: Retry) -> Retry:
    """Return when to make a request again.

    Args:
        options: ``retry`` may be a Retry, False for never, or None for the default.
        default: The model's.
    """
    retry = None if options is None else _checked(options).get("retry")
    if retry is None:
        return default
    if retry is False:
        return NO_RETRY
    if isinstance(retry, Retry):
        return retry
    raise InvalidContent("$.request_options.retry", retry, "a multiturn.Retry, False or None")


def _checked(options: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise InvalidContent("$.request_options", options, "a RequestOptions or a dict")
    for name in options:
        if name not in _NAMES:
            raise UnknownName("request option", str(name), _NAMES)
    return options
