"""What is said and what may be called, by the names that the old SDK gave their forms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from multiturn.errors import InvalidContent
from multiturn.inline import to_blob_from
from multiturn.messages.content import Blob, Content, FileData, FunctionCall, FunctionResponse, Part
from multiturn.messages.tool_messages import CallingMode as FunctionCallingMode
from multiturn.messages.tool_messages import (
    FunctionCallingConfig,
    GoogleSearchRetrieval,
    ToolConfig,
)
from multiturn.messages.tool_messages import FunctionDeclaration as _WireDeclaration
from multiturn.messages.tool_messages import RetrievalMode as Mode
from multiturn.messages.tool_messages import Tool as _WireTool
from multiturn.to_content import (
    strict_to_content,
    to_blob,
    to_content,
    to_contents,
    to_part,
)
from multiturn.tools.accepted import (
    to_function_calling_config,
    to_function_calling_mode,
    to_tool_config,
)
from multiturn.tools.declarations import (
    CallableFunctionDeclaration,
    FunctionDeclaration,
)
from multiturn.tools.function_library import FunctionLibrary, Tool, to_function_library, to_mode
from multiturn.types.file_types import File, FileDataDict
from multiturn.types.schema_dicts import (
    add_object_type,
    convert_to_nullable,
    strip_additional_properties,
    strip_titles,
    unpack_defs,
)

__all__ = [
    "BlobDict",
    "BlobType",
    "CallableFunctionDeclaration",
    "ContentDict",
    "ContentType",
    "ContentsType",
    "FunctionCallingConfigDict",
    "FunctionCallingConfigType",
    "FunctionCallingMode",
    "FunctionCallingModeType",
    "FunctionDeclaration",
    "FunctionDeclarationType",
    "FunctionLibrary",
    "FunctionLibraryType",
    "GoogleSearchRetrievalDict",
    "GoogleSearchRetrievalType",
    "Mode",
    "ModeOptions",
    "PartDict",
    "PartType",
    "StrictContentType",
    "Tool",
    "ToolConfigDict",
    "ToolConfigType",
    "ToolDict",
    "ToolType",
    "ToolsType",
    "add_object_type",
    "convert_to_nullable",
    "image_to_blob",
    "is_blob_dict",
    "is_content_dict",
    "is_part_dict",
    "strict_to_content",
    "strip_additional_properties",
    "strip_titles",
    "to_blob",
    "to_content",
    "to_contents",
    "to_function_calling_config",
    "to_function_calling_mode",
    "to_function_library",
    "to_mode",
    "to_part",
    "to_tool_config",
    "unpack_defs",
]

_PART_NAMES = ("text", "inline_data", "function_call", "function_response", "file_data")


class BlobDict(TypedDict):
    """Inline bytes as a dict."""

    mime_type: str
    data: bytes


class PartDict(TypedDict, total=False):
    """A part as a dict; one of these."""

    text: str
    inline_data: Any


class ContentDict(TypedDict, total=False):
    """A content as a dict."""

    parts: list[Any]
    role: str


class ToolDict(TypedDict, total=False):
    """A tool as a dict."""

    function_declarations: list[Any]


class FunctionCallingConfigDict(TypedDict, total=False):
    """Rules of calling functions as a dict."""

    mode: Any
    allowed_function_names: list[str]


class ToolConfigDict(TypedDict, total=False):
    """Rules of calling as a dict."""

    function_calling_config: Any


class DynamicRetrievalConfigDict(TypedDict, total=False):
    """When the old form of web search runs, as a dict."""

    mode: Any
    dynamic_threshold: float


class GoogleSearchRetrievalDict(TypedDict, total=False):
    """The old form of web search as a dict."""

    dynamic_retrieval_config: Any


BlobType = Blob | BlobDict | Any
PartType = (
    Part
    | PartDict
    | Blob
    | BlobDict
    | Any
    | str
    | FunctionCall
    | FunctionResponse
    | FileDataDict
    | FileData
    | File
)
ContentType = Content | ContentDict | Iterable[PartType] | PartType
StrictContentType = Content | ContentDict
ContentsType = ContentType | Iterable[StrictContentType] | None
ModeOptions = int | str | Mode
FunctionDeclarationType = (
    FunctionDeclaration | _WireDeclaration | dict[str, Any] | Callable[..., Any]
)
GoogleSearchRetrievalType = GoogleSearchRetrieval | GoogleSearchRetrievalDict
ToolType = (
    str | Tool | _WireTool | ToolDict | Iterable[FunctionDeclarationType] | FunctionDeclarationType
)
ToolsType = Iterable[ToolType] | ToolType
FunctionLibraryType = FunctionLibrary | ToolsType
FunctionCallingModeType = FunctionCallingMode | str | int
FunctionCallingConfigType = (
    FunctionCallingModeType | FunctionCallingConfigDict | FunctionCallingConfig
)
ToolConfigType = ToolConfigDict | ToolConfig


def image_to_blob(image: object) -> Blob:
    """Return an image of PIL or IPython as inline bytes."""
    blob = None if isinstance(image, str | Mapping) else to_blob_from(image)
    if blob is None:
        raise InvalidContent("$", image, "an image of PIL or IPython")
    return blob


def is_content_dict(d: Mapping[str, Any]) -> bool:
    """Return whether a dict looks like a content."""
    return "parts" in d


def is_part_dict(d: Mapping[str, Any]) -> bool:
    """Return whether a dict looks like a part."""
    return len(d) == 1 and next(iter(d)) in _PART_NAMES


def is_blob_dict(d: Mapping[str, Any]) -> bool:
    """Return whether a dict looks like inline bytes."""
    return "mime_type" in d and "data" in d
