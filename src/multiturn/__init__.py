"""The conversation with a language model, as one Python object.

import multiturn as genai

chat = genai.GenerativeModel().start_chat()
print(chat.send_message("Hello").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.chat import ChatSession
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    ConnectionFailed,
    ContextTooLong,
    DownloadFailed,
    EngineError,
    FrozenContent,
    IncompleteIterationError,
    InvalidContent,
    MalformedReply,
    MissingKey,
    MultiturnError,
    ReplyError,
    SessionBusy,
    StatusError,
    StopCandidateException,
    TimedOut,
    TurnCancelled,
    UnknownName,
    UsageError,
    WeightsBroken,
    WeightsError,
    WeightsMissing,
)
from multiturn.model import GenerativeModel
from multiturn.retry import Retry

if TYPE_CHECKING:
    from multiturn import protos, types
    from multiturn.access import configure
    from multiturn.backends.embedded import EmbeddedBackend
    from multiturn.generation_config import GenerationConfig

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "BlockedPromptException",
    "BrokenResponseError",
    "ChatSession",
    "ConnectionFailed",
    "ContextTooLong",
    "DownloadFailed",
    "EmbeddedBackend",
    "EngineError",
    "FrozenContent",
    "GenerationConfig",
    "GenerativeModel",
    "IncompleteIterationError",
    "InvalidContent",
    "MalformedReply",
    "MissingKey",
    "MultiturnError",
    "ReplyError",
    "Retry",
    "SessionBusy",
    "StatusError",
    "StopCandidateException",
    "TimedOut",
    "TurnCancelled",
    "UnknownName",
    "UsageError",
    "WeightsBroken",
    "WeightsError",
    "WeightsMissing",
    "__version__",
    "configure",
    "protos",
    "types",
]


def __getattr__(name: str) -> object:
    # Loaded when first named: a conversation can do without them.
    if name == "GenerationConfig":
        from multiturn.generation_config import GenerationConfig

        return GenerationConfig
    if name == "configure":
        from multiturn.access import configure

        return configure
    if name == "EmbeddedBackend":
        from multiturn.backends.embedded import EmbeddedBackend

        return EmbeddedBackend
    if name in ("protos", "types"):
        import multiturn.protos
        import multiturn.types

        return {"protos": multiturn.protos, "types": multiturn.types}[name]
    raise AttributeError(f"module 'multiturn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
