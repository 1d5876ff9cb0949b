"""Callables with real annotations: scalars, unions, choices and containers."""

import collections
import datetime as dt
import enum
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Optional, Union
from uuid import UUID

from .cases import Case

NO_ANY = {"gemini": "any type", "openai-strict": "any type"}
NO_MAP = {"gemini": "free names"}
NO_TUPLE = {"gemini": "a type each"}


# -- scalars ----------------------------------------------------------------------------


def text(value: str) -> str:
    return value


def integer(value: int) -> int:
    return value


def number(value: float) -> float:
    return value


def flag(value: bool) -> bool:
    return value


def nothing(value: None) -> None:
    return value


def octets(value: bytes) -> bytes:
    return value


def moment(value: dt.datetime) -> dt.datetime:
    return value


def day(value: dt.date) -> dt.date:
    return value


def hour(value: dt.time) -> dt.time:
    return value


def length(value: dt.timedelta) -> dt.timedelta:
    return value


def identity(value: UUID) -> UUID:
    return value


def price(value: Decimal) -> Decimal:
    return value


def file(value: Path) -> Path:
    return value


def anything(value: Any) -> Any:
    return value


def unannotated(value):  # type: ignore[no-untyped-def]
    return value


# -- unions and choices -----------------------------------------------------------------


class Color(enum.Enum):
    """A colour of the rainbow."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Unit(enum.StrEnum):
    METRE = "m"
    FOOT = "ft"


class Thing(enum.Enum):
    PAIR = (1, 2)
    NOTHING = frozenset({1})


def optional(value: Optional[int] = None) -> int | None:  # noqa: UP045
    return value


def optional_required(value: int | None) -> int | None:
    return value


def union(value: Union[int, str]) -> int | str:  # noqa: UP007
    return value


def date_or_text(value: str | dt.date) -> str | dt.date:
    return value


def list_or_one(value: str | list[str]) -> str | list[str]:
    return value


def literal_texts(unit: Literal["C", "F"] = "C") -> str:
    return unit


def literal_numbers(size: Literal[1, 2, 3]) -> int:
    return size


def literal_mixed(value: Literal["auto", 1, True, None]) -> object:
    return value


def color(value: Color) -> Color:
    return value


def level(value: Level = Level.LOW) -> Level:
    return value


def unit(value: Unit) -> Unit:
    return value


def thing(value: Thing) -> Thing:
    return value


def color_literal(value: Literal[Color.RED]) -> Color:
    return value


# -- containers -------------------------------------------------------------------------


def numbers(values: list[int]) -> list[int]:
    return values


def bare_list(values: list) -> list:  # type: ignore[type-arg]
    return values


def unique(values: set[str]) -> set[str]:
    return values


def frozen(values: frozenset[int]) -> frozenset[int]:
    return values


def fixed(value: tuple[str, int]) -> tuple[str, int]:
    return value


def point(value: tuple[float, float]) -> tuple[float, float]:
    return value


def variadic(value: tuple[int, ...]) -> tuple[int, ...]:
    return value


def empty_tuple(value: tuple[()]) -> tuple[()]:
    return value


def mapping(value: dict[str, int]) -> dict[str, int]:
    return value


def bare_dict(value: dict) -> dict:  # type: ignore[type-arg]
    return value


def keyed_by_number(value: dict[int, str]) -> dict[int, str]:
    return value


def keyed_by_choice(value: dict[Literal["x", "y"], float]) -> dict[str, float]:
    return value


def abstract(a: Sequence[int], b: Mapping[str, float], c: Iterable[str]) -> tuple[Any, ...]:
    return a, b, c


def queue(value: collections.deque[int]) -> collections.deque[int]:
    return value


def nested(value: dict[str, list[tuple[int, str]]]) -> dict[str, list[tuple[int, str]]]:
    return value


def matrix(value: list[list[float]]) -> list[list[float]]:
    return value


CASES = [
    Case("str", text, {"value": "a"}, "a"),
    Case("int from a double", integer, {"value": 3.0}, 3),
    Case("float from an integer", number, {"value": 3}, 3.0),
    Case("bool", flag, {"value": True}, True),
    Case("None", nothing, {"value": None}, None),
    Case("bytes", octets, {"value": "aGk="}, b"hi"),
    Case("datetime", moment, {"value": "2031-05-17T09:30:00Z"},
         dt.datetime(2031, 5, 17, 9, 30, tzinfo=dt.UTC)),
    Case("date", day, {"value": "2031-05-17"}, dt.date(2031, 5, 17)),
    Case("time", hour, {"value": "09:30:00Z"}, dt.time(9, 30, tzinfo=dt.UTC)),
    Case("timedelta", length, {"value": "PT1H30M"}, dt.timedelta(minutes=90)),
    Case("UUID", identity, {"value": "12345678-1234-5678-1234-567812345678"},
         UUID("12345678-1234-5678-1234-567812345678")),
    Case("Decimal", price, {"value": "12.50"}, Decimal("12.50")),
    Case("Path", file, {"value": "/tmp/x"}, Path("/tmp/x")),
    Case("Any", anything, {"value": {"a": [1]}}, {"a": [1]}, refused_by=NO_ANY),
    Case("no annotation", unannotated, {"value": 1.5}, 1.5, refused_by=NO_ANY),
    Case("Optional, not given", optional, {}, None),
    Case("Optional, null", optional_required, {"value": None}, None),
    Case("Union", union, {"value": "3"}, "3"),
    Case("str | date", date_or_text, {"value": "2031-05-17"}, dt.date(2031, 5, 17)),
    Case("str | list", list_or_one, {"value": ["a"]}, ["a"]),
    Case("Literal of texts", literal_texts, {"unit": "F"}, "F"),
    Case("Literal of numbers", literal_numbers, {"size": 2.0}, 2,
         refused_by={"gemini": "a choice of integers"}),
    Case("Literal of all kinds", literal_mixed, {"value": True}, True,
         refused_by={"gemini": "a choice of booleans"}),
    Case("Enum", color, {"value": "red"}, Color.RED),
    Case("IntEnum", level, {"value": "HIGH"}, Level.HIGH),
    Case("StrEnum", unit, {"value": "ft"}, Unit.FOOT),
    Case("Enum of objects", thing, {"value": "PAIR"}, Thing.PAIR),
    Case("Literal of a member", color_literal, {"value": "red"}, Color.RED),
    Case("list", numbers, {"values": [1.0, 2]}, [1, 2]),
    Case("list of anything", bare_list, {"values": [1, "a"]}, [1, "a"], refused_by=NO_ANY),
    Case("set", unique, {"values": ["a", "b"]}, {"a", "b"}),
    Case("frozenset", frozen, {"values": [1, 2]}, frozenset({1, 2})),
    Case("tuple of two types", fixed, {"value": ["a", 1.0]}, ("a", 1), refused_by=NO_TUPLE),
    Case("tuple of one type", point, {"value": [1, 2.5]}, (1.0, 2.5)),
    Case("tuple of any length", variadic, {"value": [1, 2, 3]}, (1, 2, 3)),
    Case("empty tuple", empty_tuple, {"value": []}, (), refused_by=NO_ANY),
    Case("dict", mapping, {"value": {"a": 1.0}}, {"a": 1}, refused_by=NO_MAP),
    Case("dict of anything", bare_dict, {"value": {"a": None}}, {"a": None},
         refused_by={"gemini": "free names", "openai-strict": "any type"}),
    Case("dict by number", keyed_by_number, {"value": {"1": "a"}}, {1: "a"}, refused_by=NO_MAP),
    Case("dict by choice", keyed_by_choice, {"value": {"x": 1, "y": 2.5}}, {"x": 1.0, "y": 2.5}),
    Case("abstract containers", abstract, {"a": [1], "b": {"k": 2}, "c": ["x"]},
         ([1], {"k": 2.0}, ["x"]), refused_by=NO_MAP),
    Case("deque", queue, {"value": [1, 2]}, collections.deque([1, 2])),
    Case("nested containers", nested, {"value": {"k": [[1, "a"]]}}, {"k": [(1, "a")]},
         refused_by=NO_MAP),
    Case("matrix", matrix, {"value": [[1, 2], [3]]}, [[1.0, 2.0], [3.0]]),
]  # fmt: skip
