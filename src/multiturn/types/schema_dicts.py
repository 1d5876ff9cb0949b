"""Edits of schemas that are dicts, in place, as the old SDK's helpers made them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from multiturn.errors import UsageError

Schema = dict[str, Any]


def _inner(schema: Schema) -> Iterator[Schema]:
    yield from (schema.get("properties") or {}).values()
    if schema.get("items") is not None:
        yield schema["items"]


def _everywhere(schema: Schema, edit: Callable[[Schema], None]) -> None:
    edit(schema)
    for inner in _inner(schema):
        _everywhere(inner, edit)


def strip_titles(schema: Schema) -> None:
    """Take the titles out."""
    _everywhere(schema, lambda one: one.pop("title", None) and None)


def strip_additional_properties(schema: Schema) -> None:
    """Take out whether further members are allowed."""
    _everywhere(schema, lambda one: one.pop("additionalProperties", None) and None)


def add_object_type(schema: Schema) -> None:
    """Call what has properties an object, and take out which of them are required."""

    def edit(one: Schema) -> None:
        if one.get("properties") is not None:
            one.pop("required", None)
            one["type"] = "object"

    _everywhere(schema, edit)


def convert_to_nullable(schema: Schema) -> None:
    """Turn "or null" into ``nullable``.

    Raises:
        ValueError: There is another kind of alternative.
    """

    def edit(one: Schema) -> None:
        options = one.pop("anyOf", None)
        if options is None:
            return
        others = [option for option in options if option != {"type": "null"}]
        if len(options) != 2 or len(others) != 1:
            raise UsageError(
                f"the schema allows {options!r}; of alternatives, only one type or null is possible"
            )
        one.update(others[0])
        one["nullable"] = True

    _everywhere(schema, edit)


def unpack_defs(schema: Schema, defs: dict[str, Schema]) -> None:
    """Put definitions in the place of references to them."""
    properties = schema.get("properties") or {}
    for name, member in properties.items():
        if member.get("$ref") is not None:
            properties[name] = _defined(member, defs)
        elif member.get("anyOf") is not None:
            options = member["anyOf"]
            options[:] = [_defined(option, defs) for option in options]
        elif member.get("items") is not None:
            member["items"] = _defined(member["items"], defs)


def _defined(schema: Schema, defs: dict[str, Schema]) -> Schema:
    if schema.get("$ref") is None:
        return schema
    found = defs[schema["$ref"].rpartition("defs/")[2]]
    unpack_defs(found, defs)
    return found
