"""Shapes of pydantic's models and types, by their own methods; pydantic is not imported here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from multiturn.messages.message import Object, copy_json
from multiturn.schema.core import core_schema
from multiturn.schema.shape import MISSING, Definitions, Mismatch, Refusal, Shape


def is_pydantic(annotation: Any) -> bool:
    """Return whether pydantic says how this type is read: a model, or one of its types."""
    if "pydantic" not in sys.modules:
        return False
    is_own_dataclass = isinstance(annotation, type) and hasattr(
        annotation, "__pydantic_validator__"
    )
    return is_own_dataclass or hasattr(annotation, "__get_pydantic_core_schema__")


def is_field(default: Any) -> bool:
    """Return whether the default of a parameter is a pydantic ``Field(…)``."""
    pydantic = sys.modules.get("pydantic.fields")
    return pydantic is not None and isinstance(default, pydantic.FieldInfo)


def default_maker(field: Any) -> Callable[[], Any]:
    """Return what makes the default that a ``Field(…)`` gives."""
    return partial(field.get_default, call_default_factory=True)


class PydanticShape(Shape):
    """A type that pydantic validates.

    Args:
        annotation: A model, or a type that pydantic has an adapter for.
    """

    def __init__(self, annotation: Any) -> None:
        self._adapter = sys.modules["pydantic"].TypeAdapter(annotation)
        self._name = self.called = getattr(annotation, "__name__", str(annotation))
        try:
            schema = self._adapter.json_schema()
        except Exception as error:  # pydantic's own classes of error, and those of its hooks
            reason = str(error).partition("\n")[0]
            raise Refusal(f"pydantic has no JSON Schema for {self._name}: {reason}") from None
        self._schema = core_schema(schema)
        self._definitions = self._schema.pop("$defs", {})
        is_object = self._schema.get("type") == "object"
        self.json_types = (dict,) if is_object else ()
        self.expected = "an object" if is_object else f"a {self._name}"
        self.hashable = getattr(annotation, "__hash__", None) is not None

    def schema(self, definitions: Definitions) -> Object:
        definitions.count()
        for name, schema in self._definitions.items():
            if definitions.schemas.setdefault(name, schema) != schema:
                raise Refusal(f"two recursive types are named {name}; rename one of them")
        return dict(copy_json(self._schema))

    def read(self, value: Any) -> Any:
        validation_error = sys.modules["pydantic"].ValidationError
        try:
            return self._adapter.validate_python(value)
        except validation_error as error:
            given = self._without_nulls(value, self._schema)
            if given != value:
                return self.read(given)
            first = error.errors(include_url=False, include_context=False)[0]
            found = MISSING if first["type"] == "missing" else first["input"]
            mismatch = Mismatch(found, f"what {self._name} takes: {first['msg']}")
            for step in reversed(first["loc"]):
                mismatch.inside(step)
            raise mismatch from None

    def _without_nulls(self, value: Any, schema: Object) -> Any:
        """Return a value without the nulls that mean "not given", as models write them."""
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
        if isinstance(value, list):
            return [self._without_nulls(item, schema.get("items", {})) for item in value]
        if not isinstance(value, dict):
            return value
        for branch in schema.get("anyOf", []):
            value = self._without_nulls(value, branch)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        return {
            name: self._without_nulls(member, properties.get(name, {}))
            for name, member in value.items()
            if member is not None or name in required or name not in properties
        }

    def names(self) -> Object | None:
        return {} if self._schema.get("type") == "string" else None
