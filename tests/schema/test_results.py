"""Results of functions: any Python value as JSON, or a refusal that says where and why."""

from __future__ import annotations

import collections
import enum
import itertools
import json
import pickle
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from multiturn.errors import InvalidResult, UsageError
from multiturn.messages import settings
from multiturn.messages.content import Part
from multiturn.schema import to_json

from .battery_records import Address, Crate, Guest, Position
from .battery_strings import Node
from .battery_values import Color, Level, Thing, Unit


class Names:
    """Like an array of numpy: gives its items as a list."""

    def tolist(self) -> list[int]:
        return [1, 2]


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Loud(str):
    __slots__ = ()


@dataclass
class Total:
    items: list[int]
    total: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.total = sum(self.items)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (Loud("a"), "a"),
        ({"a": [1, 2.5]}, {"a": [1, 2.5]}),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a"}, ["a", 1]),
        (range(3), [0, 1, 2]),
        ((n * n for n in range(3)), [0, 1, 4]),
        (collections.deque([1]), [1]),
        ({"a": 1}.keys(), ["a"]),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        ({1: "a"}.items(), [[1, "a"]]),
        ({2: 0, 1.5: 1, False: 2, Color.RED: 3}, {"2": 0, "1.5": 1, "false": 2, "red": 3}),
        ({None: 1}, {"null": 1}),
        ({date(2031, 5, 17): 1, UUID(int=1): 2}, {"2031-05-17": 1, str(UUID(int=1)): 2}),
        (Color.RED, "red"),
        (Level.HIGH, "HIGH"),
        (Unit.FOOT, "ft"),
        (Thing.PAIR, "PAIR"),
        (Rights.READ | Rights.WRITE, "READ|WRITE"),
        (settings.Type.STRING, "STRING"),
        (b"hi", "aGk="),
        (bytearray(b"hi"), "aGk="),
        (datetime(2031, 5, 17, 9, 30, tzinfo=UTC), "2031-05-17T09:30:00+00:00"),
        (time(9, 30), "09:30:00"),
        (timedelta(days=1, seconds=90, microseconds=500), "P1DT90.0005S"),
        (-timedelta(seconds=1), "-PT1S"),
        (timedelta(), "PT0S"),
        (Decimal("1.50"), "1.50"),
        (Path("/tmp"), "/tmp"),
        (Address("x"), {"street": "x", "city": "Oslo"}),
        (Total([1, 2]), {"items": [1, 2], "total": 3}),
        (Position(1.0), {"x": 1.0, "y": 0.0}),
        (Crate(1.0, "x"), {"weight": 1.0, "label": "x"}),
        (Guest(name="Bo"), {"name": "Bo", "age": 18, "tags": []}),
        ([Guest(name="Bo")], [{"name": "Bo", "age": 18, "tags": []}]),
        (Part(text="hi"), {"text": "hi"}),
        (Names(), [1, 2]),
        ("caf\u00e9 \ud800", "caf\u00e9 \ufffd"),
    ],
)  # fmt: skip
def test_a_result_becomes_json(value: Any, expected: Any) -> None:
    written = to_json(value)

    assert expected == written
    json.dumps(written).encode("utf-8")
    json.dumps(written, ensure_ascii=False).encode("utf-8")


def cycle() -> Any:
    inner: list[Any] = []
    inner.append({"a": inner})
    return inner


def cyclic_record() -> Node:
    node = Node(1)
    node.children.append(node)
    return node


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "$ is nan; expected a finite number; JSON has no NaN or infinity"),
        ({"a": [1, float("inf")]}, "$.a[1] is inf; expected a finite number"),
        (cycle(), "$[0].a is [{'a': [...]}]; expected a value that does not contain itself"),
        (cyclic_record(), "$.children[0] is Node("),
        (nested(300), "expected nesting of at most 200 levels"),
        (object, "$ is <class 'object'>; expected a value that JSON can hold, as a dict, a list"),
        ({"a": sys}, "$.a is <module 'sys' (built-in)>; expected a value that JSON can hold"),
        (1j, "$ is 1j; expected a value that JSON can hold"),
        (Color, "$ is <enum 'Color'>; expected a value"),
        ({1: "a", "1": "b"}, "$ is '1'; expected one key only that is written '1'"),
        ({(1, 2): "a"}, "$ is (1, 2); expected a key that is a string or a number"),
        (10**5000, "$ is too large; expected an integer of at most 14000 bits"),
        ("x" * 6_000_000, "$ is too large; expected a result of at most 5000000 bytes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(InvalidResult) as caught:
        to_json(value)

    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


def test_an_endless_iterator_ends_at_the_size_limit() -> None:
    with pytest.raises(InvalidResult, match="at most 1000 bytes; return less"):
        to_json(itertools.count(), size_limit=1_000)


def test_an_endless_nesting_of_shared_values_ends_at_the_size_limit() -> None:
    value: Any = "x"
    for _ in range(100):
        value = [value, value]

    with pytest.raises(InvalidResult, match="at most 50000 bytes"):
        to_json(value, size_limit=50_000)


def test_an_error_while_a_result_is_read_is_the_functions_own() -> None:
    def lines() -> Iterator[str]:
        yield "one"
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        to_json(lines())


def test_a_result_is_made_anew() -> None:
    rows = [{"a": 1}]
    written = to_json(rows)
    written[0]["a"] = 2

    assert [{"a": 1}] == rows


def test_a_refused_result_is_a_usage_error_and_can_be_pickled() -> None:
    with pytest.raises(UsageError) as caught:
        to_json({"a": float("nan")})

    assert "$.a" == pickle.loads(pickle.dumps(caught.value)).path


@pytest.mark.parametrize("value", ["é" * 600, {"é" * 600: 1}, ["漢" * 400], {"k": "🙂" * 300}])
def test_a_result_is_as_large_as_its_bytes(value: Any) -> None:
    with pytest.raises(InvalidResult, match="at most 1000 bytes"):
        to_json(value, size_limit=1_000)

    assert value == to_json(value, size_limit=1_300)
