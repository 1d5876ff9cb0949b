"""JSON for a server, compact; and from one: strict about what no history could hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from multiturn.errors import MalformedReply
from multiturn.messages.message import MAX_DEPTH

_EXCERPT_BYTES = 200


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# Raises ValueError for what is not JSON, and for numbers that no double is.
decoder: Any = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant)
_scan = decoder.scan_once
_SPACE = " \t\n\r"


def compact_encoder(*, allow_nan: bool = False) -> Callable[[Any], Iterable[str]]:
    """Return JSONEncoder's own encoder, which it makes anew for every value."""
    encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan)
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without it
        return encoder.iterencode
    escape = json.encoder.encode_basestring
    made = make(None, encoder.default, escape, None, ":", ",", False, False, allow_nan)
    return lambda value: made(value, 0)


_encode = compact_encoder()


def written(value: Any) -> bytes:
    """Write compact JSON in UTF-8.

    Raises:
        TypeError, ValueError, RecursionError: JSON cannot hold the value.
    """
    return "".join(_encode(value)).encode()


def parsed(data: bytes | bytearray) -> Any:
    """Read JSON text.

    Raises:
        MalformedReply: It is not UTF-8, not JSON, nested too deeply, or holds half a
            character or a number that no double is; the message says which.
    """
    try:
        # JSONDecoder.decode does the same, in twice the time for a small text.
        text = str(data, "utf-8").strip(_SPACE)
        value, end = _scan(text, 0)
        if end != len(text):
            raise ValueError(f"more than one value, from character {end}")
        if "\\u" in text and ("\\ud" in text or "\\uD" in text):
            json.dumps(value, ensure_ascii=False).encode()
        # Whatever is opened is closed too, so that short texts cannot be deep.
        if end > 2 * MAX_DEPTH and text.count("{") + text.count("[") > MAX_DEPTH:
            _require_depth(value)
    except StopIteration as stop:
        reason = f"no value at character {stop.value}"
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 at byte {error.start}"
    except UnicodeEncodeError:
        reason = "it holds half of a surrogate pair"
    except RecursionError:
        reason = f"it is nested more than {MAX_DEPTH} levels deep"
    except ValueError as error:
        reason = str(error)
    else:
        return value
    raise MalformedReply(
        f"the server sent what is not JSON ({reason})", bytes(data[:_EXCERPT_BYTES])
    )


def _require_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RecursionError
        level = [
            member
            for container in level
            if isinstance(container, dict | list)
            for member in (container.values() if isinstance(container, dict) else container)
        ]
