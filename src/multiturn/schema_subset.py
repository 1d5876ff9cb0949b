"""A schema that a person gave, in the one of the wire's two forms that can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiturn.errors import InvalidContent, UsageError
from multiturn.messages.message import Object, plain_json
from multiturn.messages.settings import Schema, Type
from multiturn.to_content import as_ours

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
    schema = _with_ours(schema)
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
    from multiturn.schema import for_dialect

    plain = plain_json(schema, path)
    try:
        return for_dialect(plain, "gemini"), None
    except UsageError:
        return None, plain


def _with_ours(value: Any) -> Any:
    """Return a value with ours in the place of google.generativeai's messages, at any depth."""
    if isinstance(value, dict):
        return {name: _with_ours(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_ours(inner) for inner in value]
    return as_ours(value)


def _is_plain(schema: Object) -> bool:
    """Return whether a Schema holds only what every server takes, in known types."""
    kind = schema.get("type")
    if any(name in schema for name in _REFUSED) or (kind is not None and not Type(kind).is_known):
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    return all(map(_is_plain, [*inner, schema["items"]] if "items" in schema else inner))
