"""JSON for a server, compact; and from one: strict about what no history could hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from jiter import LosslessFloat, from_json

from multiturn.errors import MalformedReply
from multiturn.messages.message import MAX_DEPTH

_EXCERPT_BYTES = 200
# Digits and plus signs as 0, the letter of an exponent as e, all else as a dot.
_SHAPES = bytes(
    ord("0") if byte in b"0123456789+" else ord("e") if byte in b"eE" else ord(".")
    for byte in range(256)
)
# What a number beyond all doubles has one of: three digits of exponent (or a sign and two),
# or, with a smaller one, hundreds before it.
_EXPONENT, _DIGITS = b"0e000", b"0" * 32


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


def parsed(data: bytes) -> Any:
    """Read JSON text.

    Only the names of members are kept for the next text that has them: jiter would keep
    short strings too, and with them pieces of what was said.

    Raises:
        MalformedReply: It is not UTF-8, not JSON, nested too deeply, or holds half a
            character or a number that no double is; the message says which.
    """
    try:
        value = from_json(data, allow_inf_nan=False, cache_mode="keys")
        shape = data.translate(_SHAPES)
        # Twice as fast as ``in``, which first takes what it looks for to be a number.
        if shape.find(_EXPONENT) >= 0 or shape.find(_DIGITS) >= 0:
            _require_doubles(data)
    except ValueError as error:
        reason = _reason(data, str(error))
    else:
        return value
    raise MalformedReply(f"the server sent what is not JSON ({reason})", data[:_EXCERPT_BYTES])


def _require_doubles(data: bytes) -> None:
    """Raise if a number is beyond all doubles, of which jiter makes an infinity."""
    value = from_json(data, float_mode="lossless-float", cache_mode="keys")
    for number in _floats(value):
        if math.isinf(number):
            raise ValueError(f"the number {bytes(number)[:20].decode()} is too large")


def _floats(value: Any) -> Iterator[LosslessFloat]:
    found = [value]
    for member in found:  # grows meanwhile
        if isinstance(member, dict):
            found += member.values()
        elif isinstance(member, list):
            found += member
        elif isinstance(member, LosslessFloat):
            yield member


def _reason(data: bytes, said: str) -> str:
    """Return what is wrong with a text, of which jiter says something."""
    try:
        str(data, "utf-8")
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 at byte {error.start}"
    if "recursion limit" in said:
        return f"it is nested more than {MAX_DEPTH} levels deep"
    if "hex escape" in said:
        return f"it holds half of a surrogate pair: {said}"
    return said
