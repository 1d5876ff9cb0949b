"""Times as people say them: how long ago something was, and a span such as ``90d``."""

from __future__ import annotations

import re
import time

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SPANS = {"h": _HOUR, "d": _DAY, "w": 7 * _DAY}
_ALWAYS_A_DATE_DAYS = 30
# Of hours that is more than a century.
_MOST_DIGITS = 6


def ago(moment: float, now: float | None = None) -> str:
    """Return how long ago a moment in seconds since 1970 was, as ``3 hours ago``."""
    seconds = max(0.0, (time.time() if now is None else now) - moment)
    if seconds < _MINUTE:
        return "just now"
    for unit, name, next_unit in (
        (_MINUTE, "minute", _HOUR),
        (_HOUR, "hour", _DAY),
        (_DAY, "day", _ALWAYS_A_DATE_DAYS * _DAY),
    ):
        if seconds < next_unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def at(moment: float) -> str:
    """Return a moment in ISO 8601, in UTC to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def span_seconds(text: str) -> float:
    """Return how long a span such as ``12h``, ``90d`` or ``4w`` is.

    Raises:
        ValueError: It has another form.
    """
    match = re.fullmatch(r"(\d+)([hdw])", text.strip())
    if match is None:
        raise ValueError(f"{text} is not a span of hours, days or weeks, as 12h, 90d or 4w")
    if len(match[1]) > _MOST_DIGITS:
        raise ValueError(f"{text[:40]} is too long; at most {'9' * _MOST_DIGITS}{match[2]}")
    return float(int(match[1]) * _SPANS[match[2]])
