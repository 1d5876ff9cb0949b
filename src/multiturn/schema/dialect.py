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
from typing import Any, Literal, TypeAlias

from multiturn.messages.message import Object
from multiturn.schema.core import core_schema, reachable
from multiturn.schema.gemini_form import gemini_form
from multiturn.schema.readers import EVERY_LIMIT, RULES, Rules
from multiturn.schema.shape import Refusal, with_annotations
from multiturn.schema.words import described, in_words, json_text, leftovers, numbered, replaced

Dialect: TypeAlias = Literal["json", "gemini", "openai", "openai-strict", "grammar"]

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
    speller = _Speller(RULES[dialect], dialect)
    definitions = core.get("$defs", {})
    out = speller.spell({key: value for key, value in core.items() if key != "$defs"})
    if definitions:
        speller.in_cycle = True
        out["$defs"] = {name: _spelled_definition(speller, core, name) for name in definitions}
    return gemini_form(out) if dialect == "gemini" else out


def _spelled_definition(speller: _Speller, core: Object, name: str) -> Object:
    try:
        return speller.spell(core["$defs"][name])
    except Refusal as refusal:
        for member, schema in core.get("properties", {}).items():
            if name in reachable(schema, core["$defs"]):
                raise refusal.inside(member) from None
        raise


class _Speller:
    """Spells the schemas of one whole."""

    def __init__(self, rules: Rules, dialect: str) -> None:
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
            self._refuse_two_lists(core["anyOf"], out["anyOf"])
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
        return described(out, core.get("description", ""), hints)

    def _cannot(self, what: str) -> Refusal:
        return Refusal(f"the dialect {self._dialect!r} has no words for {what}")

    def _refuse_two_lists(self, branches: list[Object], spelled_branches: list[Object]) -> None:
        """Refuse a mapping beside a list where both would be written as lists."""
        lists = [b for b, s in zip(branches, spelled_branches, strict=True) if _is_list(s)]
        if len(lists) > 1 and any(branch["type"] == "object" for branch in lists):
            raise self._cannot("an object with free names where a list may stand too")

    def _anything(self, core: Object, hints: list[str]) -> Object:
        if not self._rules.anything:
            raise self._cannot("a value of any type; name the type")
        hints += leftovers(core, frozenset())
        return {}

    def _default(self, core: Object, out: Object, hints: list[str]) -> None:
        default = core.get("default")
        if "default" in core and self._rules.defaults:
            out["default"] = default
        elif default is not None:
            hints.append(f"default: {json_text(default)}")

    def _limits(self, core: Object, out: Object, hints: list[str]) -> None:
        """Copy what limits the value, as far as it is known."""
        for keyword, value in core.items():
            if keyword == "enum":
                if core["type"] in self._rules.enum_types:
                    out["enum"] = list(value)
                elif self._rules.other_enums == "refuse":
                    raise self._cannot(f"a choice of {core['type']}s")
                else:
                    hints.append(f"one of: {', '.join(map(json_text, value))}")
            elif keyword == "format":
                known = self._rules.formats is None or value in self._rules.formats
                if known and core["type"] == "string" and "pattern" not in core:
                    out["format"] = value
                elif core["type"] == "string":
                    hints.append(in_words("format", value))
            elif keyword in EVERY_LIMIT:
                if keyword in self._rules.limits and self._can_limit(keyword, value):
                    out.setdefault(keyword, value)
                else:
                    hints += replaced(core, keyword, value, out, self._rules.limits)
        hints += leftovers(core, _HANDLED)

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
            return None
        if self._rules.tuples == "refuse":
            raise self._cannot("a list whose items have a type each")
        if self._rules.tuples == "members":
            return self._numbered(core, prefix, out)
        out["prefixItems"] = [self._member(f"[{i}]", item) for i, item in enumerate(prefix)]
        if "items" in core:
            out["items"] = self._member("[]", core["items"])
        return None

    def _numbered(self, core: Object, prefix: list[Object], out: Object) -> None:
        """Write a list with a type for each place as an object with numbered members."""
        if not core.get("minItems") == core.get("maxItems") == len(prefix):
            raise self._cannot("a list whose first items have a type each, with more after them")
        members = {numbered(i): self._member(f"[{i}]", item) for i, item in enumerate(prefix)}
        out.clear()
        out.update(type="object", properties=members, required=list(members))
        out["additionalProperties"] = False

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
                text = member.pop("description", "")
                member = with_annotations(member, described({}, text, ["required"]))
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


_HANDLED = EVERY_LIMIT | {
    *("type", "enum", "format", "description", "default", "properties", "required"),
    *("additionalProperties", "items", "prefixItems"),
}


def _or_null(schema: Object) -> Object:
    """Return the schema of the same values and null."""
    null = {"type": "null"}
    if schema.get("type") == "null" or null in schema.get("anyOf", []):
        return schema
    about = {key: schema[key] for key in ("description",) if key in schema}
    inner = {key: value for key, value in schema.items() if key not in about}
    return {"anyOf": [*inner.get("anyOf", [inner]), null], **about}


def _is_list(schema: Object) -> bool:
    return schema.get("type") == "array"


def _refers(schema: Object) -> bool:
    return '"$ref": ' in json.dumps(schema)
