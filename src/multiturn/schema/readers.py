"""What each reader of schemas knows, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_NUMBER_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_SIZE_LIMITS = {"minItems", "maxItems", "minProperties", "maxProperties"}
_TEXT_LIMITS = {"minLength", "maxLength", "pattern"}
EVERY_LIMIT = frozenset(
    _NUMBER_LIMITS | _SIZE_LIMITS | _TEXT_LIMITS | {"uniqueItems", "contentEncoding"}
)
_RFC_FORMATS = frozenset(
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)


@dataclass(frozen=True)
class Rules:
    """What one reader knows.

    Attributes:
        limits: Keywords that limit a value.
        formats: Values of ``format``; None knows all.
        enum_types: Types that may have an ``enum``.
        other_enums: What becomes of the enum of another type.
        references: Whether types may contain themselves; "optional" only where not required.
        maps: How an object with free names is written.
        tuples: How a list with a type for each place is written.
        anything: Whether a schema may leave the type open.
        defaults: Whether ``default`` is known.
        strict: Whether every member is required and null means not given.
    """

    limits: frozenset[str]
    formats: frozenset[str] | None = None
    enum_types: frozenset[str] = frozenset(["string", "integer", "number", "boolean"])
    other_enums: Literal["tell", "refuse"] = "tell"
    references: Literal["keep", "optional", "refuse"] = "keep"
    maps: Literal["keep", "pairs", "refuse"] = "keep"
    tuples: Literal["keep", "members", "refuse"] = "keep"
    anything: bool = True
    defaults: bool = False
    strict: bool = False


# Sources: the Gemini API's reference of Schema and of parametersJsonSchema; OpenAI's guide
# "Structured Outputs", section on supported schemas; llguidance's README on JSON Schema,
# which compiles the schemas of the embedded engine.
RULES: dict[str, Rules] = {
    "json": Rules(
        frozenset(["minItems", "maxItems", "minimum", "maximum"]),
        frozenset(["date-time", "date", "time"]),
        frozenset(["string", "integer", "number"]),
        references="optional",
    ),
    "gemini": Rules(
        frozenset({"minimum", "maximum"} | _SIZE_LIMITS | _TEXT_LIMITS),
        frozenset(["date-time"]),
        frozenset(["string"]),
        other_enums="refuse",
        references="refuse",
        maps="refuse",
        tuples="refuse",
        anything=False,
    ),
    "openai": Rules(EVERY_LIMIT, defaults=True),
    "openai-strict": Rules(
        frozenset(_NUMBER_LIMITS | {"minItems", "maxItems", "pattern"}),
        _RFC_FORMATS,
        maps="pairs",
        tuples="members",
        anything=False,
        strict=True,
    ),
    "grammar": Rules(
        frozenset(_NUMBER_LIMITS | _TEXT_LIMITS | {"minItems", "maxItems"}),
        _RFC_FORMATS,
    ),
}
