"""What a call gave, as plain data that two SDKs can be compared by."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
from collections.abc import Iterable, Mapping
from typing import Any


def rounded(value: float) -> float:
    """Return a number as 32 bits hold it."""
    return float(f"{value:.6g}")


def plain(value: Any) -> Any:
    """Return what a call gave as JSON."""
    if isinstance(value, enum.IntEnum):
        return int(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return rounded(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime | datetime.timedelta):
        return str(value)
    if hasattr(type(value), "to_dict") and hasattr(type(value), "pb"):
        members = type(value).to_dict(value, including_default_value_fields=False)
        return {type(value).__name__: plain(members)}
    if hasattr(value, "to_proto"):
        return {type(value).__name__: plain(value.to_proto())}
    if dataclasses.is_dataclass(value):
        members = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {type(value).__name__: plain({k: v for k, v in members.items() if v is not None})}
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return repr(type(value))


def raised(error: BaseException) -> dict[str, Any]:
    """Return an error by its classes, the nearest first."""
    return {"!": [cls.__name__ for cls in type(error).__mro__], "text": str(error)[:200]}
