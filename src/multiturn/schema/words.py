"""What a reader of schemas does not know, said in words or in other keywords."""

from __future__ import annotations

import json
import math
from typing import Any

from multiturn.messages.message import Object

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


def in_words(keyword: str, value: Any) -> str:
    """Return what a keyword says of a value."""
    return _WORDS[keyword].format(value)


def replaced(
    core: Object, keyword: str, value: Any, out: Object, known: frozenset[str]
) -> list[str]:
    """Put a limit in other words, and return what is left to tell."""
    inclusive = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}.get(keyword)
    if inclusive in known and core["type"] == "integer":
        if inclusive == "minimum":
            out[inclusive] = max(math.floor(value) + 1, core.get(inclusive, -math.inf))
        else:
            out[inclusive] = min(math.ceil(value) - 1, core.get(inclusive, math.inf))
        return []
    if keyword == "uniqueItems":
        return ["no item twice"] if value else []
    return [in_words(keyword, value)]


def leftovers(core: Object, handled: frozenset[str]) -> list[str]:
    """Return what the keywords say that nothing else has handled."""
    known = handled | {"description", "default"}
    return [f"{name}: {json_text(value)}" for name, value in core.items() if name not in known]


def numbered(index: int) -> str:
    """Return the name of a place in a tuple that is written as an object."""
    return f"item_{index + 1}"


def described(out: Object, description: str, hints: list[str]) -> Object:
    """Return a schema with a description and, in brackets, what else is to be told."""
    told = "; ".join(hints)
    text = f"{description} ({told})" if description and told else description or told
    return {**out, "description": text} if text else out


def json_text(value: Any) -> str:
    """Return a value as JSON, readable."""
    return json.dumps(value, ensure_ascii=False)
