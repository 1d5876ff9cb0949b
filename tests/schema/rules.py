"""What each reader of schemas takes, by its published rules; written apart from the project's."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import llguidance
import xllamacpp

from multiturn.messages import settings

Object = dict[str, Any]


def check_json_schema(schema: Object) -> None:
    """JSON Schema 2020-12, and every reference leads somewhere."""
    jsonschema.Draft202012Validator.check_schema(schema)
    for pointer in re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)):
        assert pointer.removeprefix("#/$defs/") in schema["$defs"], pointer


# The reference of Schema in the Gemini API.
_GEMINI = {
    *("type", "format", "title", "description", "nullable", "enum", "items", "maxItems"),
    *("minItems", "properties", "required", "minProperties", "maxProperties", "minimum"),
    *("maximum", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering"),
    "default",
}
_GEMINI_FORMATS = {
    "STRING": {"enum", "date-time"},
    "NUMBER": {"float", "double"},
    "INTEGER": {"int32", "int64"},
}


def check_gemini(schema: Object, at_root: bool = True) -> None:
    """The Gemini API's own Schema."""
    assert set(schema) <= _GEMINI, set(schema) - _GEMINI
    if at_root:
        assert schema["type"] == "OBJECT"
        settings.Schema(schema)
    if "anyOf" in schema:
        assert set(schema) == {"anyOf"}, "no other member beside anyOf"
        for branch in schema["anyOf"]:
            check_gemini(branch, False)
        return
    kind = schema["type"]
    assert kind in settings.Type.__members__, kind
    assert schema.get("format") in {None} | _GEMINI_FORMATS.get(kind, set())
    if "enum" in schema:
        assert kind == "STRING"
        assert all(isinstance(value, str) and value for value in schema["enum"])
    for name in ("minItems", "maxItems", "minLength", "maxLength", "minProperties"):
        assert isinstance(schema.get(name, ""), str), "64-bit integers are texts"
    if kind == "ARRAY":
        check_gemini(schema["items"], False)
    if kind == "OBJECT":
        assert schema["properties"], "no object without members"
        assert set(schema.get("required", [])) <= set(schema["properties"])
        for member in schema["properties"].values():
            check_gemini(member, False)


# The reference of parametersJsonSchema and responseJsonSchema in the Gemini API.
_GEMINI_JSON = {
    *("$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum"),
    *("items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf"),
    *("properties", "additionalProperties", "required", "propertyOrdering"),
}


def check_json(schema: Object) -> None:
    """The JSON Schema that the Gemini API takes."""
    check_json_schema(schema)
    assert schema["type"] == "object"
    cyclic = set(schema.get("$defs", {}))
    for inner in _schemas(schema):
        assert set(inner) <= _GEMINI_JSON, set(inner) - _GEMINI_JSON
        if "$ref" in inner:
            assert set(inner) == {"$ref"}, "no other member beside $ref"
        assert all(type(value) in (str, int, float) for value in inner.get("enum", []))
    for definition in schema.get("$defs", {}).values():
        for inner in _schemas(definition):
            for name in inner.get("required", []):
                text = json.dumps(inner["properties"][name])
                assert not any(f'"#/$defs/{one}"' in text for one in cyclic), "a required cycle"


def check_openai(schema: Object) -> None:
    """Function parameters of OpenAI's API and of its look-alikes."""
    check_json_schema(schema)
    assert schema["type"] == "object"
    assert isinstance(schema["properties"], dict)


# The guide "Structured Outputs", section on supported schemas, with its limits.
_STRICT = {
    *("$defs", "$ref", "type", "description", "enum", "const", "anyOf", "properties", "required"),
    *("additionalProperties", "items", "pattern", "format", "multipleOf", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "title"),
}
_STRICT_FORMATS = {
    *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
}


def check_strict(schema: Object) -> None:
    """OpenAI's strict mode."""
    check_openai(schema)
    members = 0
    for inner in _schemas(schema):
        assert set(inner) <= _STRICT, set(inner) - _STRICT
        assert {"type", "anyOf", "$ref"} & set(inner), "every schema says its type"
        assert inner.get("format") in {None} | _STRICT_FORMATS
        if "$ref" in inner:
            assert set(inner) == {"$ref"}
        if inner.get("type") == "object":
            assert inner["additionalProperties"] is False
            assert inner["required"] == list(inner["properties"])
            members += len(inner["properties"])
        if inner.get("type") == "array":
            assert "items" in inner
    assert members <= 5_000
    assert len(json.dumps(schema)) <= 120_000


def check_grammar(schema: Object) -> None:
    """The compiler of the embedded engine's grammars takes it."""
    check_json_schema(schema)
    xllamacpp.json_schema_to_grammar(schema)
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
    assert llguidance.LLMatcher.validate_grammar(grammar) == ""


_TOKENIZER = llguidance.LLTokenizer("byte")
_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def grammar_accepts(schema: Object, value: Any) -> bool:
    """Return whether a grammar lets a model write this value."""
    text = json.dumps({"x-guidance": _SPACING, **schema})
    grammar = llguidance.LLMatcher.grammar_from_json_schema(text)
    matcher = llguidance.LLMatcher(_TOKENIZER, grammar)
    tokens = list(json.dumps(value, ensure_ascii=False).encode())
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


CHECKS = {
    "json": check_json,
    "gemini": check_gemini,
    "openai": check_openai,
    "openai-strict": check_strict,
    "grammar": check_grammar,
}


def _schemas(schema: Any) -> list[Object]:
    """Return a schema and all schemas in it."""
    if not isinstance(schema, dict):
        return []
    inner: list[Any] = [schema.get("items"), schema.get("additionalProperties")]
    inner += [*schema.get("anyOf", []), *schema.get("prefixItems", [])]
    inner += [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return [schema, *(found for one in inner for found in _schemas(one))]


def strict_form(value: Any, schema: Object, root: Object) -> Any:
    """Return a value as strict mode makes a model write it: nothing left out, maps as pairs,
    tuples as numbered members.
    """
    if "$ref" in schema:
        return strict_form(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        validator = jsonschema.Draft202012Validator
        for branch in schema["anyOf"]:
            written = strict_form(value, branch, root)
            if validator({**branch, "$defs": root.get("$defs", {})}).is_valid(written):
                return written
    pair = schema.get("items", {}).get("properties", {})
    if isinstance(value, dict) and pair.keys() == {"key", "value"}:
        item = pair["value"]
        return [{"key": k, "value": strict_form(v, item, root)} for k, v in value.items()]
    if isinstance(value, dict) and "properties" in schema:
        return {
            name: strict_form(value.get(name), member, root)
            for name, member in schema["properties"].items()
        }
    if isinstance(value, list) and "item_1" in schema.get("properties", {}):
        members = schema["properties"].items()
        return {
            name: strict_form(item, member, root)
            for item, (name, member) in zip(value, members, strict=True)
        }
    if isinstance(value, list) and "items" in schema:
        return [strict_form(item, schema["items"], root) for item in value]
    return value
