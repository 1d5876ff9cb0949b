"""Enumerations that stay open: what a server adds next year is kept as it came."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from multiturn import protos
from multiturn.messages.enums import OpenEnum


class Colour(OpenEnum):
    UNSPECIFIED = 0
    RED = 1


def test_a_known_value_is_found_by_name_and_number() -> None:
    for value in ("RED", "red", 1, Colour.RED):
        assert Colour(value) is Colour.RED
    assert (True, "RED", "<Colour.RED: 1>") == (
        Colour.RED.is_known,
        Colour.RED.wire,
        repr(Colour.RED),
    )


def test_an_unknown_name_is_kept() -> None:
    blue = Colour("blue")
    assert isinstance(blue, Colour)
    assert ("blue", "blue", False) == (blue.name, blue.wire, blue.is_known)
    assert blue < 0
    assert blue == Colour("blue")
    assert blue != Colour("green")
    assert "blue" in repr(blue)


def test_an_unknown_number_is_kept() -> None:
    value = Colour(77)
    assert (77, "UNKNOWN_77", 77) == (int(value), value.name, value.wire)


@pytest.mark.parametrize("value", [Colour.RED, Colour("blue"), Colour(77), Colour("UNKNOWN_5")])
def test_values_are_copied_and_pickled(value: Colour) -> None:
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (value, value.name, value.wire) == (other, other.name, other.wire)
        assert type(other) is Colour
    assert hash(value) == hash(Colour(value.wire))


def test_a_name_that_looks_like_an_unknown_number_is_kept() -> None:
    value = Colour("UNKNOWN_SHADE")
    assert ("UNKNOWN_SHADE", "UNKNOWN_SHADE") == (value.name, value.wire)
    made = protos.Candidate(finish_reason="UNKNOWN_REASON")
    assert {"finishReason": "UNKNOWN_REASON"} == made.json_object


@pytest.mark.parametrize("value", ["", None, 1.5, [], object])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid Colour"):
        Colour(value)
