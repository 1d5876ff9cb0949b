"""The messages by the names that ``google.generativeai.protos`` gave them."""

from __future__ import annotations

from typing import Any

from multiturn.messages.bodies import (
    BatchEmbedContentsRequest,
    BatchEmbedContentsResponse,
    ContentEmbedding,
    CountTokensRequest,
    EmbedContentRequest,
    EmbedContentResponse,
    GenerateContentRequest,
    TaskType,
)
from multiturn.messages.candidate import (
    Candidate,
    CitationMetadata,
    CitationSource,
    CountTokensResponse,
    GenerateContentResponse,
    HarmCategory,
    ModalityTokenCount,
    SafetyRating,
)
from multiturn.messages.content import (
    Blob,
    CodeExecutionResult,
    Content,
    ExecutableCode,
    FileData,
    FunctionCall,
    FunctionResponse,
    FunctionResponsePart,
    Part,
    ToolCall,
    ToolResponse,
)
from multiturn.messages.grounding import (
    AttributionSourceId,
    GroundingAttribution,
    GroundingChunk,
    GroundingMetadata,
    GroundingSupport,
    LogprobsResult,
    RetrievalMetadata,
    SearchEntryPoint,
    Segment,
    UrlContextMetadata,
    UrlMetadata,
)
from multiturn.messages.resources import CachedContent, File, Model, Status, VideoMetadata
from multiturn.messages.service_messages import NAMES as _SERVICE_NAMES
from multiturn.messages.settings import GenerationConfig, SafetySetting, Schema, Type
from multiturn.messages.speech import (
    ImageConfig,
    MultiSpeakerVoiceConfig,
    PrebuiltVoiceConfig,
    SpeakerVoiceConfig,
    SpeechConfig,
    ThinkingConfig,
    VoiceConfig,
)
from multiturn.messages.tool_messages import (
    CodeExecution,
    DynamicRetrievalConfig,
    FileSearch,
    FunctionCallingConfig,
    FunctionDeclaration,
    GoogleMaps,
    GoogleSearchRetrieval,
    RetrievalConfig,
    Tool,
    ToolConfig,
    UrlContext,
)

__all__ = [  # noqa: PLE0604  (the rest is made when first named)
    "AttributionSourceId",
    "BatchEmbedContentsRequest",
    "BatchEmbedContentsResponse",
    "Blob",
    "CachedContent",
    "Candidate",
    "CitationMetadata",
    "CitationSource",
    "CodeExecution",
    "CodeExecutionResult",
    "Content",
    "ContentEmbedding",
    "CountTokensRequest",
    "CountTokensResponse",
    "DynamicRetrievalConfig",
    "EmbedContentRequest",
    "EmbedContentResponse",
    "ExecutableCode",
    "File",
    "FileData",
    "FileSearch",
    "FunctionCall",
    "FunctionCallingConfig",
    "FunctionDeclaration",
    "FunctionResponse",
    "FunctionResponsePart",
    "GenerateContentRequest",
    "GenerateContentResponse",
    "GenerationConfig",
    "GoogleMaps",
    "GoogleSearchRetrieval",
    "GroundingAttribution",
    "GroundingChunk",
    "GroundingMetadata",
    "GroundingSupport",
    "HarmCategory",
    "ImageConfig",
    "LogprobsResult",
    "ModalityTokenCount",
    "Model",
    "MultiSpeakerVoiceConfig",
    "Part",
    "PrebuiltVoiceConfig",
    "RetrievalConfig",
    "RetrievalMetadata",
    "SafetyRating",
    "SafetySetting",
    "Schema",
    "SearchEntryPoint",
    "Segment",
    "SpeakerVoiceConfig",
    "SpeechConfig",
    "Status",
    "TaskType",
    "ThinkingConfig",
    "Tool",
    "ToolCall",
    "ToolConfig",
    "ToolResponse",
    "Type",
    "UrlContext",
    "UrlContextMetadata",
    "UrlMetadata",
    "VideoMetadata",
    "VoiceConfig",
    *_SERVICE_NAMES,
]


def __getattr__(name: str) -> Any:
    if name in _SERVICE_NAMES:
        from multiturn.messages import service_messages

        return getattr(service_messages, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
