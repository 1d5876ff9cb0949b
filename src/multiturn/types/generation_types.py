"""Answers and how they are made, by the names of the old SDK."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypedDict

from multiturn.async_response import AsyncGenerateContentResponse
from multiturn.config import merged_config
from multiturn.errors import (
    BlockedPromptException,
    BrokenResponseError,
    IncompleteIterationError,
    StopCandidateException,
)
from multiturn.generation_config import GenerationConfig
from multiturn.messages import settings
from multiturn.messages.message import Object
from multiturn.response import BaseGenerateContentResponse, GenerateContentResponse

__all__ = [
    "AsyncGenerateContentResponse",
    "BaseGenerateContentResponse",
    "BlockedPromptException",
    "BrokenResponseError",
    "GenerateContentResponse",
    "GenerationConfig",
    "GenerationConfigDict",
    "GenerationConfigType",
    "IncompleteIterationError",
    "StopCandidateException",
    "rewrite_stream_error",
    "to_generation_config_dict",
]


class GenerationConfigDict(TypedDict, total=False):
    """How an answer is to be made, as a dict."""

    candidate_count: int
    stop_sequences: Iterable[str]
    max_output_tokens: int
    temperature: float
    response_mime_type: str
    response_schema: settings.Schema | Mapping[str, Any]
    presence_penalty: float
    frequency_penalty: float


GenerationConfigType = settings.GenerationConfig | GenerationConfigDict | GenerationConfig


def to_generation_config_dict(generation_config: Any) -> Object:
    """Return how an answer is to be made as a dict of what is set, by the names of Python."""
    message = settings.GenerationConfig.view(merged_config(generation_config))
    return {name: _value(getattr(message, name)) for name in message.fields if name in message}


def _value(value: Any) -> Any:
    return list(value) if hasattr(value, "insert") else value


@contextmanager
def rewrite_stream_error() -> Iterator[None]:
    """Do nothing: the errors of streams are clear already."""
    yield
