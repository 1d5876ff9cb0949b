"""How a turn is written down: JSON as UTF-8, with large bytes beside it.

Every ``str`` of Python survives, halves of surrogate pairs included (they are written as
UTF-8 would write them if it did), and so does every JSON value.  Inline bytes stand in
the JSON of a content as base64; long ones are taken out and kept once, by their SHA-256.
A turn's identity is the SHA-256 of its parent's and its record, so that a stored turn can
be verified, and with it everything before it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from multiturn.backends.wire_json import compact_encoder
from multiturn.errors import InvalidContent
from multiturn.messages.message import Object
from multiturn.stores.errors import StoreCorrupt

# Shorter ones cost less within the record than as a row of their own.
_BLOB_CHARACTERS = 1024
_INLINE = "inlineData"
_SEAL = b"multiturn turn 1\n"
_MARK = f'"{_INLINE}":'.encode()
_encode = compact_encoder(allow_nan=True)
_decode = json.JSONDecoder().decode

# Gives the bytes of blobs by their hashes.
Fetch = Callable[[Iterable[str]], Mapping[str, bytes]]


class Record(NamedTuple):
    """What is stored of an object.

    Attributes:
        body: The JSON.
        blobs: The bytes that were taken out of it, by their SHA-256 in hexadecimal.
    """

    body: bytes
    blobs: dict[str, bytes]


def recorded(members: Object) -> Record:
    """Write members down; ``blobs`` is a name of the record's own.

    Raises:
        InvalidContent: A value cannot be written as JSON.
    """
    blobs: dict[str, bytes] = {}
    body = _written(members)
    if len(body) > _BLOB_CHARACTERS and _MARK in body:  # seldom, and seen here at once
        places: list[list[Any]] = []
        lean = _without_blobs(members, [], places, blobs)
        if places:
            body = _written({**lean, "blobs": places})
    return Record(body, blobs)


def _written(members: Object) -> bytes:
    try:
        return "".join(_encode(members)).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidContent("$.content", str(error), "what JSON can hold") from error


def _without_blobs(
    value: Any, path: list[str | int], places: list[list[Any]], blobs: dict[str, bytes]
) -> Any:
    """Return a value without its long inline bytes; the value itself if it has none."""
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)  # type: ignore[assignment]
    else:
        return value
    changed = {}
    for key, member in members:
        if key == _INLINE and (data := _long_bytes(member)) is not None:
            name = hashlib.sha256(data).hexdigest()
            blobs[name] = data
            places.append([*path, key, "data", name])
            changed[key] = {**member, "data": None}
        elif isinstance(member, dict | list):
            lean = _without_blobs(member, [*path, key], places, blobs)
            if lean is not member:
                changed[key] = lean
    if not changed:
        return value
    if isinstance(value, dict):
        return {**value, **changed}
    return [changed.get(index, member) for index, member in enumerate(value)]


def _long_bytes(member: Any) -> bytes | None:
    """Return the bytes of inline data, None if they are short or not plain base64."""
    text = member.get("data") if isinstance(member, dict) else None
    if not isinstance(text, str) or len(text) < _BLOB_CHARACTERS:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def read(body: bytes, fetch: Fetch) -> Object:
    """Read what ``recorded`` wrote.

    Raises:
        StoreCorrupt: It is not a record, or a blob is missing.
    """
    return read_all([body], fetch)[0]


def read_all(bodies: Iterable[bytes], fetch: Fetch) -> list[Object]:
    """Read many records, with one ``fetch`` for the bytes of all of them.

    Raises:
        StoreCorrupt: One is not a record, or a blob is missing.
    """
    records = [decoded(body) for body in bodies]
    places = [members.pop("blobs", None) for members in records]
    try:
        names = {place[-1] for found in places for place in found or ()}
        blobs = fetch(names) if names else {}
        for members, found in zip(records, places, strict=True):
            _put_back(members, found or (), blobs)
    except (KeyError, IndexError, TypeError) as error:
        raise StoreCorrupt(f"a record lacks its bytes {error}") from error
    return records


def decoded(body: bytes) -> Object:
    """Return a record's JSON; bytes that were taken out of it are null, and named in "blobs".

    Raises:
        StoreCorrupt: It is not a record.
    """
    try:
        members = _decode(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise StoreCorrupt(f"a record cannot be read ({error})") from error
    if not isinstance(members, dict):
        raise StoreCorrupt(f"a record cannot be read (it is {type(members).__name__}, no object)")
    return members


def contents_in(members: Object) -> list[Object]:
    """Return the contents of a record, those that are objects."""
    contents = members.get("contents")
    return [c for c in contents if isinstance(c, dict)] if isinstance(contents, list) else []


def _put_back(members: Object, places: Iterable[list[Any]], found: Mapping[str, bytes]) -> None:
    for *path, last, name in places:
        target: Any = members
        for step in path:
            target = target[step]
        target[last] = base64.b64encode(found[name]).decode()


def turn_id(parent: str | None, body: bytes) -> str:
    """Return the identity of a turn: 64 hexadecimal digits."""
    before = bytes.fromhex(parent) if parent else b""
    return hashlib.sha256(b"".join((_SEAL, bytes([len(before)]), before, body))).hexdigest()
