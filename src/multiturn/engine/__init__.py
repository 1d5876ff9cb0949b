"""The embedded engine: messages in, text out, with a model that runs in this process.

It knows nothing of contents, chats or turns, and loads llama.cpp only when a model is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multiturn.engine.calls import Call, CallReader, CallSyntax
from multiturn.engine.protocol import (
    Engine,
    Function,
    Message,
    Messages,
    Piece,
    Role,
    Sampling,
    Template,
    Tools,
)

if TYPE_CHECKING:
    from multiturn.engine.llama import open_engine

__all__ = [
    "Call",
    "CallReader",
    "CallSyntax",
    "Engine",
    "Function",
    "Message",
    "Messages",
    "Piece",
    "Role",
    "Sampling",
    "Template",
    "Tools",
    "open_engine",
]


def __getattr__(name: str) -> Any:
    if name == "open_engine":
        from multiturn.engine.llama import open_engine

        return open_engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
