"""What a server is asked, as the wire has it: the bodies of its methods and of their replies."""

from __future__ import annotations

from multiturn.messages.candidate import ModalityTokenCount
from multiturn.messages.content import Content
from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    Bytes,
    EnumField,
    Flag,
    Float,
    Integer,
    MapOf,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.message import Message
from multiturn.messages.settings import GenerationConfig, SafetySetting
from multiturn.messages.tool_messages import Tool, ToolConfig


class GenerateContentRequest(Message):
    """A conversation, and how to answer it."""

    model = String()
    system_instruction = Nested(Content)
    contents = Repeated(Nested(Content))
    tools = Repeated(Nested(Tool))
    tool_config = Nested(ToolConfig)
    safety_settings = Repeated(Nested(SafetySetting))
    generation_config = Nested(GenerationConfig)
    cached_content = String(presence=True)
    service_tier = String(presence=True)
    continuation_token = Bytes(presence=True)
    store = Flag(presence=True)
    labels = MapOf(String(), presence=True)


class CountTokensRequest(Message):
    """What to count: contents, or a whole request, not both."""

    model = String()
    contents = Repeated(Nested(Content))
    generate_content_request = Nested(GenerateContentRequest)


class TaskType(OpenEnum):
    """What an embedding is for."""

    TASK_TYPE_UNSPECIFIED = 0
    RETRIEVAL_QUERY = 1
    RETRIEVAL_DOCUMENT = 2
    SEMANTIC_SIMILARITY = 3
    CLASSIFICATION = 4
    CLUSTERING = 5
    QUESTION_ANSWERING = 6
    FACT_VERIFICATION = 7
    CODE_RETRIEVAL_QUERY = 8


class EmbedContentRequest(Message):
    """A content to embed."""

    model = String()
    content = Nested(Content)
    task_type = EnumField(TaskType, presence=True)
    title = String(presence=True)
    output_dimensionality = Integer(presence=True)


class ContentEmbedding(Message):
    """A vector."""

    values = Repeated(Float())


class EmbedContentUsage(Message):
    """How large an embedded content was."""

    prompt_token_count = Integer(presence=True)
    prompt_tokens_details = Repeated(Nested(ModalityTokenCount), presence=True)


class EmbedContentResponse(Message):
    """The vector of a content."""

    embedding = Nested(ContentEmbedding)
    embeddings = Repeated(Nested(ContentEmbedding), presence=True)
    usage_metadata = Nested(EmbedContentUsage)
    truncated = Flag(presence=True)


class BatchEmbedContentsRequest(Message):
    """Several contents to embed."""

    model = String()
    requests = Repeated(Nested(EmbedContentRequest))


class BatchEmbedContentsResponse(Message):
    """The vectors of several contents, in their order."""

    embeddings = Repeated(Nested(ContentEmbedding))
    usage_metadata = Nested(EmbedContentUsage)
