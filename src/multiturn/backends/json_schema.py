"""The wire's Schema as JSON Schema, which grammars are made from."""

from __future__ import annotations

from multiturn.messages.message import Object

# Members that mean the same under the same name.
_SAME = (
    "description", "default", "enum", "format", "maximum", "minimum", "pattern",
    "required", "title",
)  # fmt: skip
_COUNTS = (
    "maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties",
)  # fmt: skip


def json_schema_of(schema: Object) -> Object:
    """Return a Schema of the wire as JSON Schema (2020-12); made anew.

    Objects allow no members beyond their properties, as the wire's do not.
    """
    out: Object = {name: schema[name] for name in _SAME if schema.get(name) is not None}
    out.update({name: int(schema[name]) for name in _COUNTS if schema.get(name) is not None})
    kind = str(schema.get("type", "")).lower()
    if kind and kind != "type_unspecified":
        out["type"] = kind
    if isinstance(schema.get("items"), dict):
        out["items"] = json_schema_of(schema["items"])
    if schema.get("properties"):
        names = schema.get("propertyOrdering") or schema["properties"]
        ordered = [*names, *(name for name in schema["properties"] if name not in names)]
        out["properties"] = {
            name: json_schema_of(schema["properties"][name])
            for name in ordered
            if name in schema["properties"]
        }
        out["additionalProperties"] = False
    if schema.get("anyOf"):
        out["anyOf"] = [json_schema_of(option) for option in schema["anyOf"]]
    if schema.get("nullable"):
        return {"anyOf": [out, {"type": "null"}]}
    return out
