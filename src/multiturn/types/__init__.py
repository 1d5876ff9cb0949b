"""Classes and accepted forms by the names that ``google.generativeai.types`` gave them."""

from __future__ import annotations

from multiturn.types import (
    caching_types,
    citation_types,
    content_types,
    file_types,
    generation_types,
    helper_types,
    model_types,
    safety_types,
    text_types,
)
from multiturn.types.citation_types import CitationMetadataDict, CitationSourceDict
from multiturn.types.content_types import (
    BlobDict,
    BlobType,
    CallableFunctionDeclaration,
    ContentDict,
    ContentsType,
    ContentType,
    FunctionDeclaration,
    FunctionDeclarationType,
    FunctionLibrary,
    FunctionLibraryType,
    PartDict,
    PartType,
    StrictContentType,
    Tool,
    ToolDict,
    ToolsType,
)
from multiturn.types.file_types import (
    File,
    FileDataDict,
    FileDataType,
    Status,
    to_file_data,
)
from multiturn.types.generation_types import (
    AsyncGenerateContentResponse,
    BaseGenerateContentResponse,
    BlockedPromptException,
    BrokenResponseError,
    GenerateContentResponse,
    GenerationConfig,
    GenerationConfigDict,
    GenerationConfigType,
    IncompleteIterationError,
    StopCandidateException,
)
from multiturn.types.helper_types import RequestOptions, RequestOptionsType
from multiturn.types.model_types import (
    AnyModelNameOptions,
    BaseModelNameOptions,
    Model,
    ModelNameOptions,
    ModelsIterable,
)
from multiturn.types.safety_types import (
    BlockedReason,
    ContentFilterDict,
    HarmBlockThreshold,
    HarmCategory,
    HarmProbability,
    SafetyFeedbackDict,
    SafetyRatingDict,
    SafetySettingDict,
)

__all__ = [
    "AnyModelNameOptions",
    "AsyncGenerateContentResponse",
    "BaseGenerateContentResponse",
    "BaseModelNameOptions",
    "BlobDict",
    "BlobType",
    "BlockedPromptException",
    "BlockedReason",
    "BrokenResponseError",
    "CallableFunctionDeclaration",
    "CitationMetadataDict",
    "CitationSourceDict",
    "ContentDict",
    "ContentFilterDict",
    "ContentType",
    "ContentsType",
    "File",
    "FileDataDict",
    "FileDataType",
    "FunctionDeclaration",
    "FunctionDeclarationType",
    "FunctionLibrary",
    "FunctionLibraryType",
    "GenerateContentResponse",
    "GenerationConfig",
    "GenerationConfigDict",
    "GenerationConfigType",
    "HarmBlockThreshold",
    "HarmCategory",
    "HarmProbability",
    "IncompleteIterationError",
    "Model",
    "ModelNameOptions",
    "ModelsIterable",
    "PartDict",
    "PartType",
    "RequestOptions",
    "RequestOptionsType",
    "SafetyFeedbackDict",
    "SafetyRatingDict",
    "SafetySettingDict",
    "Status",
    "StopCandidateException",
    "StrictContentType",
    "Tool",
    "ToolDict",
    "ToolsType",
    "caching_types",
    "citation_types",
    "content_types",
    "file_types",
    "generation_types",
    "helper_types",
    "model_types",
    "safety_types",
    "text_types",
    "to_file_data",
]


def __getattr__(name: str) -> object:
    from multiturn.retired import missing

    raise missing(__name__, name)
