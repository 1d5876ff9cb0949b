"""What comes back: the messages of a reply, as the wire has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.messages.content import Content
from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    Bytes,
    EnumField,
    Flag,
    Float,
    Integer,
    JsonValue,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.message import Message

if TYPE_CHECKING:
    from multiturn.messages import grounding


class FinishReason(OpenEnum):
    """Why an answer ended."""

    FINISH_REASON_UNSPECIFIED = 0
    STOP = 1
    MAX_TOKENS = 2
    SAFETY = 3
    RECITATION = 4
    LANGUAGE = 6
    OTHER = 5
    BLOCKLIST = 7
    PROHIBITED_CONTENT = 8
    SPII = 9
    MALFORMED_FUNCTION_CALL = 10
    IMAGE_SAFETY = 11
    UNEXPECTED_TOOL_CALL = 12
    TOO_MANY_TOOL_CALLS = 13
    IMAGE_PROHIBITED_CONTENT = 14
    IMAGE_OTHER = 15
    NO_IMAGE = 16
    IMAGE_RECITATION = 17


class BlockReason(OpenEnum):
    """Why a prompt was refused."""

    BLOCK_REASON_UNSPECIFIED = 0
    SAFETY = 1
    OTHER = 2
    BLOCKLIST = 3
    PROHIBITED_CONTENT = 4
    IMAGE_SAFETY = 5


class HarmCategory(OpenEnum):
    """A kind of harm that answers are rated for."""

    HARM_CATEGORY_UNSPECIFIED = 0
    HARM_CATEGORY_DEROGATORY = 1
    HARM_CATEGORY_TOXICITY = 2
    HARM_CATEGORY_VIOLENCE = 3
    HARM_CATEGORY_SEXUAL = 4
    HARM_CATEGORY_MEDICAL = 5
    HARM_CATEGORY_DANGEROUS = 6
    HARM_CATEGORY_HARASSMENT = 7
    HARM_CATEGORY_HATE_SPEECH = 8
    HARM_CATEGORY_SEXUALLY_EXPLICIT = 9
    HARM_CATEGORY_DANGEROUS_CONTENT = 10
    HARM_CATEGORY_CIVIC_INTEGRITY = 11


class HarmProbability(OpenEnum):
    """How likely a harm is."""

    HARM_PROBABILITY_UNSPECIFIED = 0
    NEGLIGIBLE = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4


class SafetyRating(Message):
    """How an answer or a prompt was rated for one kind of harm."""

    HarmProbability = HarmProbability

    category = EnumField(HarmCategory)
    probability = EnumField(HarmProbability)
    blocked = Flag()
    probability_score = Float(presence=True)
    severity = String(presence=True)
    severity_score = Float(presence=True)
    overwritten_threshold = String(presence=True)


class CitationSource(Message):
    """Where a stretch of an answer was quoted from; offsets are bytes of the answer."""

    start_index = Integer(presence=True)
    end_index = Integer(presence=True)
    uri = String(presence=True)
    license_ = String(presence=True)
    title = String(presence=True)
    publication_date = JsonValue()


class CitationMetadata(Message):
    """The quotations of an answer."""

    citation_sources = Repeated(Nested(CitationSource))
    citations = Repeated(Nested(CitationSource), presence=True)


# Loaded when one is read: most answers rest on nothing but the model.


def _grounding_attribution() -> type[grounding.GroundingAttribution]:
    from multiturn.messages.grounding import GroundingAttribution

    return GroundingAttribution


def _grounding_metadata() -> type[grounding.GroundingMetadata]:
    from multiturn.messages.grounding import GroundingMetadata

    return GroundingMetadata


def _logprobs_result() -> type[grounding.LogprobsResult]:
    from multiturn.messages.grounding import LogprobsResult

    return LogprobsResult


def _url_context_metadata() -> type[grounding.UrlContextMetadata]:
    from multiturn.messages.grounding import UrlContextMetadata

    return UrlContextMetadata


class Candidate(Message):
    """One answer, or the piece of it that a chunk brings."""

    FinishReason = FinishReason

    index = Integer(presence=True)
    content = Nested(Content)
    finish_reason = EnumField(FinishReason)
    finish_message = String(presence=True)
    safety_ratings = Repeated(Nested(SafetyRating))
    citation_metadata = Nested(CitationMetadata)
    token_count = Integer()
    grounding_attributions = Repeated(Nested(_grounding_attribution))
    grounding_metadata = Nested(_grounding_metadata)
    avg_logprobs = Float()
    logprobs_result = Nested(_logprobs_result)
    url_context_metadata = Nested(_url_context_metadata)
    continuation_token = Bytes(presence=True)


class TokenModality(OpenEnum):
    """What tokens stand for."""

    MODALITY_UNSPECIFIED = 0
    TEXT = 1
    IMAGE = 2
    VIDEO = 3
    AUDIO = 4
    DOCUMENT = 5


class ModalityTokenCount(Message):
    """Tokens of one modality."""

    modality = EnumField(TokenModality)
    token_count = Integer()


class UsageMetadata(Message):
    """Tokens of a request and its answer; ``total_token_count`` includes thoughts."""

    prompt_token_count = Integer()
    cached_content_token_count = Integer()
    candidates_token_count = Integer()
    tool_use_prompt_token_count = Integer(presence=True)
    thoughts_token_count = Integer(presence=True)
    total_token_count = Integer()
    prompt_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)
    cache_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)
    candidates_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)
    tool_use_prompt_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)
    service_tier = String(presence=True)
    traffic_type = String(presence=True)


class PromptFeedback(Message):
    """Why the prompt itself was refused; then there are no candidates."""

    BlockReason = BlockReason

    block_reason = EnumField(BlockReason)
    block_reason_message = String(presence=True)
    safety_ratings = Repeated(Nested(SafetyRating))


class GenerateContentResponse(Message):
    """A whole reply as the wire has it, or one chunk of it; both have this shape."""

    PromptFeedback = PromptFeedback
    UsageMetadata = UsageMetadata

    candidates = Repeated(Nested(Candidate))
    prompt_feedback = Nested(PromptFeedback)
    usage_metadata = Nested(UsageMetadata)
    model_version = String()
    response_id = String(presence=True)
    create_time = String(presence=True)
    model_status = JsonValue()


class CountTokensResponse(Message):
    """How many tokens a request would send."""

    total_tokens = Integer()
    cached_content_token_count = Integer()
    prompt_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)
    cache_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)
