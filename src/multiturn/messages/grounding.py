"""On what an answer rests, as the wire has it: searches, sources, pages, and probabilities."""

from __future__ import annotations

from multiturn.messages.content import Content
from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    Bytes,
    EnumField,
    Float,
    Integer,
    JsonValue,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.message import Message


class Segment(Message):
    """A stretch of an answer, in bytes of its UTF-8."""

    part_index = Integer()
    start_index = Integer()
    end_index = Integer()
    text = String()


class GroundingSupport(Message):
    """Which sources support a stretch of an answer; indices into ``grounding_chunks``."""

    segment = Nested(Segment)
    grounding_chunk_indices = Repeated(Integer())
    confidence_scores = Repeated(Float())
    rendered_parts = Repeated(Integer(), presence=True)


class Web(Message):
    """A web page."""

    uri = String(presence=True)
    title = String(presence=True)
    domain = String(presence=True)


class RetrievedContext(Message):
    """A piece of one of your files."""

    uri = String(presence=True)
    title = String(presence=True)
    text = String(presence=True)
    document_name = String(presence=True)
    file_search_store = String(presence=True)
    page_number = Integer(presence=True)
    custom_metadata = JsonValue()
    rag_chunk = JsonValue()


class ReviewSnippet(Message):
    """A review of a place."""

    review_id = String(presence=True)
    google_maps_uri = String(presence=True)
    title = String(presence=True)


class PlaceAnswerSources(Message):
    """The reviews behind what was said of a place."""

    ReviewSnippet = ReviewSnippet

    review_snippets = Repeated(Nested(ReviewSnippet))


class Maps(Message):
    """A place on a map."""

    PlaceAnswerSources = PlaceAnswerSources

    uri = String(presence=True)
    title = String(presence=True)
    text = String(presence=True)
    place_id = String(presence=True)
    place_answer_sources = Nested(PlaceAnswerSources)
    route = JsonValue()


class GroundingChunk(Message):
    """One source."""

    Web = Web
    RetrievedContext = RetrievedContext
    Maps = Maps

    web = Nested(Web, oneof="chunk_type")
    retrieved_context = Nested(RetrievedContext, oneof="chunk_type")
    maps = Nested(Maps, oneof="chunk_type")
    image = JsonValue()


class SearchEntryPoint(Message):
    """The suggestions of searches that must be shown with the answer."""

    rendered_content = String()
    sdk_blob = Bytes()


class RetrievalMetadata(Message):
    """How likely a search was to help."""

    google_search_dynamic_retrieval_score = Float()


class GroundingMetadata(Message):
    """The searches and sources of an answer."""

    search_entry_point = Nested(SearchEntryPoint)
    grounding_chunks = Repeated(Nested(GroundingChunk))
    grounding_supports = Repeated(Nested(GroundingSupport))
    retrieval_metadata = Nested(RetrievalMetadata)
    web_search_queries = Repeated(String())
    google_maps_widget_context_token = String(presence=True)
    image_search_queries = Repeated(String(), presence=True)
    retrieval_queries = Repeated(String(), presence=True)
    source_flagging_uris = JsonValue()


class GroundingPassageId(Message):
    """A part of a passage that was sent along."""

    passage_id = String()
    part_index = Integer()


class SemanticRetrieverChunk(Message):
    """A chunk of a corpus."""

    source = String()
    chunk = String()


class AttributionSourceId(Message):
    """Which passage or chunk an attribution means."""

    GroundingPassageId = GroundingPassageId
    SemanticRetrieverChunk = SemanticRetrieverChunk

    grounding_passage = Nested(GroundingPassageId, oneof="source")
    semantic_retriever_chunk = Nested(SemanticRetrieverChunk, oneof="source")


class GroundingAttribution(Message):
    """A source of an answer, in the old form."""

    source_id = Nested(AttributionSourceId)
    content = Nested(Content)


class TokenProbability(Message):
    """A token and the logarithm of its probability."""

    token = String(presence=True)
    token_id = Integer(presence=True)
    log_probability = Float(presence=True)


class TopCandidates(Message):
    """The likeliest tokens of one step, likeliest first."""

    candidates = Repeated(Nested(TokenProbability))


class LogprobsResult(Message):
    """The probabilities of an answer's tokens, step by step."""

    Candidate = TokenProbability
    TopCandidates = TopCandidates

    log_probability_sum = Float(presence=True)
    top_candidates = Repeated(Nested(TopCandidates))
    chosen_candidates = Repeated(Nested(TokenProbability))


class UrlRetrievalStatus(OpenEnum):
    """How the fetching of a page ended."""

    URL_RETRIEVAL_STATUS_UNSPECIFIED = 0
    URL_RETRIEVAL_STATUS_SUCCESS = 1
    URL_RETRIEVAL_STATUS_ERROR = 2
    URL_RETRIEVAL_STATUS_PAYWALL = 3
    URL_RETRIEVAL_STATUS_UNSAFE = 4


class UrlMetadata(Message):
    """How the fetching of one page ended."""

    UrlRetrievalStatus = UrlRetrievalStatus

    retrieved_url = String()
    url_retrieval_status = EnumField(UrlRetrievalStatus)


class UrlContextMetadata(Message):
    """The pages that were fetched for an answer."""

    url_metadata = Repeated(Nested(UrlMetadata))
