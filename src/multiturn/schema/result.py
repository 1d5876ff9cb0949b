"""Any Python value as JSON, for what a function returns; the reverse of a shape's reading."""

from __future__ import annotations

import base64
import dataclasses
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from multiturn.enums import OpenEnum
from multiturn.errors import InvalidResult
from multiturn.message import Message
from multiturn.plain import MAX_DEPTH
from multiturn.schema.choices import enum_json
from multiturn.schema.scalars import duration_text

# A few times the context of the largest models; more cannot be told to any of them.
SIZE_LIMIT = 5_000_000
# Python refuses to write longer integers as decimal digits (sys.int_info).
_LARGEST_INTEGER_BITS = 14_000

_AS_TEXT: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    ((datetime, date, time), lambda value: str(value.isoformat())),
    (timedelta, duration_text),
    ((UUID, Decimal, PurePath), str),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode("ascii")),
)


def to_json(value: Any, *, size_limit: int = SIZE_LIMIT) -> Any:
    """Return a value as JSON, made anew.

    Members of enumerations become what a schema shows of them; dataclasses, named
    tuples, attrs and pydantic objects become objects; sets, iterators and arrays become
    lists; bytes become base64; dates, UUIDs, decimals and paths become text.  Text that
    is not valid Unicode has U+FFFD where it is not.

    Args:
        value: What to convert; an iterator is read to its end.
        size_limit: Length of the JSON text at most, in characters, approximately.

    Raises:
        InvalidResult: JSON cannot hold the value, or it is too large or endless.
    """
    return _Writer(size_limit).write(value, "$")


class _Writer:
    """Writes one value, with what is left of the size."""

    def __init__(self, size_limit: int) -> None:
        self._size_limit = self._left = size_limit
        self._open: set[int] = set()

    def write(self, value: Any, path: str) -> Any:
        if value is None or value is True or value is False:
            self._spend(5, path)
            return value
        if isinstance(value, enum.Enum):
            return value.wire if isinstance(value, OpenEnum) else self._text(_member(value), path)
        if isinstance(value, str):
            return self._text(str(value), path)
        if isinstance(value, int):
            return self._integer(int(value), path)
        if isinstance(value, float):
            self._spend(20, path)
            if not math.isfinite(value):
                raise InvalidResult(path, value, "a finite number; JSON has no NaN or infinity")
            return float(value)
        for types, text in _AS_TEXT:
            if isinstance(value, types):
                return self._text(text(value), path)
        return self._container(value, path)

    def _spend(self, size: int, path: str) -> None:
        self._left -= size
        if self._left < 0:
            raise InvalidResult(
                path, _TooLarge(), f"a result of at most {self._size_limit} characters; return less"
            )

    def _text(self, text: str, path: str) -> str:
        self._spend(len(text) + 2, path)
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text

    def _integer(self, value: int, path: str) -> int:
        bits = value.bit_length()
        if bits > _LARGEST_INTEGER_BITS:
            raise InvalidResult(
                path, _TooLarge(), f"an integer of at most {_LARGEST_INTEGER_BITS} bits"
            )
        self._spend(bits // 3 + 2, path)
        return value

    def _container(self, value: Any, path: str) -> Any:
        if id(value) in self._open:
            raise InvalidResult(path, value, "a value that does not contain itself")
        if len(self._open) >= MAX_DEPTH:
            raise InvalidResult(f"{path[:40]}…", value, f"nesting of at most {MAX_DEPTH} levels")
        self._open.add(id(value))
        try:
            self._spend(2, path)
            return self._members(value, path)
        finally:
            self._open.discard(id(value))

    def _members(self, value: Any, path: str) -> Any:
        if isinstance(value, Message):
            return self._object(value.json_object.items(), path)
        if isinstance(value, Mapping):
            return self._object(value.items(), path)
        dump = getattr(value, "model_dump", None)
        if dump is not None and not isinstance(value, type):
            return self.write(dump(mode="json", by_alias=True), path)
        names = _member_names(value)
        if names is not None:
            return self._object(((name, getattr(value, own)) for own, name in names), path)
        if isinstance(value, set | frozenset):
            return self._list(_in_order(value), path)
        to_list = getattr(value, "tolist", None)  # numpy's arrays and scalars
        if to_list is not None and not isinstance(value, type):
            return self.write(to_list(), path)
        if isinstance(value, Iterable) and not isinstance(value, type):
            return self._list(value, path)
        raise InvalidResult(
            path, value, "a value that JSON can hold, as a dict, a list, a dataclass or text"
        )

    def _object(self, members: Iterable[tuple[Any, Any]], path: str) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, member in members:
            name = key if type(key) is str else self._key(key, path)
            if name in out:
                raise InvalidResult(path, key, f"one key only that is written {name!r}")
            self._spend(len(name) + 4, path)
            out[name] = self.write(member, f"{path}.{name}")
        return out

    def _key(self, key: Any, path: str) -> str:
        written = self.write(key, path)
        if written is None or isinstance(written, bool):
            return {None: "null", True: "true", False: "false"}[written]
        if isinstance(written, str | int | float):
            return str(written)
        raise InvalidResult(path, key, "a key that is a string or a number")

    def _list(self, items: Iterable[Any], path: str) -> list[Any]:
        out: list[Any] = []
        for item in items:
            self._spend(1, path)
            out.append(self.write(item, f"{path}[{len(out)}]"))
        return out


class _TooLarge:
    """Stands for a value that is not worth showing."""

    def __repr__(self) -> str:
        return "too large"


def _member(member: enum.Enum) -> str:
    if isinstance(member, enum.Flag):
        return member.name or str(member.value)
    return enum_json(member)


def _member_names(value: Any) -> list[tuple[str, str]] | None:
    """Return the attributes of an object and their names in JSON, None if it has no such."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return [(field.name, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(name, name) for name in value._fields]
    attributes = getattr(type(value), "__attrs_attrs__", None)
    if attributes is not None:
        return [(a.name, getattr(a, "alias", None) or a.name) for a in attributes]
    return None


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Return the items of a set in an order that does not depend on their hashes."""
    items = list(values)
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=repr)
