"""The last step to the Gemini API's own Schema: its spelling of types, null and numbers."""

from __future__ import annotations

from multiturn.messages.message import Object
from multiturn.schema.words import described

_INTEGERS_AS_TEXT = ("minItems", "maxItems", "minLength", "maxLength", "minProperties")


def gemini_form(schema: Object) -> Object:
    """Return a schema in the Gemini API's own spelling.

    Types are upper case and 64-bit numbers are texts; null is ``nullable``; ``anyOf``
    stands alone, since members beside it are refused.
    """
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        nullable = len(branches) < len(schema["anyOf"])
        text = schema.get("description", "")
        if len(branches) == 1:
            out = gemini_form(
                described(branches[0], text or branches[0].get("description", ""), [])
            )
            return {**out, "nullable": True} if nullable else out
        forms = [
            gemini_form(described(b, "; ".join(filter(None, (text, b.get("description")))), []))
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
        out["items"] = gemini_form(out["items"])
    if "properties" in out:
        out["properties"] = {name: gemini_form(s) for name, s in out["properties"].items()}
    return out
