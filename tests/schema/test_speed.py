"""Conversion costs few calls, and a schema is made once.

Calls are counted, of Python's functions and of those in C: time would be that of the
machine and its other users.  The limits are about twice what was counted.
"""

from __future__ import annotations

import sys
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


def calls_of(run: Callable[[], Any]) -> int:
    count = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    run()  # what is made once is made now
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count


def test_typical_arguments_are_converted_in_80_calls() -> None:
    schema = function_schema(order)

    assert calls_of(lambda: schema.bind(ARGUMENTS)) < 80


def test_a_typical_result_becomes_json_in_200_calls() -> None:
    assert calls_of(lambda: to_json(ANN)) < 200


def test_the_schema_of_a_known_function_costs_next_to_nothing() -> None:
    function_schema(order)

    assert calls_of(lambda: function_schema(order)) < 120
