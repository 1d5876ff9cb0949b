"""Members whose JSON is text of its own form: points in time and durations.

Forms are those of the JSON mapping of Protocol Buffers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from multiturn.errors import InvalidContent
from multiturn.messages.fields import Field
from multiturn.messages.message import Message, Unknown

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)?$")
_SECONDS = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s$")


def _fraction(nanos: int) -> str:
    """Return the digits after the point, in groups of three as the mapping asks."""
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}"


def _seconds_and_nanos(value: Any) -> tuple[int, int] | None:
    """Read a number of seconds, or a dict of ``seconds`` and ``nanos``."""
    if isinstance(value, Mapping) and value and set(value) <= {"seconds", "nanos"}:
        return int(value.get("seconds") or 0), int(value.get("nanos") or 0)
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = int(value // 1)
        return seconds, round((value - seconds) * 1e9)
    return None


class _Optional(Field[Any]):
    """A member whose absence reads as None."""

    def absent(self, message: Message) -> Any:
        return None

    def canonical(self, value: Any) -> Any:
        return self.read(value, True)


class Timestamp(_Optional):
    """A point in time; a ``datetime`` with a time zone in Python, None if unset."""

    kind = "a datetime, seconds since 1970, or RFC 3339 text"

    def __init__(self, *, oneof: str | None = None) -> None:
        super().__init__(oneof=oneof, presence=True)

    def read(self, value: Any, frozen: bool) -> Any:
        match = _RFC_3339.match(value) if isinstance(value, str) else None
        if match is None:
            return value
        day, time, fraction, zone = match.groups()
        zone = "+00:00" if zone in (None, "Z", "z") else zone
        try:
            return datetime.fromisoformat(f"{day}T{time}{(fraction or '')[:7]}{zone}")
        except ValueError:
            return value

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, str) and isinstance(self.read(value, True), datetime):
            return value
        if isinstance(value, datetime):
            seconds, nanos = int(value.replace(microsecond=0).timestamp()), value.microsecond * 1000
        else:
            read = _seconds_and_nanos(value)
            if read is None:
                raise InvalidContent(path, value, self.kind)
            seconds, nanos = read
        try:
            text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        except (OverflowError, ValueError, OSError):
            raise InvalidContent(path, value, self.kind) from None
        return f"{text}{_fraction(nanos)}Z"


class Duration(_Optional):
    """A stretch of time; a ``timedelta`` in Python, ``"3.5s"`` in JSON, None if unset."""

    kind = 'a timedelta, a number of seconds, or text as "3.5s"'

    def __init__(self, *, oneof: str | None = None) -> None:
        super().__init__(oneof=oneof, presence=True)

    def read(self, value: Any, frozen: bool) -> Any:
        match = _SECONDS.match(value) if isinstance(value, str) else None
        if match is None:
            return value
        sign, seconds, fraction = match.groups()
        micros = int((fraction or "0").ljust(9, "0")[:6])
        length = timedelta(seconds=int(seconds), microseconds=micros)
        return -length if sign else length

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, str) and _SECONDS.match(value):
            return value
        if isinstance(value, timedelta):
            nanos = (value.days * 86400 + value.seconds) * 10**9 + value.microseconds * 1000
        else:
            read = _seconds_and_nanos(value)
            if read is None:
                raise InvalidContent(path, value, self.kind)
            nanos = read[0] * 10**9 + read[1]
        whole, rest = divmod(abs(nanos), 10**9)
        return f"{'-' if nanos < 0 else ''}{whole}{_fraction(rest)}s"
