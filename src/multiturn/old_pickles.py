"""Contents as the old SDK pickled them: bytes of protocol buffers, read as members; read only.

The numbers are those of Google's published definitions (content.proto of
generativelanguage v1beta, struct.proto); the wire format is that of protocol buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from multiturn.errors import InvalidContent

# Of each message its members by number, with what they hold: a message's name, or a scalar.
_MEMBERS: dict[str, dict[int, tuple[str, str]]] = {
    "Content": {1: ("parts", "Part"), 2: ("role", "text")},
    "Part": {
        2: ("text", "text"),
        3: ("inline_data", "Blob"),
        4: ("function_call", "FunctionCall"),
        5: ("function_response", "FunctionResponse"),
        6: ("file_data", "FileData"),
        9: ("executable_code", "ExecutableCode"),
        10: ("code_execution_result", "CodeExecutionResult"),
    },
    "Blob": {1: ("mime_type", "text"), 2: ("data", "bytes")},
    "FileData": {1: ("mime_type", "text"), 2: ("file_uri", "text")},
    "FunctionCall": {1: ("name", "text"), 2: ("args", "Struct"), 3: ("id", "text")},
    "FunctionResponse": {1: ("name", "text"), 2: ("response", "Struct"), 3: ("id", "text")},
    "ExecutableCode": {1: ("language", "number"), 2: ("code", "text")},
    "CodeExecutionResult": {1: ("outcome", "number"), 2: ("output", "text")},
}
# How a field is written; beside these two, eight bytes (1) and four (5).
_VARINT, _LENGTH = 0, 2
_SIZES = {1: 8, 5: 4}
# As many pieces of seven bits as 64 bits have.
_VARINT_BYTES = 10


def members_of(name: str, state: object) -> dict[str, Any]:
    """Return the members of a pickled message.

    Args:
        name: As ``Content``.
        state: What pickle hands to ``__setstate__``.

    Raises:
        InvalidContent: It is not what google.generativeai pickles for such a message.
    """
    expected = f"what google.generativeai 0.8 pickled of one of {', '.join(_MEMBERS)}"
    if name not in _MEMBERS or not isinstance(state, bytes):
        raise InvalidContent("$", f"a pickled {name}", expected)
    try:
        return _message(name, state)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError, struct.error):
        raise InvalidContent("$", state, expected) from None


def _message(name: str, data: bytes) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for number, value in _pairs(data):
        if number not in _MEMBERS[name]:
            continue
        member, kind = _MEMBERS[name][number]
        if member == "parts":
            members.setdefault(member, []).append(_message(kind, value))
        else:
            members[member] = _value(kind, value)
    return {"parts": [], **members} if name == "Content" else members


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "text":
            return value.decode()
        case "bytes" | "number":
            return value
        case "Struct":
            return _struct(value)
    return _message(kind, value)


def _struct(data: bytes) -> dict[str, Any]:
    """Read a Struct: entries of a name (1) and a Value (2)."""
    entries = [dict(_pairs(entry)) for _, entry in _pairs(data)]
    return {entry.get(1, b"").decode(): _json_of(entry.get(2, b"")) for entry in entries}


def _json_of(data: bytes) -> Any:
    """Read a Value: null (1), a double (2), a string (3), a bool (4), a Struct (5), a list (6)."""
    for number, value in _pairs(data):
        match number:
            case 2:
                return struct.unpack("<d", value)[0]
            case 3:
                return value.decode()
            case 4:
                return bool(value)
            case 5:
                return _struct(value)
            case 6:
                return [_json_of(item) for _, item in _pairs(value)]
    return None


def _pairs(data: bytes) -> Iterator[tuple[int, Any]]:
    """Give the fields of a message by number: integers, or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size, at = _varint(data, at) if key & 7 == _LENGTH else (_SIZES[key & 7], at)
        if at + size > len(data):
            raise ValueError("cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read an integer in pieces of seven bits, the lowest first; return it and where it ends."""
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise ValueError("cut off, or longer than any integer")
