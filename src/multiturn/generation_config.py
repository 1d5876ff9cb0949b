"""How an answer is to be made, as a dataclass; loaded when it is first named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from multiturn.messages import settings


@dataclass
class GenerationConfig:
    """How an answer is to be made; None leaves it to the model.

    Attributes:
        candidate_count: How many answers; a conversation takes one.
        stop_sequences: Texts that end the answer and are not part of it.
        max_output_tokens: Length of the answer at most, in tokens.
        temperature: 0 always takes the likeliest token; larger is more varied.
        top_p: Only the likeliest tokens that have this probability together, in (0, 1].
        top_k: Only this many of the likeliest tokens.
        response_mime_type: "text/plain", "application/json" or "text/x.enum".
        response_schema: Shape of a JSON answer: a Schema, its dict, or a Python type.
        presence_penalty: Added weight against tokens that were used, in [-2, 2].
        frequency_penalty: The same for each use.
        seed: Equal seeds make equal answers as far as the model can.
        response_json_schema: Shape of a JSON answer as JSON Schema.
        thinking_config: How much the model thinks, as a dict of the wire's members.
    """

    candidate_count: int | None = None
    stop_sequences: Iterable[str] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    response_mime_type: str | None = None
    response_schema: settings.Schema | Mapping[str, Any] | type | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_json_schema: Mapping[str, Any] | None = None
    thinking_config: Mapping[str, Any] | None = None
