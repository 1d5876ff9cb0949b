"""Plain JSON out of what a person writes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from multiturn.enums import OpenEnum
from multiturn.errors import InvalidContent
from multiturn.message import Message, copy_json

# Deeper nesting is refused: json's C parser and encoder recurse, and so do servers'.
MAX_DEPTH = 200


def plain_json(value: Any, path: str, depth: int = 0) -> Any:
    """Return a value as JSON, made anew, or raise InvalidContent with the path.

    Accepts what JSON has, tuples, sets and other iterables as lists, enumerations by
    name, messages as their object.
    """
    if depth > MAX_DEPTH:
        raise InvalidContent(path, value, f"nesting of at most {MAX_DEPTH} levels, without cycles")
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidContent(path, value, "a finite number; JSON has no NaN or infinity")
        return value
    if isinstance(value, Message):
        return copy_json(value._json)
    if isinstance(value, OpenEnum):
        return value.wire
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {str(k): plain_json(v, f"{path}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [plain_json(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
    raise InvalidContent(path, value, "a value that JSON can hold")
