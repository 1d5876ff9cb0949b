"""Any Python value as JSON, for what a function returns; the reverse of a shape's reading."""

from __future__ import annotations

import base64
import dataclasses
import enum
import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from multiturn.errors import InvalidResult
from multiturn.messages.enums import OpenEnum
from multiturn.messages.message import MAX_DEPTH, Message
from multiturn.schema.choices import enum_json
from multiturn.schema.scalars import duration_text
from multiturn.schema.shape import Mismatch

# A few times the context of the largest models; more cannot be told to any of them.
SIZE_LIMIT = 5_000_000
# Python refuses to write longer integers as decimal digits (sys.int_info).
_LARGEST_INTEGER_BITS = 14_000
_PATH_CHARACTERS = 100

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
        size_limit: Size of the JSON text at most, in bytes of UTF-8, approximately.

    Raises:
        InvalidResult: JSON cannot hold the value, or it is too large or endless.
    """
    try:
        return _WRITERS.get(type(value), _other)(_Writer(size_limit), value)
    except Mismatch as mismatch:
        path = mismatch.path
        shown_path = path if len(path) <= _PATH_CHARACTERS else f"{path[:_PATH_CHARACTERS]}…"
        raise InvalidResult(shown_path, mismatch.value, mismatch.expected) from None


class _Writer:
    """Writes one value, with what is left of the size."""

    __slots__ = ("_left", "_open", "_size_limit")

    def __init__(self, size_limit: int) -> None:
        self._size_limit = self._left = size_limit
        self._open: dict[int, None] = {}

    def write(self, value: Any) -> Any:
        return _WRITERS.get(type(value), _other)(self, value)

    def _other(self, value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, enum.Enum):
            return self._text(str(value))
        if isinstance(value, enum.Enum):
            return value.wire if isinstance(value, OpenEnum) else self._text(_member(value))
        if isinstance(value, int):
            return self._integer(int(value))
        if isinstance(value, float):
            self._spend(20)
            if not math.isfinite(value):
                raise Mismatch(value, "a finite number; JSON has no NaN or infinity")
            return float(value)
        for types, text in _AS_TEXT:
            if isinstance(value, types):
                return self._text(text(value))
        return self._container(value)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self._too_large()

    def _too_large(self) -> Mismatch:
        return Mismatch(_TooLarge(), f"a result of at most {self._size_limit} bytes; return less")

    def _text(self, text: str) -> str:
        self._left -= len(text) + 2
        if self._left < 0:
            raise self._too_large()
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            self._spend(len(text.encode()) - len(text))
        return text

    def _word(self, value: bool | None) -> bool | None:
        self._spend(5)
        return value

    def _integer(self, value: int) -> int:
        bits = value.bit_length()
        if bits > _LARGEST_INTEGER_BITS:
            raise Mismatch(_TooLarge(), f"an integer of at most {_LARGEST_INTEGER_BITS} bits")
        self._left -= bits // 3 + 2
        if self._left < 0:
            raise self._too_large()
        return value

    def _container(self, value: Any) -> Any:
        identity = id(value)
        if identity in self._open:
            raise Mismatch(value, "a value that does not contain itself")
        if len(self._open) >= MAX_DEPTH:
            raise Mismatch(value, f"nesting of at most {MAX_DEPTH} levels")
        self._open[identity] = None
        self._left -= 2
        if self._left < 0:
            raise self._too_large()
        kind = type(value)
        written = self._object(value.items()) if kind is dict else self._members(value, kind)
        del self._open[identity]
        return written

    def _members(self, value: Any, kind: type) -> Any:
        if kind is list or kind is tuple:
            return self._list(value)
        if isinstance(value, Mapping):
            return self._object(value.items())
        if isinstance(value, type):
            raise Mismatch(value, _ANYTHING)
        names = _member_names(kind)
        if names is not None:
            return self._object([(name, getattr(value, own)) for own, name in names])
        if isinstance(value, Message):
            return self._object(value.json_object.items())
        if isinstance(value, set | frozenset):
            return self._list(_in_order(value))
        if hasattr(value, "model_dump"):  # pydantic
            return self.write(value.model_dump(mode="json", by_alias=True))
        if hasattr(value, "tolist"):  # numpy's arrays and scalars
            return self.write(value.tolist())
        if isinstance(value, Iterable):
            return self._list(value)
        raise Mismatch(value, _ANYTHING)

    def _object(self, members: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, member in members:
            name = key if type(key) is str else self._key(key)
            if name in out:
                raise Mismatch(key, f"one key only that is written {name!r}")
            # Whether it was too much is seen at the member.
            self._left -= (len(name) if name.isascii() else _bytes_of(name)) + 4
            write = _WRITERS.get(type(member), _other)
            try:
                out[name] = write(self, member)
            except Mismatch as mismatch:
                raise mismatch.inside(name) from None
        return out

    def _key(self, key: Any) -> str:
        written = self.write(key)
        if written is None or isinstance(written, bool):
            return {None: "null", True: "true", False: "false"}[written]
        if isinstance(written, str | int | float):
            return str(written)
        raise Mismatch(key, "a key that is a string or a number")

    def _list(self, items: Iterable[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            self._left -= 1
            if self._left < 0:
                raise self._too_large()
            try:
                out.append(_WRITERS.get(type(item), _other)(self, item))
            except Mismatch as mismatch:
                raise mismatch.inside(len(out)) from None
        return out


# How the values that nearly all results consist of are written, by their exact type.
_WRITERS: dict[type, Callable[[_Writer, Any], Any]] = {
    str: _Writer._text,
    int: _Writer._integer,
    bool: _Writer._word,
    type(None): _Writer._word,
    dict: _Writer._container,
    list: _Writer._container,
}
_other = _Writer._other
_ANYTHING = "a value that JSON can hold, as a dict, a list, a dataclass or text"


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class _TooLarge:
    """Stands for a value that is not worth showing."""

    def __repr__(self) -> str:
        return "too large"


def _member(member: enum.Enum) -> str:
    if isinstance(member, enum.Flag):
        return member.name or str(member.value)
    return enum_json(member)


_names_of: weakref.WeakKeyDictionary[type, list[tuple[str, str]] | None]
_names_of = weakref.WeakKeyDictionary()


def _member_names(cls: Any) -> list[tuple[str, str]] | None:
    """Return the attributes of a class's objects and their names in JSON, None if not known."""
    if cls not in _names_of:
        _names_of[cls] = _find_member_names(cls)
    return _names_of[cls]


def _find_member_names(cls: Any) -> list[tuple[str, str]] | None:
    if dataclasses.is_dataclass(cls):
        return [(field.name, field.name) for field in dataclasses.fields(cls)]
    names = getattr(cls, "_fields", None)
    if issubclass(cls, tuple) and names is not None:
        return [(name, name) for name in names]
    attributes = getattr(cls, "__attrs_attrs__", None)
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
