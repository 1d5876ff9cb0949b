"""Any JSON Schema, or Gemini Schema, as the few forms that every dialect can be made from.

A core schema is one of ``{}`` (anything), ``{"type": …, keywords}``, ``{"anyOf": […]}``
and ``{"$ref": "#/$defs/…"}``; the first three may have ``description`` and ``default``.
An ``enum`` has values of its type only; a reference stands alone and is recursive, every
other one is written out; ``$defs`` stand at the root.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from multiturn.errors import shown
from multiturn.messages.message import Object
from multiturn.schema.shape import MAX_SCHEMAS, Refusal, with_annotations

_TYPE_OF = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}
# Keywords that say something of values of one type only.
_OWNERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("minLength", "maxLength", "pattern", "contentEncoding"), ("string",)),
    "contentMediaType": ("string",),
    "format": ("string", "integer", "number"),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        ("integer", "number"),
    ),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems"), ("array",)),
    **dict.fromkeys(("contains", "minContains", "maxContains", "unevaluatedItems"), ("array",)),
    **dict.fromkeys(("properties", "required", "additionalProperties"), ("object",)),
    **dict.fromkeys(("minProperties", "maxProperties", "propertyNames"), ("object",)),
    **dict.fromkeys(("patternProperties", "dependentRequired", "dependentSchemas"), ("object",)),
    "unevaluatedProperties": ("object",),
}
# Said of a place, not of a value; they stay outside of ``anyOf``.
_ABOUT = ("description", "default")
_DROPPED = {
    "title",
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "propertyOrdering",
    "discriminator",
}
_SIZES = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def core_schema(schema: Mapping[str, Any]) -> Object:
    """Return a schema in core form, made anew.

    Raises:
        Refusal: It contradicts itself, points at nothing, or is larger than any dialect takes.
    """
    return _Core(schema).root()


class _Core:
    """Rewrites one schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._definitions: Object = {}
        self._names: dict[str, str] = {}
        self._open: list[str] = []
        self._recursive: set[str] = set()
        self._count = 0

    def root(self) -> Object:
        """Return the whole, with the definitions that are left."""
        written = self._reference("#", {})
        seen: set[str] = set()
        while "$ref" in written:
            if written["$ref"] in seen:
                raise Refusal("it is a reference to itself and says nothing")
            seen.add(written["$ref"])
            written = dict(self._definitions[written["$ref"].removeprefix("#/$defs/")])
        used = reachable(written, self._definitions)
        return {**written, **({"$defs": used} if used else {})}

    def _schema(self, schema: Any) -> Object:
        self._count += 1
        if self._count > MAX_SCHEMAS:
            raise Refusal(f"it is more than {MAX_SCHEMAS} schemas when written out")
        if schema is True:
            return {}
        if schema is False:
            raise Refusal("it allows no value at all")
        if not isinstance(schema, Mapping):
            raise Refusal(f"{schema!r} stands where a schema should")
        given = {key: value for key, value in schema.items() if value is not None or key in _VALUES}
        _refuse_misshapen(given)
        _put_in_order(given)
        about = {key: given.pop(key) for key in _ABOUT if key in given}
        if "$ref" in given:
            return self._reference(str(given.pop("$ref")), {**given, **about})
        nullable = given.pop("nullable", False) is True
        written = self._combined({k: v for k, v in given.items() if k not in _DROPPED})
        if nullable and written:
            written = _any_of([written, {"type": "null"}])
        return with_annotations(written, about)

    def _reference(self, pointer: str, siblings: Object) -> Object:
        """Return what a reference stands for, or a reference if it contains itself."""
        name = self._name(pointer)
        if pointer in self._open:
            self._recursive.add(pointer)
        if name not in self._definitions and pointer not in self._open:
            self._open.append(pointer)
            written = self._schema(self._target(pointer))
            self._open.pop()
            if pointer not in self._recursive:
                return self._merged([written, self._schema(siblings)]) if siblings else written
            self._definitions[name] = written
        reference = {"$ref": f"#/$defs/{name}"}
        return with_annotations(reference, {k: siblings[k] for k in _ABOUT if k in siblings})

    def _target(self, pointer: str) -> Any:
        place: Any = self._root
        if not pointer.startswith("#"):
            raise Refusal(f"it refers to {pointer}; only references within the schema are followed")
        for step in pointer.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                place = place[int(name)] if isinstance(place, list) else place[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise Refusal(f"it refers to {pointer}, which is not there") from None
        return place

    def _name(self, pointer: str) -> str:
        if pointer not in self._names:
            word = re.sub(r"\W+", "_", pointer.rpartition("/")[2].strip("#"), flags=re.A) or "Root"
            taken = sum(name.rstrip("_0123456789") == word for name in self._names.values())
            self._names[pointer] = f"{word}_{taken + 1}" if taken else word
        return self._names[pointer]

    def _combined(self, schema: Object) -> Object:
        """Return a schema whose ``allOf``, ``oneOf``, ``anyOf`` and type lists are resolved."""
        parts = [self._schema(part) for part in schema.pop("allOf", [])]
        alternatives = []
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                branches = schema.pop(keyword)
                if not branches:
                    raise Refusal(f"its {keyword} is empty")
                alternatives.append(_any_of([self._schema(branch) for branch in branches]))
        own = self._typed(schema)
        together = [*([own] if own else []), *parts, *alternatives]
        return self._merged(together) if len(together) > 1 else together[0] if together else {}

    def _typed(self, schema: Object) -> Object:
        """Return the core form of a schema without combinations."""
        types = _types_of(schema)
        if "const" in schema:
            schema = {**schema, "enum": [schema["const"]]}
            del schema["const"]
        if "enum" in schema:
            schema, types = dict(schema), _types_with_values(schema["enum"], types)
        if not types:
            return self._members(schema) if schema else {}
        branches = []
        for name in types:
            own = {k: v for k, v in schema.items() if name in _OWNERS.get(k, (name,))}
            if "enum" in own:
                own["enum"] = [value for value in own["enum"] if _fits(value, name)]
            if name == "null":
                own = {}
            branches.append(self._members({**own, "type": name}))
        return _any_of(branches)

    def _members(self, schema: Object) -> Object:
        """Return a schema of one type with its inner schemas in core form."""
        out: Object = {}
        for keyword, value in schema.items():
            if keyword in ("properties", "patternProperties"):
                out[keyword] = {name: self._inside(name, s) for name, s in value.items()}
            elif keyword == "items" and isinstance(value, list):
                out["prefixItems"] = [self._schema(item) for item in value]
            elif keyword == "items" and value is False:
                out.setdefault("maxItems", len(schema.get("prefixItems", [])))
            elif keyword == "items":
                out[keyword] = self._inside("[]", value)
            elif keyword == "prefixItems":
                out[keyword] = [self._inside(f"[{i}]", item) for i, item in enumerate(value)]
            elif keyword == "additionalProperties" and not isinstance(value, bool):
                out[keyword] = self._inside("[value]", value) or True
            elif keyword in _SIZES:
                out[keyword] = int(float(value))
            elif keyword != "format" or value != "enum":
                out[keyword] = value
        return _checked(out)

    def _inside(self, name: str, schema: Any) -> Object:
        try:
            return self._schema(schema)
        except Refusal as refusal:
            raise refusal.inside(name) from None

    def _merged(self, parts: list[Object]) -> Object:
        """Return the schema of values that fit all parts."""
        merged: Object = {}
        for part in parts:
            merged = self._both(merged, part)
        return merged

    def _both(self, one: Object, other: Object) -> Object:
        if not one or not other:
            return one or other
        about = {key: s[key] for s in (one, other) for key in _ABOUT if key in s}
        one, other = (_without_about(schema) for schema in (one, other))
        if "$ref" in one or "$ref" in other:
            if one and other and one != other:
                raise Refusal("it adds to a type that contains itself; write the type out")
            return with_annotations(one or other, about)
        for these, those in ((one, other), (other, one)):
            if "anyOf" in these:
                branches = [b for b in these["anyOf"] if _compatible(b, those)]
                return {**_any_of([self._both(branch, those) for branch in branches]), **about}
        if not _compatible(one, other):
            raise Refusal(f"no value is both {one['type']} and {other['type']}")
        merged = {**one, **other}
        if one.get("type", "") != other.get("type", "") and "type" in one and "type" in other:
            merged["type"] = "integer"
        if "properties" in one and "properties" in other:
            shared = {
                k: self._both(v, other["properties"].get(k, {}))
                for k, v in one["properties"].items()
            }
            merged["properties"] = {**other["properties"], **shared}
        if "required" in one and "required" in other:
            merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
        if "enum" in one and "enum" in other:
            merged["enum"] = [value for value in one["enum"] if value in other["enum"]]
        return {**_checked(merged), **about}


_VALUES = {"default", "const"}
_LISTS = ("required", "enum", "anyOf", "oneOf", "allOf", "prefixItems")
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(_LISTS, (list, "a list")),
    **dict.fromkeys(("properties", "patternProperties", "$defs"), (Mapping, "an object")),
    **dict.fromkeys(("description", "pattern", "format", "$ref"), (str, "a string")),
    "type": ((str, list), "a name of a type or a list of them"),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        ((int, float), "a number"),
    ),
}


def _put_in_order(schema: Object) -> None:
    """Let the members of an object stand as its ``propertyOrdering``, if any, says."""
    order, properties = schema.get("propertyOrdering"), schema.get("properties")
    if isinstance(order, list) and properties:
        first = [name for name in order if name in properties]
        schema["properties"] = {name: properties[name] for name in [*first, *properties]}


def _refuse_misshapen(schema: Object) -> None:
    """Refuse a schema whose keywords have values of the wrong kind."""
    for keyword, value in schema.items():
        kind, words = _KINDS.get(keyword, (object, ""))
        if not isinstance(value, kind):
            raise Refusal(f"its {keyword} is {shown(value)}; expected {words}")
        if keyword in _SIZES and not str(value).removesuffix(".0").isdecimal():
            raise Refusal(f"its {keyword} is {shown(value)}; expected a count")


def _without_about(schema: Object) -> Object:
    return {key: value for key, value in schema.items() if key not in _ABOUT}


def _compatible(one: Object, other: Object) -> bool:
    types = {schema["type"] for schema in (one, other) if "type" in schema}
    return len(types) < 2 or types == {"integer", "number"}


def _types_of(schema: Object) -> list[str]:
    """Return the types that a schema names or whose keywords it has."""
    named = schema.pop("type", None)
    if named is not None:
        names = named if isinstance(named, list) else [named]
        types = [str(name).lower() for name in names]
        for name in types:
            if name not in _TYPE_OF.values():
                raise Refusal(f"there is no type {name!r} in JSON")
        return types
    owners = [_OWNERS[keyword] for keyword in schema if keyword in _OWNERS]
    return [owners[0][-1] if "integer" in owners[0] else owners[0][0]] if owners else []


def _types_with_values(values: Iterable[Any], allowed: list[str]) -> list[str]:
    """Return the types that the values of an enumeration have, of those allowed."""
    found: list[str] = []
    for value in values:
        own = _TYPE_OF.get(type(value), "")
        name = next((name for name in allowed if _fits(value, name)), "" if allowed else own)
        if name and name not in found:
            found.append(name)
    if not found:
        raise Refusal("its enum leaves no value")
    return found


def _fits(value: Any, name: str) -> bool:
    own = _TYPE_OF.get(type(value))
    return own == name or (own == "integer" and name == "number")


def _any_of(branches: list[Object]) -> Object:
    """Return the schema of values that fit one of several, without nesting."""
    flat: list[Object] = []
    for branch in branches:
        nested = branch["anyOf"] if branch.keys() == {"anyOf"} else [branch]
        flat += [schema for schema in nested if schema not in flat]
    if not flat:
        raise Refusal("it contradicts itself: no value fits")
    if {} in flat:
        return {}
    return flat[0] if len(flat) == 1 else {"anyOf": flat}


_ORDERED = (
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
)


def _checked(schema: Object) -> Object:
    for low, high in _ORDERED:
        if low in schema and high in schema and schema[low] > schema[high]:
            raise Refusal(f"its {low} {schema[low]} is above its {high} {schema[high]}")
    if schema.get("enum") == []:
        raise Refusal("its enum leaves no value")
    return schema


def reachable(schema: Object, definitions: Object) -> Object:
    """Return the definitions that a schema refers to, directly or not."""
    found: Object = {}
    waiting = [schema]
    while waiting:
        text = json.dumps(waiting.pop())
        for name in re.findall(r'"\$ref": "#/\$defs/(\w+)"', text):
            if name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
    return found
