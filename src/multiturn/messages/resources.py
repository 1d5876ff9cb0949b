"""What a server keeps or offers, as the wire has it: files, caches and models."""

from __future__ import annotations

from multiturn.messages.content import Content
from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    Bytes,
    EnumField,
    Flag,
    Float,
    Integer,
    Integer64,
    JsonValue,
    Nested,
    Repeated,
    String,
)
from multiturn.messages.message import Message
from multiturn.messages.tool_messages import Tool, ToolConfig
from multiturn.messages.well_known import Duration, Timestamp


class VideoMetadata(Message):
    """Which piece of a video a part means, and how long an uploaded video is.

    ``start_offset`` and ``end_offset`` are text as ``"3.5s"``; ``video_duration`` is a
    ``timedelta``.
    """

    video_duration = Duration()
    start_offset = String(presence=True)
    end_offset = String(presence=True)
    fps = Float(presence=True)
    content_layers = Repeated(String(), presence=True)


class Status(Message):
    """What went wrong: a code of ``google.rpc``, a message, and objects with details."""

    code = Integer()
    message = String()
    details = JsonValue()


class FileState(OpenEnum):
    """Whether a file can be used."""

    STATE_UNSPECIFIED = 0
    PROCESSING = 1
    ACTIVE = 2
    FAILED = 10


class FileSource(OpenEnum):
    """Where a file came from."""

    SOURCE_UNSPECIFIED = 0
    UPLOADED = 1
    GENERATED = 2
    REGISTERED = 3


class File(Message):
    """A file that the server holds; kept for 48 hours."""

    State = FileState
    Source = FileSource

    video_metadata = Nested(VideoMetadata, oneof="metadata")
    name = String()
    display_name = String()
    mime_type = String()
    size_bytes = Integer64()
    create_time = Timestamp()
    update_time = Timestamp()
    expiration_time = Timestamp()
    sha256_hash = Bytes()
    uri = String()
    download_uri = String(presence=True)
    state = EnumField(FileState)
    source = EnumField(FileSource, presence=True)
    error = Nested(Status)


class CachedContentUsage(Message):
    """How large a cached prompt is."""

    total_token_count = Integer()
    text_count = Integer(presence=True)
    image_count = Integer(presence=True)
    audio_duration_seconds = Integer(presence=True)
    video_duration_seconds = Integer(presence=True)


class CachedContent(Message):
    """The beginning of a prompt, kept by the server until ``expire_time``."""

    UsageMetadata = CachedContentUsage

    expire_time = Timestamp(oneof="expiration")
    ttl = Duration(oneof="expiration")
    name = String(presence=True)
    display_name = String(presence=True)
    model = String(presence=True)
    system_instruction = Nested(Content)
    contents = Repeated(Nested(Content))
    tools = Repeated(Nested(Tool))
    tool_config = Nested(ToolConfig)
    create_time = Timestamp()
    update_time = Timestamp()
    usage_metadata = Nested(CachedContentUsage)


class Model(Message):
    """What a server says about a model; limits are tokens."""

    name = String()
    base_model_id = String()
    version = String()
    display_name = String()
    description = String()
    input_token_limit = Integer()
    output_token_limit = Integer()
    supported_generation_methods = Repeated(String())
    temperature = Float(presence=True)
    max_temperature = Float(presence=True)
    top_p = Float(presence=True)
    top_k = Integer(presence=True)
    thinking = Flag(presence=True)
