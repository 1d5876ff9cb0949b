"""JSON Schema as the wire's Schema, which knows less of it; pure.

Sources: the Gemini API's reference of Schema, and what its servers refused when they were
sent more (``const``, ``$ref``, formats other than those below).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiturn.errors import InvalidContent, UsageError
from multiturn.message import Object
from multiturn.plain import MAX_DEPTH, plain_json
from multiturn.settings import Schema, Type

# Members that mean the same under the same name.
_SAME = (
    "title", "description", "default", "example", "nullable", "pattern", "required", "minimum",
    "maximum", "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties",
    "propertyOrdering",
)  # fmt: skip
_FORMATS = {
    "NUMBER": ("float", "double"),
    "INTEGER": ("int32", "int64"),
    "STRING": ("enum", "date-time"),
}
# What changes the meaning so much that a Schema without it would be another one.
_INEXPRESSIBLE = (
    "not", "if", "then", "else", "allOf", "prefixItems", "patternProperties",
    "dependentRequired", "dependentSchemas", "unevaluatedProperties", "contains",
)  # fmt: skip
# Members of Schema that servers of the Gemini API refuse within function parameters.
_REFUSED = ("additionalProperties", "defs", "ref")


def schema_or_json(schema: Any, path: str) -> tuple[Object | None, Object | None]:
    """Return a schema in the one of two forms that can hold it.

    Args:
        schema: A Schema, its dict, or JSON Schema as a dict.
        path: Where it stands, for error messages.

    Returns:
        A Schema of the wire and None, or None and JSON Schema.

    Raises:
        InvalidContent: It is neither.
    """
    if isinstance(schema, Schema):
        return Schema(schema).json_object, None
    if not isinstance(schema, Mapping):
        raise InvalidContent(path, schema, "a Schema, or a dict that is one or JSON Schema")
    try:
        written = Schema.object_from(schema, path, "refuse")
    except UsageError:
        written = None
    if written is not None and _is_plain(written):
        return written, None
    plain = plain_json(schema, path)
    subset = subset_of(plain)
    return (subset, None) if subset is not None else (None, plain)


def _is_plain(schema: Object) -> bool:
    """Return whether a Schema holds only what every server takes, in known types."""
    kind = schema.get("type")
    if any(name in schema for name in _REFUSED) or (kind is not None and not Type(kind).is_known):
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    return all(map(_is_plain, [*inner, schema["items"]] if "items" in schema else inner))


def subset_of(schema: Object) -> Object | None:
    """Return JSON Schema as a Schema of the wire, made anew; None if it says too much."""
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    try:
        return _converted(schema, definitions, ())
    except _TooMuch:
        return None


class _TooMuch(Exception):
    """The wire's Schema cannot say it."""


def _converted(schema: Any, definitions: Object, within: tuple[str, ...]) -> Object:
    if schema is True:
        return {}
    if not isinstance(schema, dict) or len(within) > MAX_DEPTH:
        raise _TooMuch
    if "$ref" in schema:
        return _referred(schema, definitions, within)
    if any(name in schema for name in _INEXPRESSIBLE):
        raise _TooMuch
    out: Object = {name: schema[name] for name in _SAME if schema.get(name) is not None}
    options = _options(schema, out)
    if options:
        _add_options(out, [_converted(option, definitions, within) for option in options])
    kind = out.get("type")
    if schema.get("format") in _FORMATS.get(kind or "", ()):
        out["format"] = schema["format"]
    _add_enum(out, schema)
    if "items" in schema:
        out["items"] = _converted(schema["items"], definitions, within)
    if isinstance(schema.get("additionalProperties"), dict):
        raise _TooMuch
    if schema.get("properties"):
        out["properties"] = {
            name: _converted(member, definitions, within)
            for name, member in schema["properties"].items()
        }
    return out


def _referred(schema: Object, definitions: Object, within: tuple[str, ...]) -> Object:
    name = str(schema["$ref"]).rpartition("/")[2]
    if name in within or name not in definitions:
        raise _TooMuch
    out = _converted(definitions[name], definitions, (*within, name))
    out.update({k: schema[k] for k in ("title", "description", "default") if schema.get(k)})
    return out


def _options(schema: Object, out: Object) -> list[Any]:
    """Return the alternatives of a schema; note its type and whether it may be null."""
    kinds = schema.get("type")
    options = list(schema.get("anyOf") or schema.get("oneOf") or ())
    if isinstance(kinds, list):
        options += [{"type": kind} for kind in kinds]
    elif kinds == "null":
        out["nullable"] = True
    elif kinds is not None:
        member = Type.__members__.get(str(kinds).upper())
        if member is None:
            raise _TooMuch
        out["type"] = member.name
    if any(option == {"type": "null"} for option in options):
        out["nullable"] = True
    return [option for option in options if option != {"type": "null"}]


def _add_options(out: Object, options: list[Object]) -> None:
    if len(options) == 1:
        for name, value in options[0].items():
            out.setdefault(name, value)
    else:
        out["anyOf"] = options


def _add_enum(out: Object, schema: Object) -> None:
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if values is None:
        return
    named = [value for value in values if value is not None]
    if not all(isinstance(value, str) for value in named) or out.get("type") not in (
        None,
        "STRING",
    ):
        raise _TooMuch
    if len(named) < len(values):
        out["nullable"] = True
    out["type"], out["enum"] = "STRING", named
