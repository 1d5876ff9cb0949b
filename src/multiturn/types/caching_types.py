"""How long a cached prompt is kept, by the names of the old SDK."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypedDict

from multiturn.errors import InvalidContent

__all__ = ["TTL", "ExpireTime", "ExpireTimeTypes", "TTLTypes"]


class TTL(TypedDict):
    """How long from now."""

    seconds: int
    nanos: int


class ExpireTime(TypedDict):
    """Until when, counted from the beginning of 1970 (UTC)."""

    seconds: int
    nanos: int


TTLTypes = TTL | int | timedelta
ExpireTimeTypes = ExpireTime | int | datetime


def to_optional_ttl(ttl: TTLTypes | None) -> TTL | None:
    """Return a length of time as a dict; a number is seconds, None stays None."""
    if ttl is None:
        return None
    if isinstance(ttl, timedelta):
        return {"seconds": ttl.days * 86_400 + ttl.seconds, "nanos": ttl.microseconds * 1000}
    if isinstance(ttl, dict):
        return ttl
    if isinstance(ttl, int) and not isinstance(ttl, bool):
        return {"seconds": ttl, "nanos": 0}
    raise InvalidContent("ttl", ttl, "a timedelta, or whole seconds")


def to_optional_expire_time(expire_time: ExpireTimeTypes | None) -> ExpireTime | None:
    """Return a point in time as a dict; a number is seconds since 1970, None stays None."""
    if expire_time is None:
        return None
    if isinstance(expire_time, datetime):
        seconds = int(expire_time.replace(microsecond=0).timestamp())
        return {"seconds": seconds, "nanos": expire_time.microsecond * 1000}
    if isinstance(expire_time, dict):
        return expire_time
    if isinstance(expire_time, int) and not isinstance(expire_time, bool):
        return {"seconds": expire_time, "nanos": 0}
    raise InvalidContent("expire_time", expire_time, "a datetime, or seconds since 1970")
