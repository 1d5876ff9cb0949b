"""A core schema in the words of one reader of schemas.

What a reader does not know is rewritten where something else means the same, else moved
into the description, where the model still reads it; a value is checked against the full
schema when it arrives.  What cannot be rewritten is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from multiturn.message import Object
from multiturn.schema.core import core_schema
from multiturn.schema.shape import Refusal

Dialect: TypeAlias = Literal["json", "gemini", "openai", "openai-strict", "grammar"]

_NUMBER_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_SIZE_LIMITS = {"minItems", "maxItems", "minProperties", "maxProperties"}
_TEXT_LIMITS = {"minLength", "maxLength", "pattern"}
_EVERY_LIMIT = frozenset(
    _NUMBER_LIMITS | _SIZE_LIMITS | _TEXT_LIMITS | {"uniqueItems", "contentEncoding"}
)
_RFC_FORMATS = frozenset(
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)


@dataclass(frozen=True)
class _Rules:
    """What one reader knows.

    Attributes:
        limits: Keywords that limit a value.
        formats: Values of ``format``; None knows all.
        enum_types: Types that may have an ``enum``.
        references: Whether types may contain themselves; "optional" only where not required.
        maps: How an object with free names is written.
        tuples: Whether ``prefixItems`` is known; else the items are listed as alternatives.
        anything: Whether a schema may leave the type open.
        defaults: Whether ``default`` is known.
        strict: Whether every member is required and null means not given.
    """

    limits: frozenset[str]
    formats: frozenset[str] | None = None
    enum_types: frozenset[str] = frozenset(["string", "integer", "number", "boolean"])
    references: Literal["keep", "optional", "refuse"] = "keep"
    maps: Literal["keep", "pairs", "refuse"] = "keep"
    tuples: Literal["keep", "alternatives", "refuse"] = "keep"
    anything: bool = True
    defaults: bool = False
    strict: bool = False


# Sources: the Gemini API's reference of Schema and of parametersJsonSchema; OpenAI's guide
# "Structured Outputs", section on supported schemas; llguidance's README on JSON Schema,
# which compiles the schemas of the embedded engine.
_RULES: dict[str, _Rules] = {
    "json": _Rules(
        frozenset(["minItems", "maxItems", "minimum", "maximum"]),
        frozenset(["date-time", "date", "time"]),
        frozenset(["string", "integer", "number"]),
        references="optional",
    ),
    "gemini": _Rules(
        frozenset({"minimum", "maximum"} | _SIZE_LIMITS | _TEXT_LIMITS),
        frozenset(["date-time"]),
        frozenset(["string"]),
        references="refuse",
        maps="refuse",
        tuples="refuse",
        anything=False,
    ),
    "openai": _Rules(_EVERY_LIMIT, defaults=True),
    "openai-strict": _Rules(
        frozenset(_NUMBER_LIMITS | {"minItems", "maxItems", "pattern"}),
        _RFC_FORMATS,
        maps="pairs",
        tuples="alternatives",
        anything=False,
        strict=True,
    ),
    "grammar": _Rules(
        frozenset(_NUMBER_LIMITS | _TEXT_LIMITS | {"minItems", "maxItems"}),
        _RFC_FORMATS,
    ),
}

_WORDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} members",
    "maxProperties": "at most {} members",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matching {}",
    "format": "format: {}",
    "contentEncoding": "{}",
}
# What the grammar's regular expressions lack (look-around, word boundaries, back-references).
_UNKNOWN_TO_GRAMMARS = re.compile(r"\(\?(?![:P]|i\))|\(\?P=|\\[bBAZ1-9]")
# Counted repetitions make states; a grammar with more is slow to build.
_LONGEST_REPETITION = 1_000
_LARGEST_INTEGER = 2**53


def for_dialect(schema: Mapping[str, Any], dialect: Dialect) -> Object:
    """Return a JSON Schema, or a Gemini Schema as a dict, in the words of a dialect.

    Args:
        schema: Of a value, with ``$defs`` at its root.
        dialect: "json" for ``parametersJsonSchema`` and ``responseJsonSchema``, "gemini" for
            ``parameters`` and ``responseSchema``, "openai", "openai-strict", or "grammar"
            for the embedded engine.

    Raises:
        Refusal: The dialect cannot say it.
    """
    return spelled(core_schema(schema), dialect)


def spelled(core: Object, dialect: Dialect) -> Object:
    """Return a core schema in the words of a dialect."""
    speller = _Speller(_RULES[dialect], dialect)
    definitions = core.get("$defs", {})
    out = speller.spell({key: value for key, value in core.items() if key != "$defs"})
    if definitions:
        speller.in_cycle = True
        out["$defs"] = {name: speller.spell(schema) for name, schema in definitions.items()}
    return _gemini_form(out) if dialect == "gemini" else out


class _Speller:
    """Spells the schemas of one whole."""

    def __init__(self, rules: _Rules, dialect: str) -> None:
        self._rules, self._dialect = rules, dialect
        self.in_cycle = False  # whether what is spelled contains itself

    def spell(self, core: Object) -> Object:
        """Return one schema in the dialect's words."""
        hints: list[str] = []
        if "$ref" in core:
            if self._rules.references == "refuse":
                raise self._cannot("a type that contains itself")
            return dict(core)
        if "anyOf" in core:
            out: Object = {"anyOf": [self.spell(branch) for branch in core["anyOf"]]}
        elif "type" not in core:
            out = self._anything(core, hints)
        else:
            out = {"type": core["type"]}
            self._limits(core, out, hints)
            if core["type"] == "object":
                self._object(core, out, hints)
            elif core["type"] == "array":
                self._array(core, out)
        self._default(core, out, hints)
        return _described(out, core.get("description", ""), hints)

    def _cannot(self, what: str) -> Refusal:
        return Refusal(f"the dialect {self._dialect!r} has no words for {what}")

    def _anything(self, core: Object, hints: list[str]) -> Object:
        if not self._rules.anything:
            raise self._cannot("a value of any type; name the type")
        hints += _leftovers(core, set())
        return {}

    def _default(self, core: Object, out: Object, hints: list[str]) -> None:
        default = core.get("default")
        if "default" in core and self._rules.defaults:
            out["default"] = default
        elif default is not None:
            hints.append(f"default: {_text(default)}")

    def _limits(self, core: Object, out: Object, hints: list[str]) -> None:
        """Copy what limits the value, as far as it is known."""
        for keyword, value in core.items():
            if keyword == "enum":
                if core["type"] in self._rules.enum_types:
                    out["enum"] = list(value)
                else:
                    hints.append(f"one of: {', '.join(map(_text, value))}")
            elif keyword == "format":
                known = self._rules.formats is None or value in self._rules.formats
                if known and core["type"] == "string" and "pattern" not in core:
                    out["format"] = value
                elif core["type"] == "string":
                    hints.append(_WORDS["format"].format(value))
            elif keyword in _EVERY_LIMIT:
                if keyword in self._rules.limits and self._can_limit(keyword, value):
                    out[keyword] = value
                else:
                    hints += _replaced(core, keyword, value, out, self._rules.limits)
        hints += _leftovers(core, _HANDLED)

    def _can_limit(self, keyword: str, value: Any) -> bool:
        """Return whether a grammar can hold a value to this limit; the others always can."""
        if self._dialect != "grammar":
            return True
        if keyword == "pattern":
            return _UNKNOWN_TO_GRAMMARS.search(value) is None
        if keyword in ("minItems", "maxItems", "minLength", "maxLength"):
            return bool(value <= _LONGEST_REPETITION)
        return math.isfinite(value) and abs(value) <= _LARGEST_INTEGER

    def _array(self, core: Object, out: Object) -> None:
        prefix = core.get("prefixItems")
        if prefix is None or not prefix:
            out["items"] = self._member("[]", core.get("items", {}))
            return
        spelled_items = [self._member(f"[{i}]", item) for i, item in enumerate(prefix)]
        if self._rules.tuples == "keep":
            out["prefixItems"] = spelled_items
            if "items" in core:
                out["items"] = self._member("[]", core["items"])
        elif self._rules.tuples == "refuse":
            raise self._cannot("a list whose items have a type each")
        else:
            unique: list[Object] = []
            unique += [item for item in spelled_items if item not in unique]
            out["items"] = unique[0] if len(unique) == 1 else {"anyOf": unique}

    def _object(self, core: Object, out: Object, hints: list[str]) -> None:
        properties: Object = core.get("properties", {})
        free = core.get("additionalProperties", "properties" not in core)
        if free is not False and "properties" not in core:
            return self._map(free, out, hints)
        if free is not False and self._rules.maps == "pairs":
            raise self._cannot("an object with both named and free members")
        required = [name for name in core.get("required", []) if name in properties]
        out["properties"] = {}
        for name, schema in properties.items():
            member = self._member(name, schema)
            if self._rules.strict and name not in required:
                member = _or_null(member)
            demanded = name in required and self.in_cycle and _refers(member)
            if demanded and self._rules.references == "optional":
                required.remove(name)
                member = _described(member, member.pop("description", ""), ["required"])
            out["properties"][name] = member
        if self._rules.strict:
            out["required"] = list(properties)
        elif required:
            out["required"] = required
        if self._dialect == "gemini":
            if not properties:
                raise self._cannot("an object without members")
            if len(properties) > 1:
                out["propertyOrdering"] = list(properties)
        elif free is not True:
            out["additionalProperties"] = free if free is False else self._member("[value]", free)
        return None

    def _map(self, free: Any, out: Object, hints: list[str]) -> None:
        value = {} if free is True else free
        if self._rules.maps == "refuse":
            raise self._cannot("an object with free names")
        if self._rules.maps == "keep":
            if free is not True:
                out["additionalProperties"] = self._member("[value]", value)
            return
        pair = {
            "type": "object",
            "properties": {"key": {"type": "string"}, "value": self._member("[value]", value)},
            "required": ["key", "value"],
            "additionalProperties": False,
        }
        out.update(type="array", items=pair)
        hints.append("one item for each key, no key twice")

    def _member(self, name: str, schema: Object) -> Object:
        try:
            return self.spell(schema)
        except Refusal as refusal:
            raise refusal.inside(name) from None


_HANDLED = _EVERY_LIMIT | {
    *("type", "enum", "format", "description", "default", "properties", "required"),
    *("additionalProperties", "items", "prefixItems"),
}


def _leftovers(core: Object, handled: frozenset[str] | set[str]) -> list[str]:
    known = {*handled, "description", "default"}
    return [f"{keyword}: {_text(value)}" for keyword, value in core.items() if keyword not in known]


def _replaced(
    core: Object, keyword: str, value: Any, out: Object, known: frozenset[str]
) -> list[str]:
    """Put a limit in other words, and return what is left to tell."""
    steps = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
    if keyword in steps and core["type"] == "integer" and steps[keyword][0] in known:
        inclusive, step = steps[keyword]
        limit = (math.floor(value) if step > 0 else math.ceil(value)) + step
        out[inclusive] = (
            max(limit, core.get(inclusive, limit))
            if step > 0
            else min(limit, core.get(inclusive, limit))
        )
        return []
    if keyword == "uniqueItems":
        return ["no item twice"] if value else []
    return [_WORDS[keyword].format(value)]


def _described(out: Object, description: str, hints: list[str]) -> Object:
    told = "; ".join(hints)
    text = f"{description} ({told})" if description and told else description or told
    return {**out, "description": text} if text else out


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _or_null(schema: Object) -> Object:
    """Return the schema of the same values and null."""
    null = {"type": "null"}
    if schema.get("type") == "null" or null in schema.get("anyOf", []):
        return schema
    about = {key: schema[key] for key in ("description",) if key in schema}
    inner = {key: value for key, value in schema.items() if key not in about}
    return {"anyOf": [*inner.get("anyOf", [inner]), null], **about}


def _refers(schema: Object) -> bool:
    return '"$ref": ' in json.dumps(schema)


_INTEGERS_AS_TEXT = ("minItems", "maxItems", "minLength", "maxLength", "minProperties")


def _gemini_form(schema: Object) -> Object:
    """Return a schema in the Gemini API's own spelling.

    Types are upper case and 64-bit numbers are texts; null is ``nullable``; ``anyOf``
    stands alone, since members beside it are refused.
    """
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        nullable = len(branches) < len(schema["anyOf"])
        text = schema.get("description", "")
        if len(branches) == 1:
            out = _gemini_form(
                _described(branches[0], text or branches[0].get("description", ""), [])
            )
            return {**out, "nullable": True} if nullable else out
        forms = [
            _gemini_form(_described(b, "; ".join(filter(None, (text, b.get("description")))), []))
            for b in branches
        ]
        return {"anyOf": [*forms, {"type": "NULL"}] if nullable else forms}
    out = dict(schema)
    out["type"] = out["type"].upper()
    if "enum" in out:
        out["format"] = "enum"
    for keyword in (*_INTEGERS_AS_TEXT, "maxProperties"):
        if keyword in out:
            out[keyword] = str(out[keyword])
    if "items" in out:
        out["items"] = _gemini_form(out["items"])
    if "properties" in out:
        out["properties"] = {name: _gemini_form(s) for name, s in out["properties"].items()}
    return out
