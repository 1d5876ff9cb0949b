"""The messages by the names that ``google.generativeai.protos`` gave them."""

from multiturn.candidate import (
    Candidate,
    CitationMetadata,
    CitationSource,
    CountTokensResponse,
    GenerateContentResponse,
    HarmCategory,
    ModalityTokenCount,
    SafetyRating,
)
from multiturn.content import (
    Blob,
    CodeExecutionResult,
    Content,
    ExecutableCode,
    FileData,
    FunctionCall,
    FunctionResponse,
    FunctionResponsePart,
    Part,
    VideoMetadata,
)
from multiturn.settings import GenerationConfig, SafetySetting, Schema, Type

__all__ = [
    "Blob",
    "Candidate",
    "CitationMetadata",
    "CitationSource",
    "CodeExecutionResult",
    "Content",
    "CountTokensResponse",
    "ExecutableCode",
    "FileData",
    "FunctionCall",
    "FunctionResponse",
    "FunctionResponsePart",
    "GenerateContentResponse",
    "GenerationConfig",
    "HarmCategory",
    "ModalityTokenCount",
    "Part",
    "SafetyRating",
    "SafetySetting",
    "Schema",
    "Type",
    "VideoMetadata",
]
