"""Shapes of lists, tuples, sets and mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from multiturn.messages.message import Object
from multiturn.schema.shape import Definitions, Mismatch, Refusal, Shape
from multiturn.schema.words import numbered


class ListShape(Shape):
    """Any number of items of one shape.

    Args:
        item: Shape of the items.
        build: Makes the Python value from a list.
        unique: Whether equal items count once.
    """

    expected, json_types = "a list", (list,)
    kind = "array"

    def __init__(
        self, item: Shape, build: Callable[[list[Any]], Any] = list, unique: bool = False
    ) -> None:
        if unique and not item.hashable:
            raise Refusal(f"a set cannot hold {item.expected}, which has no hash; use a list")
        self._item, self._build, self._unique = item, build, unique
        self.hashable = build in (tuple, frozenset) and item.hashable

    def schema(self, definitions: Definitions) -> Object:
        definitions.count()
        unique: Object = {"uniqueItems": True} if self._unique else {}
        return {"type": "array", "items": self._item.schema(definitions), **unique}

    def read(self, value: Any) -> Any:
        if type(value) is not list:
            raise Mismatch(value, self.expected)
        read, out = self._item.read, []
        try:
            for item in value:
                out.append(read(item))
        except Mismatch as mismatch:
            raise mismatch.inside(len(out)) from None
        if self._build is list:
            return out
        try:
            return self._build(out)
        except TypeError:
            raise Mismatch(value, "a list of values that a set can hold") from None


class TupleShape(Shape):
    """Items of one shape each.

    An object with ``item_1``, ``item_2`` and so on is taken too: that is how a dialect
    without a type for each place writes a tuple.
    """

    json_types = (list,)
    kind = "array"

    def __init__(self, items: Iterable[Shape]) -> None:
        self._items = tuple(items)
        self._names = {numbered(i) for i in range(len(self._items))} or None
        self.expected = f"a list of {len(self._items)} items"
        self.hashable = all(item.hashable for item in self._items)

    def schema(self, definitions: Definitions) -> Object:
        definitions.count()
        items = [item.schema(definitions) for item in self._items]
        length: Object = {"minItems": len(items), "maxItems": len(items)}
        if items and all(item == items[0] for item in items):
            return {"type": "array", "items": items[0], **length}
        return {"type": "array", **({"prefixItems": items} if items else {}), **length}

    def read(self, value: Any) -> tuple[Any, ...]:
        if type(value) is dict and value.keys() == self._names:
            value = [value[numbered(i)] for i in range(len(value))]
        if type(value) is not list or len(value) != len(self._items):
            raise Mismatch(value, self.expected)
        out: list[Any] = []
        try:
            for shape, item in zip(self._items, value, strict=True):
                out.append(shape.read(item))
        except Mismatch as mismatch:
            raise mismatch.inside(len(out)) from None
        return tuple(out)


class MapShape(Shape):
    """Any number of named values.

    A list of objects with ``key`` and ``value`` is taken too: that is how a dialect
    without open objects writes a mapping.

    Args:
        key: Shape of the keys, which JSON writes as strings.
        value: Shape of the values.
        build: Makes the Python value from a dict.
    """

    expected, json_types = "an object", (dict,)
    hashable = False
    kind = "object"

    def __init__(
        self, key: Shape, value: Shape, build: Callable[[dict[Any, Any]], Any] = dict
    ) -> None:
        if key.names() is None:
            raise Refusal(f"a key that is {key.expected} has no form in JSON; use strings as keys")
        self._key, self._value, self._build = key, value, build

    def schema(self, definitions: Definitions) -> Object:
        definitions.count()
        value = self._value.schema(definitions)
        names = self._key.names() or {}
        if "enum" in names:
            members = dict.fromkeys(names["enum"], value)
            return {"type": "object", "properties": members, "additionalProperties": False}
        about: Object = {"propertyNames": names} if names else {}
        return {"type": "object", "additionalProperties": value or True, **about}

    def read(self, value: Any) -> Any:
        if type(value) is list:
            value = _from_pairs(value)
        if type(value) is not dict:
            raise Mismatch(value, self.expected)
        out, name = {}, ""
        try:
            for name, member in value.items():
                out[self._key.read_key(name)] = self._value.read(member)
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None
        return out if self._build is dict else self._build(out)


def _from_pairs(pairs: list[Any]) -> Any:
    """Return the mapping that a list of keys with values means, or the list itself."""
    if all(type(pair) is dict and pair.keys() == {"key", "value"} for pair in pairs):
        return {
            pair["key"] if type(pair["key"]) is str else str(pair["key"]): pair["value"]
            for pair in pairs
        }
    return pairs
