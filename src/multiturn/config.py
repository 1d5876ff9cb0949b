"""How an answer is to be made, in every form a person may write it, merged and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from multiturn.errors import InvalidContent, SchemaError
from multiturn.messages import settings
from multiturn.messages.message import Object, plain_json

if TYPE_CHECKING:
    from multiturn.generation_config import GenerationConfig


GenerationConfigLike: TypeAlias = (
    "GenerationConfig | settings.GenerationConfig | Mapping[str, Any] | None"
)

_NO_LIMIT = float("inf")
# Lower and upper limits that every backend shares (the Gemini and OpenAI references).
_LIMITS: dict[str, tuple[float, float]] = {
    "candidateCount": (1, 8),
    "maxOutputTokens": (1, _NO_LIMIT),
    "temperature": (0, _NO_LIMIT),
    "topP": (0, 1),
    "topK": (0, _NO_LIMIT),
    "presencePenalty": (-2, 2),
    "frequencyPenalty": (-2, 2),
}


def merged_config(*configs: GenerationConfigLike) -> Object:
    """Return the wire's GenerationConfig that several configurations make; later ones win.

    Raises:
        UnknownName: A member does not exist; the nearest name is suggested.
        InvalidContent: A value has the wrong type or is out of its limits.
    """
    merged: Object = {}
    for config in configs:
        merged.update(_config_object(config))
    for name, (lowest, highest) in _LIMITS.items():
        value = merged.get(name)
        if value is not None and not lowest <= value <= highest:
            limits = f"from {lowest:g} to {highest:g}" if highest < _NO_LIMIT else f"≥ {lowest:g}"
            path = f"$.generation_config.{_as_written(name, configs)}"
            raise InvalidContent(path, value, f"a number {limits}")
    return merged


def _as_written(wire: str, configs: tuple[GenerationConfigLike, ...]) -> str:
    """Return the name by which a person gave a member."""
    if any(isinstance(config, Mapping) and wire in config for config in configs):
        return wire
    return python_name(wire)


def python_name(wire: str) -> str:
    """Return the name that a member has in Python, as ``top_k`` for ``topK``."""
    fields = settings.GenerationConfig.fields.items()
    return next((name for name, field in fields if field.wire == wire), wire)


def _config_object(config: GenerationConfigLike) -> Object:
    path = "$.generation_config"
    if config is None:
        return {}
    if isinstance(config, settings.GenerationConfig):
        return config.canonical(settings.GenerationConfig(config).json_object)
    if hasattr(config, "__dataclass_fields__"):
        members = dict(vars(config))
    elif isinstance(config, Mapping):
        members = dict(config)
    else:
        from multiturn.to_content import as_ours

        if (ours := as_ours(config)) is not config:
            return _config_object(ours)
        raise InvalidContent(path, config, "a GenerationConfig or a dict of its members")
    for name in ("stop_sequences", "stopSequences"):
        if isinstance(members.get(name), str):
            members[name] = [members[name]]
    for name in ("response_schema", "responseSchema"):
        if members.get(name) is not None:
            members.setdefault("response_json_schema", None)
            members.update(_schema_member(name, members.pop(name), f"{path}.{name}"))
    for name in ("response_json_schema", "responseJsonSchema"):
        if not isinstance(members.get(name), Mapping | bool | None):
            raise InvalidContent(f"{path}.{name}", members[name], "JSON Schema, as a dict")
    return settings.GenerationConfig.object_from(members, path, "refuse")


def _schema_member(name: str, schema: Any, path: str) -> Object:
    """Return a schema under the name that can hold it: ours, or JSON Schema."""
    from multiturn.schema_subset import schema_or_json
    from multiturn.to_content import as_ours

    schema = as_ours(schema)
    if not isinstance(schema, settings.Schema | Mapping):
        from multiturn.schema import schema_of

        schema = schema_of(schema)
    subset, json_schema = schema_or_json(schema, path)
    if subset is not None:
        return {name: settings.Schema.view(subset)}
    _require_schema(schema, path)
    return {"response_json_schema": json_schema}


def _require_schema(schema: object, path: str) -> None:
    """Refuse what is no schema in any words, as one with a misspelt type."""
    from multiturn.schema import for_dialect

    try:
        for_dialect(plain_json(schema, path), "json")
    except SchemaError as error:
        raise InvalidContent(path, schema, f"a Schema or JSON Schema ({error})") from error
