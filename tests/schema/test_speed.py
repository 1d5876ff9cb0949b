"""Conversion costs microseconds, and a schema is made once.

The limits are several times what was measured, since machines differ; the time is that
of the processor, since they are shared.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from typing import Any

from multiturn.schema import function_schema, to_json

from .battery_records import ANN, PERSON, Person
from .battery_values import Color


def order(city: str, count: int, color: Color, person: Person, days: list[int]) -> None:
    """Order something.

    Args:
        city: Where.
    """


ARGUMENTS = {"city": "Oslo", "count": 3.0, "color": "red", "person": PERSON, "days": [1, 2, 3]}


def best_microseconds(run: Callable[[], Any]) -> float:
    number = 2_000
    return min(timeit.repeat(run, time.process_time, number=number, repeat=7)) / number * 1e6


def test_typical_arguments_are_converted_within_20_microseconds() -> None:
    schema = function_schema(order)

    assert best_microseconds(lambda: schema.bind(ARGUMENTS)) < 20


def test_a_typical_result_becomes_json_within_30_microseconds() -> None:
    assert best_microseconds(lambda: to_json(ANN)) < 30


def test_the_schema_of_a_known_function_costs_next_to_nothing() -> None:
    function_schema(order)

    assert best_microseconds(lambda: function_schema(order)) < 20
