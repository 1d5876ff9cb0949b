"""Every callable gives schemas that their readers take, and is called with its types."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

import jsonschema
import pytest

from multiturn.errors import SchemaError
from multiturn.schema import Dialect, for_dialect, function_schema

from . import battery, battery_strings
from .cases import Case, typed
from .rules import CHECKS, check_json_schema, grammar_accepts, strict_form

CASES = [*battery.CASES, *battery_strings.CASES]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
each_dialect = pytest.mark.parametrize("dialect", list(CHECKS))


def without_points(value: Any) -> Any:
    """Return a value with 3 for 3.0, as a grammar writes it."""
    if isinstance(value, dict):
        return {name: without_points(member) for name, member in value.items()}
    if isinstance(value, list):
        return [without_points(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def call(case: Case, arguments: Any) -> Any:
    schema = function_schema(case.function)
    args, kwargs = schema.bind(json.loads(json.dumps(arguments)), case.injected)
    result = schema.function(*args, **kwargs)
    if schema.is_async:
        return asyncio.run(result)
    return list(result) if inspect.isgenerator(result) else result


def test_the_battery_has_the_size_that_is_claimed() -> None:
    assert len(CASES) >= 60


@each_case
def test_the_schema_is_valid_and_allows_the_call(case: Case) -> None:
    schema = function_schema(case.function).parameters

    check_json_schema(schema)
    jsonschema.validate(case.arguments, schema)


@each_case
def test_a_call_arrives_with_the_declared_types(case: Case) -> None:
    assert typed(case.expected) == typed(call(case, case.arguments))


@each_case
@each_dialect
def test_every_dialect_takes_it_or_refuses_it(case: Case, dialect: Dialect) -> None:
    schema = function_schema(case.function)
    if dialect == "gemini" and not schema.parameters["properties"]:
        assert "parameters" not in schema.declaration("gemini")
    elif dialect in case.refused_by:
        with pytest.raises(SchemaError, match=case.refused_by[dialect]) as caught:
            schema.parameters_for(dialect)
        assert caught.value.function == schema.name
        assert caught.value.parameter is not None
    else:
        CHECKS[dialect](schema.parameters_for(dialect))


@each_case
def test_the_gemini_api_is_told_by_schema_or_by_json_schema(case: Case) -> None:
    declaration = function_schema(case.function).declaration("gemini")

    assert not {"parameters", "parametersJsonSchema"} <= set(declaration)
    if "parametersJsonSchema" in declaration:
        assert "gemini" in case.refused_by
        CHECKS["json"](declaration["parametersJsonSchema"])


@each_case
@pytest.mark.parametrize("dialect", ["json", "openai", "gemini"])
def test_what_a_model_writes_by_a_dialect_is_taken(case: Case, dialect: Dialect) -> None:
    if dialect in case.refused_by or not case.arguments:
        return
    schema = function_schema(case.function).parameters_for(dialect)
    if dialect == "gemini":
        schema = for_dialect(schema, "openai")

    jsonschema.validate(case.arguments, schema)


@each_case
def test_the_grammar_lets_a_model_write_the_call(case: Case) -> None:
    schema = function_schema(case.function).parameters_for("grammar")
    arguments = without_points(case.arguments)

    assert grammar_accepts(schema, arguments)
    assert not grammar_accepts(schema, {**arguments, "unknown_member": 1})


@each_case
def test_a_call_in_strict_form_arrives_too(case: Case) -> None:
    if "openai-strict" in case.refused_by:
        return
    schema = function_schema(case.function).parameters_for("openai-strict")
    written = strict_form(case.arguments, schema, schema)

    jsonschema.validate(written, schema)
    assert typed(case.expected) == typed(call(case, written))
