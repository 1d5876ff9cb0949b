"""Models and conversations by the module that the old SDK kept them in."""

from __future__ import annotations

from multiturn import caching, protos
from multiturn.chat import ChatSession
from multiturn.model import GenerativeModel
from multiturn.types import content_types, generation_types, helper_types, safety_types

__all__ = [
    "ChatSession",
    "GenerativeModel",
    "caching",
    "content_types",
    "generation_types",
    "helper_types",
    "protos",
    "safety_types",
]
