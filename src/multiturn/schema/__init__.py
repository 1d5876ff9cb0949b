"""Python annotations as JSON Schema, and JSON values as what the annotations say.

    schema_of(list[int])                 {"type": "array", "items": {"type": "integer"}}
    from_json([1.0, 2.0], list[int])     [1, 2]
    to_json({Color.RED})                 ["RED"]
    function_schema(weather)             name, description, parameters; binds arguments
    for_dialect(schema, "gemini")        the same in the words of one reader

Pure: no network, disk, thread or clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiturn.errors import ArgumentMismatch, SchemaError
from multiturn.messages.message import Object
from multiturn.schema import dialect as _dialect
from multiturn.schema.annotations import ENDLESS, ShapeBuilder
from multiturn.schema.classes import module_scope
from multiturn.schema.dialect import Dialect
from multiturn.schema.function import (
    FunctionSchema,
    Injected,
    declaration_of,
    function_schema,
    schema_from,
)
from multiturn.schema.result import to_json
from multiturn.schema.shape import Mismatch, Refusal, Shape

__all__ = [
    "Dialect",
    "FunctionSchema",
    "Injected",
    "declaration_of",
    "for_dialect",
    "from_json",
    "function_schema",
    "schema_of",
    "to_json",
]


def schema_of(annotation: Any) -> Object:
    """Return the JSON Schema (2020-12) of a type or any other annotation.

    Raises:
        SchemaError: JSON cannot describe it; says where and why.
    """
    try:
        return schema_from(_shape(annotation))
    except Refusal as refusal:
        raise SchemaError(_name(annotation), refusal.parameter, refusal.reason) from None


def from_json(value: Any, annotation: Any) -> Any:
    """Return the Python value that a JSON value means by an annotation.

    Raises:
        ArgumentMismatch: The value does not fit; says where and what would.
        SchemaError: JSON cannot describe the annotation.
    """
    try:
        shape = _shape(annotation)
    except Refusal as refusal:
        raise SchemaError(_name(annotation), refusal.parameter, refusal.reason) from None
    try:
        return shape.read(value)
    except Mismatch as mismatch:
        raise ArgumentMismatch(mismatch.path, mismatch.value, mismatch.expected) from None
    except RecursionError:
        raise ArgumentMismatch("$", "…", "a value that is nested less deeply") from None


def for_dialect(schema: Mapping[str, Any], dialect: Dialect) -> Object:
    """Return a JSON Schema, or a Gemini Schema as a dict, in the words of a dialect.

    What the dialect lacks is rewritten, or moved into descriptions.

    Args:
        schema: Of a value, with ``$defs`` at its root; not changed.
        dialect: "json" for ``parametersJsonSchema`` and ``responseJsonSchema``, "gemini" for
            ``parameters`` and ``responseSchema``, "openai", "openai-strict", or "grammar"
            for the embedded engine.

    Raises:
        SchemaError: The schema contradicts itself, or the dialect cannot say it.
    """
    try:
        return _dialect.for_dialect(schema, dialect)
    except Refusal as refusal:
        raise SchemaError("the schema", refusal.parameter, refusal.reason) from None


def _shape(annotation: Any) -> Shape:
    try:
        return ShapeBuilder().build(annotation, module_scope(annotation))
    except RecursionError:
        raise Refusal(ENDLESS) from None


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation).removeprefix("typing.")
