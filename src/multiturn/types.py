"""Classes and accepted forms by the names that ``google.generativeai.types`` gave them."""

from multiturn.async_response import AsyncGenerateContentResponse
from multiturn.candidate import BlockReason as BlockedReason
from multiturn.candidate import HarmCategory, HarmProbability
from multiturn.config import GenerationConfigLike as GenerationConfigType
from multiturn.errors import (
    BlockedPromptException,
    BrokenResponseError,
    IncompleteIterationError,
    StopCandidateException,
)
from multiturn.generation_config import GenerationConfig
from multiturn.options import RequestOptions
from multiturn.options import RequestOptionsLike as RequestOptionsType
from multiturn.response import (
    BaseGenerateContentResponse,
    GenerateContentResponse,
)
from multiturn.settings import HarmBlockThreshold
from multiturn.to_content import ContentLike as ContentType
from multiturn.to_content import ContentsLike as ContentsType
from multiturn.to_content import PartLike as PartType

__all__ = [
    "AsyncGenerateContentResponse",
    "BaseGenerateContentResponse",
    "BlockedPromptException",
    "BlockedReason",
    "BrokenResponseError",
    "ContentType",
    "ContentsType",
    "GenerateContentResponse",
    "GenerationConfig",
    "GenerationConfigType",
    "HarmBlockThreshold",
    "HarmCategory",
    "HarmProbability",
    "IncompleteIterationError",
    "PartType",
    "RequestOptions",
    "RequestOptionsType",
    "StopCandidateException",
]
