"""Shapes that JSON writes as one number, text, true, false or null."""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from multiturn.messages.message import Object, copy_json
from multiturn.schema.shape import Definitions, Mismatch, Shape


class AnyShape(Shape):
    """Whatever JSON can hold; handed over as a copy, since the original is history."""

    expected = "any value"
    rank = 9

    def schema(self, definitions: Definitions) -> Object:
        return {}

    def read(self, value: Any) -> Any:
        return copy_json(value)

    def names(self) -> Object:
        return {}

    def takes_null(self) -> bool:
        return True


class NullShape(Shape):
    expected, json_types = "null", (type(None),)

    def schema(self, definitions: Definitions) -> Object:
        return {"type": "null"}

    def read(self, value: Any) -> None:
        if value is not None:
            raise Mismatch(value, self.expected)

    def takes_null(self) -> bool:
        return True


class BooleanShape(Shape):
    expected, json_types, read_as_is = "true or false", (bool,), bool

    def schema(self, definitions: Definitions) -> Object:
        return {"type": "boolean"}

    def read(self, value: Any) -> bool:
        if value is True or value is False:
            return value
        raise Mismatch(value, self.expected)

    def names(self) -> Object:
        return {"enum": ["true", "false"]}

    def read_key(self, text: str) -> bool:
        return self.read({"true": True, "false": False}.get(text.lower(), text))


class IntegerShape(Shape):
    """An integer; 3.0 is one, since some providers send every number as a double."""

    expected, json_types, read_as_is = "an integer", (int,), int
    kind = "number"

    def schema(self, definitions: Definitions) -> Object:
        return {"type": "integer"}

    def read(self, value: Any) -> int:
        if type(value) is int:
            return value
        if type(value) is float and value.is_integer():
            return int(value)
        raise Mismatch(value, self.expected)

    def names(self) -> Object:
        return {"pattern": "^-?[0-9]+$"}

    def read_key(self, text: str) -> int:
        try:
            return int(text)
        except ValueError:
            raise Mismatch(text, self.expected) from None


class NumberShape(Shape):
    expected, json_types = "a finite number", (float,)
    kind = "number"

    def schema(self, definitions: Definitions) -> Object:
        return {"type": "number"}

    def read(self, value: Any) -> float:
        if type(value) is float and math.isfinite(value):
            return value
        if type(value) is int:
            try:
                return float(value)
            except OverflowError:
                pass
        raise Mismatch(value, self.expected)

    def names(self) -> Object:
        return {"pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$"}

    def read_key(self, text: str) -> float:
        try:
            return self.read(float(text))
        except ValueError:
            raise Mismatch(text, self.expected) from None


class StringShape(Shape):
    expected, json_types, read_as_is = "a string", (str,), str
    rank = 3
    kind = "string"

    def schema(self, definitions: Definitions) -> Object:
        return {"type": "string"}

    def read(self, value: Any) -> str:
        if type(value) is str:
            return value
        raise Mismatch(value, self.expected)

    def names(self) -> Object:
        return {}


class TextShape(Shape):
    """A Python type that travels as text of one format.

    Args:
        keywords: What is said of the text in JSON Schema.
        parse: Makes the value; its ValueError and TypeError mean a mismatch.
        expected: What the text must be, in words.
        rank: As in ``Shape``; after plain strings where any text would do.
        numbers: Whether a number says it as well.
    """

    json_types = (str,)

    def __init__(
        self,
        keywords: Object,
        parse: Callable[[Any], Any],
        expected: str,
        rank: int = 1,
        numbers: bool = False,
    ) -> None:
        self._keywords, self._parse = keywords, parse
        self._types: tuple[type, ...] = (str, int, float) if numbers else (str,)
        self.expected, self.rank = expected, rank

    def schema(self, definitions: Definitions) -> Object:
        return {"type": "string", **self._keywords}

    def read(self, value: Any) -> Any:
        if type(value) not in self._types:
            raise Mismatch(value, self.expected)
        try:
            return self._parse(value)
        except (ValueError, OverflowError):
            raise Mismatch(value, self.expected) from None

    def names(self) -> Object:
        return dict(self._keywords)


def _bytes(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(error) from None


def _decimal(value: str | int | float) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ValueError(error) from None
    if not number.is_finite():
        raise ValueError(value)
    return number


# ISO 8601 durations with fixed units; years and months have no fixed length.
_DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<weeks>\d+(?:\.\d+)?)W)?(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?"
    r"(?:(?P<seconds>\d+)(?:\.(?P<fraction>\d{1,6})\d*)?S)?)?"
)


def _duration(value: str | int | float) -> timedelta:
    if isinstance(value, int | float):
        return timedelta(seconds=value)
    found = _DURATION.fullmatch(value)
    if found is None or not value[-1].isalpha() or value[-1] in "PT":
        raise ValueError(value)
    length = timedelta(
        weeks=float(found["weeks"] or 0),
        days=float(found["days"] or 0),
        hours=float(found["hours"] or 0),
        minutes=float(found["minutes"] or 0),
        seconds=int(found["seconds"] or 0),
        microseconds=int((found["fraction"] or "0").ljust(6, "0")),
    )
    return -length if found["sign"] == "-" else length


def duration_text(length: timedelta) -> str:
    """Return the ISO 8601 text of a length of time, exact to the microsecond."""
    sign, length = ("-", -length) if length < timedelta(0) else ("", length)
    text = f"{sign}P{length.days}D" if length.days else f"{sign}P"
    if length.seconds or length.microseconds or not length.days:
        fraction = f".{length.microseconds:06d}".rstrip("0") if length.microseconds else ""
        text += f"T{length.seconds}{fraction}S"
    return text


ANY = AnyShape()
NULL = NullShape()
_PATH = TextShape({"format": "path"}, Path, "a path of the file system", rank=4)

SCALARS: dict[Any, Shape] = {
    Any: ANY,
    object: ANY,
    None: NULL,
    type(None): NULL,
    bool: BooleanShape(),
    int: IntegerShape(),
    float: NumberShape(),
    str: StringShape(),
    bytes: TextShape({"contentEncoding": "base64"}, _bytes, "base64 text", rank=4),
    bytearray: TextShape(
        {"contentEncoding": "base64"}, lambda text: bytearray(_bytes(text)), "base64 text", rank=4
    ),
    datetime: TextShape(
        {"format": "date-time"}, datetime.fromisoformat, "a date and time, as 2031-05-17T09:30:00Z"
    ),
    date: TextShape({"format": "date"}, date.fromisoformat, "a date, as 2031-05-17"),
    time: TextShape({"format": "time"}, time.fromisoformat, "a time of day, as 09:30:00"),
    timedelta: TextShape(
        {"format": "duration"}, _duration, "an ISO 8601 duration, as PT1H30M", numbers=True
    ),
    UUID: TextShape({"format": "uuid"}, UUID, "a UUID"),
    Decimal: TextShape(
        {"format": "decimal"}, _decimal, "a decimal number, as 12.50", rank=4, numbers=True
    ),
    Path: _PATH,
    os.PathLike: _PATH,
    PurePath: TextShape({"format": "path"}, PurePath, "a path of the file system", rank=4),
}
