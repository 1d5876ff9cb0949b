"""JSON as text that UTF-8 can hold, whatever the strings in it are."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from multiturn.errors import InvalidContent

_SURROGATE = re.compile("[\ud800-\udfff]")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Not what reads the servers' JSON: conversations may hold halves of surrogate pairs.
_decode = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant).decode


def dumps(value: Any, indent: int | None = None) -> str:
    """Return JSON text; halves of surrogate pairs are escaped, all else stands as it is.

    Raises:
        InvalidContent: JSON cannot hold it.
    """
    separators = (",", ": ") if indent else (",", ":")
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidContent("$", str(error), "what JSON can hold") from error
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def loads(text: str, place: str = "$") -> Any:
    """Read JSON text.

    Raises:
        InvalidContent: It is not JSON, is nested too deeply, or holds a number that no
            double is.
    """
    try:
        return _decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidContent(place, text, f"JSON ({error})") from None
