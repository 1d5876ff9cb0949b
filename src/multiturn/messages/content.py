"""What is said: a content is one message of a conversation, made of parts.

A part is exactly one of text, inline bytes, a file, a call, a result, code or its
outcome, and may carry marks beside it (``thought``, ``thought_signature``).  Types and
members are those of the Gemini API (v1beta); the API's reference is their source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.messages.enums import OpenEnum
from multiturn.messages.fields import (
    Bytes,
    EnumField,
    Flag,
    JsonValue,
    Nested,
    Repeated,
    String,
    Struct,
)
from multiturn.messages.message import Message

if TYPE_CHECKING:
    from multiturn.messages.resources import VideoMetadata


class Language(OpenEnum):
    """The language of code that the model wants run."""

    LANGUAGE_UNSPECIFIED = 0
    PYTHON = 1


class Outcome(OpenEnum):
    """How the code that the server ran ended."""

    OUTCOME_UNSPECIFIED = 0
    OUTCOME_OK = 1
    OUTCOME_FAILED = 2
    OUTCOME_DEADLINE_EXCEEDED = 3


class Scheduling(OpenEnum):
    """When the result of a call that does not block is given to the model."""

    SCHEDULING_UNSPECIFIED = 0
    SILENT = 1
    WHEN_IDLE = 2
    INTERRUPT = 3


class Blob(Message):
    """Bytes with their type, as ``Blob(mime_type="image/png", data=b"…")``."""

    mime_type = String()
    data = Bytes()
    display_name = String(presence=True)


class FileData(Message):
    """A pointer to a file that the server holds."""

    mime_type = String()
    file_uri = String()
    display_name = String(presence=True)


class FunctionCall(Message):
    """A call that the model asks for; ``args`` is a dict."""

    id = String()
    name = String()
    args = Struct()
    partial_args = JsonValue()
    will_continue = Flag(presence=True)


class FunctionResponsePart(Message):
    """A picture or another medium within the result of a call."""

    inline_data = Nested(Blob, oneof="data")
    file_data = Nested(FileData, oneof="data")


class FunctionResponse(Message):
    """The result of a call; ``response`` is a dict."""

    Scheduling = Scheduling

    id = String()
    name = String()
    response = Struct()
    parts = Repeated(Nested(FunctionResponsePart), presence=True)
    will_continue = Flag(presence=True)
    scheduling = EnumField(Scheduling, presence=True)


class ExecutableCode(Message):
    """Code that the model wrote for the server to run."""

    Language = Language

    id = String(presence=True)
    language = EnumField(Language)
    code = String()


class CodeExecutionResult(Message):
    """What the code that the server ran has printed, and how it ended."""

    Outcome = Outcome

    id = String(presence=True)
    outcome = EnumField(Outcome)
    output = String()


class ToolCall(Message):
    """A call of a tool that the server itself runs, as it reports it."""

    id = String()
    tool_type = String()
    args = Struct()


class ToolResponse(Message):
    """The result of a tool that the server itself ran."""

    id = String()
    tool_type = String()
    response = Struct()


def _video_metadata() -> type[VideoMetadata]:
    from multiturn.messages.resources import VideoMetadata

    return VideoMetadata


class Part(Message):
    """One piece of a content; setting one member of ``data`` unsets the others."""

    text = String(oneof="data")
    inline_data = Nested(Blob, oneof="data")
    function_call = Nested(FunctionCall, oneof="data")
    function_response = Nested(FunctionResponse, oneof="data")
    file_data = Nested(FileData, oneof="data")
    executable_code = Nested(ExecutableCode, oneof="data")
    code_execution_result = Nested(CodeExecutionResult, oneof="data")
    tool_call = Nested(ToolCall, oneof="data")
    tool_response = Nested(ToolResponse, oneof="data")
    video_metadata = Nested(_video_metadata)
    thought = Flag(presence=True)
    thought_signature = Bytes(presence=True)
    part_metadata = Struct()
    media_resolution = JsonValue()
    media_processing = JsonValue()
    audio_transcription = JsonValue()
    speech_metadata = JsonValue()
    document_metadata = JsonValue()
    spreadsheet_metadata = JsonValue()
    audio_metadata = JsonValue()


class Content(Message):
    """One message of a conversation.

    ``role`` is "user" or "model" ("function" in old histories); ``parts`` are in the
    order in which they were said.
    """

    parts = Repeated(Nested(Part))
    role = String()

    @property
    def text(self) -> str:
        """The text of all parts that are said aloud: thoughts are left out."""
        parts = self._json.get("parts") or ()
        return "".join(p.get("text") or "" for p in parts if not p.get("thought"))
