"""Whether two SDKs did the same: same outcome, same requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from multiturn import protos

_BODIES = {
    "generateContent": protos.GenerateContentRequest,
    "streamGenerateContent": protos.GenerateContentRequest,
    "countTokens": protos.CountTokensRequest,
    "embedContent": protos.EmbedContentRequest,
    "batchEmbedContents": protos.BatchEmbedContentsRequest,
    "cachedContents": protos.CachedContent,
}
# Members of bodies that gRPC needs to find its way, and HTTP has in the address.
_ADDRESS = ("model",)


# Empty, they say nothing.  The order of a schema's keys is said by ours only.
_EMPTY = ("generationConfig", "responseSchema")
# What the old SDK fills in when it joins chunks, and nobody sent.
_FILLED_IN: dict[str, tuple[Any, ...]] = {
    "index": (None, 0),
    "citation_metadata": (None, {}, {"citation_sources": []}),
    "prompt_feedback": (None, {"block_reason": 0, "safety_ratings": []}),
}


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return in what two records of one call differ, "" if in nothing."""
    asked = [_request(one) for one in old["asked"]], [_request(one) for one in new["asked"]]
    places = [] if _unsent(old, new) else list(_places(*asked, "asked"))
    return "\n".join((*places, *_places(old["gave"], new["gave"], "gave")))


def _unsent(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether both refused, ours before it asked anything."""
    return "!" in _mapping(old["gave"]) and "!" in _mapping(new["gave"]) and not new["asked"]


def _mapping(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


def _request(asked: dict[str, Any]) -> Any:
    place, body = asked["place"], asked["body"]
    method = re.split("[:/]", place)[-1]
    kind = _BODIES.get(method) or _BODIES.get(place.partition("/")[0])
    if isinstance(body, dict) and kind is not None:
        query = body.pop("?", None)
        inner = kind.canonical(kind.from_dict(body, ignore_unknown_fields=False).json_object)
        inner = _without_says_nothing(inner)
        if kind is not protos.CachedContent:
            inner = {n: v for n, v in inner.items() if n not in _ADDRESS}
        body = {**inner, **({"?": query} if query else {})}
    return asked["verb"], place, _numbers(body)


def _without_says_nothing(value: Any) -> Any:
    """Return a body without empty settings, the order of sets, and the role that is assumed."""
    if isinstance(value, list):
        return [_without_says_nothing(one) for one in value]
    if not isinstance(value, dict):
        return value
    out = {name: _without_says_nothing(member) for name, member in value.items()}
    out = {n: v for n, v in out.items() if v != {} or n not in _EMPTY}
    out.pop("propertyOrdering", None)
    if "safetySettings" in out:
        out["safetySettings"].sort(key=lambda one: one["category"])
    if isinstance(out.get("parts"), list) and out.get("role") == "user":
        del out["role"]
    return out


def _numbers(value: Any) -> Any:
    """Return JSON with floats as 32 bits hold them, and bytes and enumerations comparable."""
    if isinstance(value, dict):
        return {name: _numbers(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_numbers(member) for member in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _places(old: Any, new: Any, path: str) -> Iterator[str]:
    """Give where two values differ, and how.

    An error is the same if ours would be caught where theirs is.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        if "!" in old and "!" in new:
            if old["!"][0] not in new["!"]:
                yield f"{path}: {old['!'][0]} became {new['!'][0]}: {new['text']}"
            return
        for name in sorted({*old, *new} - {"property_ordering"}):
            nothing = _FILLED_IN.get(name, ())
            if old.get(name) in nothing and new.get(name) in nothing:
                continue
            yield from _places(old.get(name), new.get(name), f"{path}.{name}")
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _places(before, after, f"{path}[{i}]")
    elif old != new:
        yield f"{path}: {str(old)[:300]} became {str(new)[:300]}"
