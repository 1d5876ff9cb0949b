"""Shapes with a fixed list of values: Literal and Enum."""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterable
from typing import Any

from multiturn.messages.message import Object
from multiturn.schema.shape import Definitions, Mismatch, Refusal, Shape

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


class ChoiceShape(Shape):
    """One of several values.

    A text that means one value only is taken too, whatever its case: the name of a
    member, or a number in quotes, as a dialect without numbers in ``enum`` writes it.

    Args:
        values: Pairs of the JSON value and the Python value.
        spellings: Further texts and what they mean.
        description: Of the type, "" if there is none.
    """

    rank = 0

    def __init__(
        self,
        values: Iterable[tuple[Any, Any]],
        spellings: Iterable[tuple[str, Any]] = (),
        description: str = "",
    ) -> None:
        pairs = list(values)
        self._description = description
        self._json_values = [json_value for json_value, _ in pairs]
        self._exact = {(type(json_value), json_value): value for json_value, value in pairs}
        self._spelled = _unambiguous([*((str(j), v) for j, v in pairs), *spellings])
        shown = ["null" if v is None else repr(v) for v in self._json_values]
        self.expected = f"one of {', '.join(shown)}" if len(shown) > 1 else shown[0]
        self.json_types = tuple({type(value) for value in self._json_values})

    def schema(self, definitions: Definitions) -> Object:
        branches: list[Object] = []
        for python_type, name in _JSON_TYPES.items():
            values = [value for value in self._json_values if type(value) is python_type]
            if values:
                branches.append({"type": name, "enum": values})
        if None in self._json_values:
            branches.append({"type": "null"})
        about: Object = {"description": self._description} if self._description else {}
        return {**branches[0], **about} if len(branches) == 1 else {"anyOf": branches, **about}

    def read(self, value: Any) -> Any:
        if isinstance(value, str | int | float | None):
            if type(value) is float and value.is_integer():
                value = int(value)
            found = self._exact.get((type(value), value), _NONE_OF_THEM)
            if found is _NONE_OF_THEM and type(value) in (str, int):
                found = self._spelled.get(str(value).casefold(), _NONE_OF_THEM)
            if found is not _NONE_OF_THEM:
                return found
        raise Mismatch(value, self.expected)

    def takes_null(self) -> bool:
        return None in self._json_values

    def names(self) -> Object | None:
        if None in self._json_values:
            return None
        return {"enum": [str(value) for value in self._json_values]}


_NONE_OF_THEM = object()


def _unambiguous(spellings: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return what each text means, whatever its case, without those that mean two things."""
    meanings: dict[str, Any] = {}
    ambiguous = set()
    for text, value in spellings:
        folded = text.casefold()
        if meanings.setdefault(folded, value) is not value and meanings[folded] != value:
            ambiguous.add(folded)
    return {text: value for text, value in meanings.items() if text not in ambiguous}


def literal_shape(values: tuple[Any, ...]) -> ChoiceShape:
    """Return the shape of ``Literal[…]``."""
    pairs: list[tuple[Any, Any]] = []
    for value in values:
        if isinstance(value, enum.Enum):
            pairs.append((enum_json(value), value))
        elif value is None or type(value) in _JSON_TYPES:
            pairs.append((value, value))
        else:
            raise Refusal(f"Literal[{value!r}] has no form in JSON; use strings or numbers")
    return ChoiceShape(pairs)


def enum_shape(enumeration: type[enum.Enum], description: str) -> ChoiceShape:
    """Return the shape of an enumeration."""
    members = list(enumeration)
    if not members:
        raise Refusal(f"the enumeration {enumeration.__name__} has no members")
    if issubclass(enumeration, enum.Flag):
        raise Refusal(
            f"{enumeration.__name__} is a Flag, whose members combine; take a list of an Enum"
        )
    names = list(enumeration.__members__.items())
    values = [(str(m.value), m) for m in members if isinstance(m.value, str | int | float)]
    return ChoiceShape([(enum_json(m), m) for m in members], [*names, *values], description)


def enum_json(member: enum.Enum) -> str:
    """Return what stands for a member: its value if all of the type's are texts, else its name.

    A name tells a model more than a number, and the Gemini API takes only strings.
    """
    return str(member.value) if _has_texts(type(member)) else member.name


@functools.lru_cache(maxsize=512)
def _has_texts(enumeration: type[enum.Enum]) -> bool:
    return all(isinstance(member.value, str) for member in enumeration)
