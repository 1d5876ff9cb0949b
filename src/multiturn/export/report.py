"""What could not be carried from one format to another, line by line."""

from __future__ import annotations

from typing import Any, NamedTuple

from multiturn.errors import InvalidContent
from multiturn.messages.message import Object


class Lost(NamedTuple):
    """One thing that another format has no place for, or that did not come out of one.

    Attributes:
        place: Where it stands, as ``$.history[3].parts[0].thoughtSignature``.
        reason: What became of it.
    """

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Report:
    """Collects what is lost while something is read."""

    def __init__(self) -> None:
        self.lost: list[Lost] = []

    def lose(self, place: str, reason: str) -> None:
        """Note that what stands at a place is not carried."""
        self.lost.append(Lost(place, reason))

    def others(self, object_: Object, known: frozenset[str], place: str) -> None:
        """Note the members of an object that nobody reads, empty ones aside."""
        for name, value in object_.items():
            if name not in known and value not in (None, "", [], {}, False):
                self.lose(f"{place}.{name}", "not read")


def an_object(value: Any, place: str, expected: str = "an object") -> Object:
    """Return a JSON object; raise InvalidContent if the value is none."""
    if not isinstance(value, dict):
        raise InvalidContent(place, value, expected)
    return value


def a_list(value: Any, place: str, expected: str = "a list") -> list[Any]:
    """Return a list; raise InvalidContent if the value is none."""
    if not isinstance(value, list):
        raise InvalidContent(place, value, expected)
    return value


def a_text(value: Any, place: str, expected: str = "a string") -> str:
    """Return a string; raise InvalidContent if the value is none."""
    if not isinstance(value, str):
        raise InvalidContent(place, value, expected)
    return value
