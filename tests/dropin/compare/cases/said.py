"""Answers that the scripted service gives."""

from __future__ import annotations

from typing import Any

USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8}
RATINGS = [
    {"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"},
    {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "LOW"},
]


def parts(*listed: dict[str, Any], finish: str | None = "STOP", **members: Any) -> dict[str, Any]:
    """Return a reply with these parts."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(listed)}, **members}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "m-1"}


def text(*pieces: str, finish: str | None = "STOP", **members: Any) -> dict[str, Any]:
    """Return a reply with these texts."""
    return parts(*({"text": piece} for piece in pieces), finish=finish, **members)


def stream(*pieces: str, finish: str = "STOP") -> list[dict[str, Any]]:
    """Return a reply in pieces."""
    last = len(pieces) - 1
    return [text(p, finish=finish if i == last else None) for i, p in enumerate(pieces)]


HELLO = text("Hello.")
BLOCKED = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": RATINGS}}
CALL = parts({"functionCall": {"name": "add", "args": {"a": 1, "b": 2.5}}})
