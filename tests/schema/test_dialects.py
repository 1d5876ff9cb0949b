"""Schemas that a person hands in, in each reader's words: rewritten, told in words, or refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.errors import SchemaError
from multiturn.schema import Dialect, for_dialect

from .rules import CHECKS, check_grammar, check_json_schema, grammar_accepts

A = {"type": "string"}
I = {"type": "integer"}  # noqa: E741


def object_of(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


def member(schema: Any, dialect: Dialect) -> Any:
    return for_dialect(object_of(x=schema), dialect)["properties"]["x"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"anyOf": [A, {"type": "null"}]}),
        ({"type": ["integer", "null"], "minimum": 1},
         {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}),
        ({"const": 3}, {"type": "integer", "enum": [3]}),
        ({"const": None}, {"type": "null"}),
        ({"enum": ["a", 1, None]},
         {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]},
                    {"type": "null"}]}),
        ({"oneOf": [A, I]}, {"anyOf": [A, I]}),
        ({"anyOf": [A, {"anyOf": [I, A]}]}, {"anyOf": [A, I]}),
        ({"anyOf": [A]}, A),
        ({"anyOf": [A, {}]}, {}),
        ({"anyOf": [{"minLength": 1}, {"maxLength": 3}], "type": "string"},
         {"anyOf": [{"type": "string", "minLength": 1}, {"type": "string", "maxLength": 3}]}),
        ({"allOf": [{"$ref": "#/properties/y"}], "description": "d"}, {**A, "description": "d"}),
        ({"allOf": [object_of(a=A), object_of(b=I)]},
         {"type": "object", "properties": {"b": I, "a": A}, "required": ["a", "b"],
          "additionalProperties": False}),
        ({"allOf": [{"type": "number", "minimum": 1}, {"type": "integer", "maximum": 5}]},
         {"type": "integer", "minimum": 1, "maximum": 5}),
        ({"enum": ["a", "b"], "allOf": [{"enum": ["b", "c"]}]}, {"type": "string", "enum": ["b"]}),
        (True, {}),
        ({"title": "X", "type": "string", "examples": ["a"], "$comment": "c"}, A),
        ({"properties": {"a": A}}, {"type": "object", "properties": {"a": A},
                                    "additionalProperties": False}),
        ({"minItems": 1}, {"type": "array", "minItems": 1, "items": {}}),
        ({"type": "array", "prefixItems": [A], "items": False},
         {"type": "array", "prefixItems": [A], "maxItems": 1}),
        ({"type": "array", "items": [A, I]}, {"type": "array", "prefixItems": [A, I]}),
        ({"not": {"type": "string"}}, {"description": 'not: {"type": "string"}'}),
        # The Gemini API's own Schema, as declarations of older programs have it.
        ({"type": "STRING", "nullable": True, "format": "enum", "enum": ["a"]},
         {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}),
        ({"type": "ARRAY", "minItems": "1", "items": {"type": "INTEGER", "format": "int64"}},
         {"type": "array", "minItems": 1, "items": I}),
        ({"type": "OBJECT", "properties": {"a": {"type": "NUMBER"}}, "propertyOrdering": ["a"]},
         {"type": "object", "properties": {"a": {"type": "number"}},
          "additionalProperties": False}),
    ],
)  # fmt: skip
def test_every_way_to_say_it_becomes_one(schema: Any, expected: Any) -> None:
    whole = for_dialect(object_of(x=schema, y=A), "openai")

    check_json_schema(whole)
    assert expected == whole["properties"]["x"]


@pytest.mark.parametrize(
    ("dialect", "schema", "expected"),
    [
        ("json", {**A, "minLength": 1, "pattern": "^a"},
         {**A, "description": "at least 1 characters; matching ^a"}),
        ("json", {**A, "description": "Name.", "default": "x"},
         {**A, "description": 'Name. (default: "x")'}),
        ("json", {**I, "exclusiveMinimum": 0, "exclusiveMaximum": 10},
         {**I, "minimum": 1, "maximum": 9}),
        ("json", {**I, "exclusiveMinimum": 0, "minimum": 5}, {**I, "minimum": 5}),
        ("json", {**I, "minimum": -5, "exclusiveMinimum": 0.5}, {**I, "minimum": 1}),
        ("json", {"type": "number", "exclusiveMinimum": 0},
         {"type": "number", "description": "more than 0"}),
        ("json", {"type": "boolean", "enum": [True]},
         {"type": "boolean", "description": "one of: true"}),
        ("json", {**A, "format": "email"}, {**A, "description": "format: email"}),
        ("json", {"type": "array", "items": A, "uniqueItems": True},
         {"type": "array", "items": A, "description": "no item twice"}),
        ("gemini", {"anyOf": [A, {"type": "null"}], "description": "d"},
         {"type": "STRING", "description": "d", "nullable": True}),
        ("gemini", {"anyOf": [A, I, {"type": "null"}], "description": "d"},
         {"anyOf": [{"type": "STRING", "description": "d"},
                    {"type": "INTEGER", "description": "d"}, {"type": "NULL"}]}),
        ("gemini", {**A, "minLength": 1}, {"type": "STRING", "minLength": "1"}),
        ("gemini", {"type": "array", "items": {**A, "format": "date-time"}},
         {"type": "ARRAY", "items": {"type": "STRING", "format": "date-time"}}),
        ("openai-strict", {"type": "object", "additionalProperties": I},
         {"type": "array", "description": "one item for each key, no key twice",
          "items": {"type": "object", "properties": {"key": A, "value": I},
                    "required": ["key", "value"], "additionalProperties": False}}),
        ("openai-strict", {"type": "array", "prefixItems": [A, I], "minItems": 2, "maxItems": 2},
         {"type": "object", "properties": {"item_1": A, "item_2": I},
          "required": ["item_1", "item_2"], "additionalProperties": False}),
        ("grammar", {**A, "pattern": r"^a(?=b)"}, {**A, "description": r"matching ^a(?=b)"}),
        ("grammar", {**A, "pattern": r"^\w+$"}, {**A, "pattern": r"^\w+$"}),
        ("grammar", {**A, "pattern": r"\bword\b"}, {**A, "description": r"matching \bword\b"}),
        ("grammar", {**A, "maxLength": 100_000}, {**A, "description": "at most 100000 characters"}),
        ("grammar", {**I, "maximum": 10**30}, {**I, "description": f"at most {10**30}"}),
        ("grammar", {**A, "format": "path"}, {**A, "description": "format: path"}),
        ("grammar", {**A, "format": "date", "pattern": "^2"},
         {**A, "description": "format: date", "pattern": "^2"}),
    ],
)  # fmt: skip
def test_what_a_reader_does_not_know_is_rewritten_or_told(
    dialect: Dialect, schema: Any, expected: Any
) -> None:
    assert expected == member(schema, dialect)
    CHECKS[dialect](for_dialect(object_of(x=schema), dialect))


@pytest.mark.parametrize(
    ("dialect", "schema", "reason"),
    [
        ("gemini", {"enum": [1, 2]}, "'x': the dialect 'gemini' has no words for a choice"),
        ("gemini", object_of(), "no words for an object without members"),
        ("gemini", {"type": "array"}, r"'x\[\]': .* a value of any type; name the type"),
        ("openai-strict", {}, "a value of any type; name the type"),
        ("openai-strict", {**object_of(a=A), "additionalProperties": True},
         "an object with both named and free members"),
        ("openai-strict", {"type": "array", "prefixItems": [A, I]}, "with more after them"),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten_is_refused_with_its_place(
    dialect: Dialect, schema: Any, reason: str
) -> None:
    with pytest.raises(SchemaError, match=reason):
        for_dialect(object_of(x=schema), dialect)


def test_a_schema_that_contains_itself_stays_finite() -> None:
    tree = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}

    for dialect in ("json", "openai", "openai-strict", "grammar"):
        CHECKS[dialect](for_dialect(tree, dialect))
    assert grammar_accepts(for_dialect(tree, "grammar"), {"kids": [{"kids": []}, {}]})


def test_a_shared_type_is_written_out_where_it_is_used() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/P"}, "b": {"$ref": "#/$defs/P", "description": "B"}},
        "$defs": {"P": {"title": "P", "type": "object", "properties": {"x": I}}},
    }
    written = for_dialect(schema, "json")

    assert "$defs" not in written
    assert {"x": I} == written["properties"]["b"]["properties"]
    assert "B" == written["properties"]["b"]["description"]


def test_the_schema_that_was_handed_in_is_not_changed() -> None:
    schema = object_of(x={"type": ["string", "null"], "enum": ["a", None]})
    before = repr(schema)
    for dialect in CHECKS:
        for_dialect(schema, dialect)  # type: ignore[arg-type]

    assert before == repr(schema)


KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"]),
    "minLength": st.integers(0, 3),
    "maxLength": st.integers(3, 5),
    "minimum": st.integers(-5, 0),
    "exclusiveMaximum": st.integers(2, 9),
    "minItems": st.integers(0, 2),
    "uniqueItems": st.booleans(),
    "description": st.text("ab", max_size=3),
    "default": st.none() | st.integers(),
    "title": st.just("T"),
}
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional=KEYWORDS),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **KEYWORDS,
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "additionalProperties": inner | st.booleans(),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "$ref": st.sampled_from(["#", "#/$defs/D"]),
        },
    ),
    max_leaves=6,
)


@given(SCHEMAS, SCHEMAS, st.sampled_from(sorted(CHECKS)))
def test_any_schema_obeys_a_readers_rules_or_is_refused(
    schema: Any, definition: Any, dialect: Dialect
) -> None:
    whole = {**object_of(x=schema), "$defs": {"D": definition}}
    jsonschema.Draft202012Validator.check_schema(whole)
    try:
        written = for_dialect(whole, dialect)
    except SchemaError:
        return
    if dialect == "grammar":
        check_json_schema(written)
    else:
        CHECKS[dialect](written)


def test_the_compiler_of_grammars_takes_all_formats_that_are_left_to_it() -> None:
    for name in ("date-time", "date", "time", "duration", "uuid", "email", "ipv4", "x-other"):
        check_grammar(for_dialect(object_of(x={**A, "format": name}), "grammar"))


@pytest.mark.parametrize("dialect", ["json", "openai", "openai-strict", "grammar", "gemini"])
def test_members_stand_in_the_order_that_a_schema_asks_for(dialect: Any) -> None:
    schema = {"type": "OBJECT", "properties": {"a": A, "b": A, "c": A}, "required": ["a"]}
    spelled = for_dialect({**schema, "propertyOrdering": ["c", "lost", "a"]}, dialect)
    assert ["c", "a", "b"] == [*spelled["properties"]]
