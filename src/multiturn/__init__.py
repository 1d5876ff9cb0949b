"""The conversation with a language model, as one Python object.

import multiturn as genai

chat = genai.GenerativeModel().start_chat()
print(chat.send_message("Hello").text)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.chat import ChatSession
from multiturn.errors import (
    ApprovalNeeded,
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
    NoSuchTurn,
    ReplyError,
    SessionBusy,
    StatusError,
    StopCandidateException,
    TimedOut,
    ToolError,
    TooManyRounds,
    TurnCancelled,
    UnknownName,
    UsageError,
    WeightsBroken,
    WeightsError,
    WeightsMissing,
)
from multiturn.model import GenerativeModel

if TYPE_CHECKING:
    from multiturn import caching, protos, types, version
    from multiturn.access import configure
    from multiturn.backends.any_llm.backend import AnyLlmBackend
    from multiturn.backends.embedded.backend import EmbeddedBackend
    from multiturn.backends.openai.backend import OpenAIBackend
    from multiturn.embedding import embed_content, embed_content_async
    from multiturn.export import load_chat
    from multiturn.fallback import FallbackBackend
    from multiturn.files import delete_file, get_file, list_files, upload_file
    from multiturn.generation_config import GenerationConfig
    from multiturn.models import get_base_model, get_model, list_models
    from multiturn.retry import Retry
    from multiturn.schema import Injected
    from multiturn.stores.errors import (
        Conflict,
        DiskFull,
        ForeignFile,
        OutcomeUnknown,
        SchemaTooNew,
        SearchUnavailable,
        SessionExists,
        SessionMissing,
        StoreBusy,
        StoreCorrupt,
        StoreError,
        StoreReadOnly,
        StoreUnreachable,
        StoreUnusable,
        TurnDamaged,
        TurnMissing,
    )
    from multiturn.stores.memory import MemoryStore
    from multiturn.stores.postgres import PostgresStore
    from multiturn.stores.sqlite import SQLiteStore
    from multiturn.tools.calling import Refusal
    from multiturn.tools.functions import requires_approval
    from multiturn.tools.mcp import McpTools

__version__ = "0.1.0"

__all__ = [
    "AnyLlmBackend",
    "ApprovalNeeded",
    "BackendError",
    "BlockedPromptException",
    "BrokenResponseError",
    "ChatSession",
    "Conflict",
    "ConnectionFailed",
    "ContextTooLong",
    "DiskFull",
    "DownloadFailed",
    "EmbeddedBackend",
    "EngineError",
    "FallbackBackend",
    "ForeignFile",
    "FrozenContent",
    "GenerationConfig",
    "GenerativeModel",
    "IncompleteIterationError",
    "Injected",
    "InvalidContent",
    "MalformedReply",
    "McpTools",
    "MemoryStore",
    "MissingKey",
    "MultiturnError",
    "NoSuchTurn",
    "OpenAIBackend",
    "OutcomeUnknown",
    "PostgresStore",
    "Refusal",
    "ReplyError",
    "Retry",
    "SQLiteStore",
    "SchemaTooNew",
    "SearchUnavailable",
    "SessionBusy",
    "SessionExists",
    "SessionMissing",
    "StatusError",
    "StopCandidateException",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreReadOnly",
    "StoreUnreachable",
    "StoreUnusable",
    "TimedOut",
    "TooManyRounds",
    "ToolError",
    "TurnCancelled",
    "TurnDamaged",
    "TurnMissing",
    "UnknownName",
    "UsageError",
    "WeightsBroken",
    "WeightsError",
    "WeightsMissing",
    "__version__",
    "caching",
    "configure",
    "delete_file",
    "embed_content",
    "embed_content_async",
    "get_base_model",
    "get_file",
    "get_model",
    "list_files",
    "list_models",
    "load_chat",
    "protos",
    "requires_approval",
    "types",
    "upload_file",
    "version",
]


# Loaded when first named, since a conversation can do without: name, then its module.
_LAZY = {
    "AnyLlmBackend": "multiturn.backends.any_llm.backend",
    "Conflict": "multiturn.stores.errors",
    "DiskFull": "multiturn.stores.errors",
    "EmbeddedBackend": "multiturn.backends.embedded.backend",
    "FallbackBackend": "multiturn.fallback",
    "ForeignFile": "multiturn.stores.errors",
    "GenerationConfig": "multiturn.generation_config",
    "Injected": "multiturn.schema",
    "McpTools": "multiturn.tools.mcp",
    "MemoryStore": "multiturn.stores.memory",
    "OpenAIBackend": "multiturn.backends.openai.backend",
    "OutcomeUnknown": "multiturn.stores.errors",
    "PostgresStore": "multiturn.stores.postgres",
    "Refusal": "multiturn.tools.calling",
    "Retry": "multiturn.retry",
    "SQLiteStore": "multiturn.stores.sqlite",
    "SchemaTooNew": "multiturn.stores.errors",
    "SearchUnavailable": "multiturn.stores.errors",
    "SessionExists": "multiturn.stores.errors",
    "SessionMissing": "multiturn.stores.errors",
    "StoreBusy": "multiturn.stores.errors",
    "StoreCorrupt": "multiturn.stores.errors",
    "StoreError": "multiturn.stores.errors",
    "StoreReadOnly": "multiturn.stores.errors",
    "StoreUnreachable": "multiturn.stores.errors",
    "StoreUnusable": "multiturn.stores.errors",
    "TurnDamaged": "multiturn.stores.errors",
    "TurnMissing": "multiturn.stores.errors",
    "configure": "multiturn.access",
    "delete_file": "multiturn.files",
    "embed_content": "multiturn.embedding",
    "embed_content_async": "multiturn.embedding",
    "get_base_model": "multiturn.models",
    "get_file": "multiturn.files",
    "get_model": "multiturn.models",
    "list_files": "multiturn.files",
    "list_models": "multiturn.models",
    "load_chat": "multiturn.export",
    "requires_approval": "multiturn.tools.functions",
    "upload_file": "multiturn.files",
}
_LAZY_MODULES = ("caching", "protos", "types", "version")


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(__import__(_LAZY[name], fromlist=[name]), name)
    if name in _LAZY_MODULES:
        return __import__(f"multiturn.{name}", fromlist=["*"])
    from multiturn.retired import missing

    raise missing(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
