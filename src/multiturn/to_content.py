"""Every form in which a person may write what is said, as contents.

Nothing that is passed in is changed or kept: contents are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from multiturn.errors import InvalidContent
from multiturn.messages.content import Blob, Content, FileData, FunctionCall, FunctionResponse, Part
from multiturn.messages.message import Message, Object, copy_json

if TYPE_CHECKING:
    from pathlib import Path

# Images of PIL and IPython, and uploaded files, are recognised without importing their
# libraries, so the type of a part cannot be written down more closely than this.
PartLike: TypeAlias = "str | Message | Mapping[str, Any] | Path | bytes | object"
ContentLike: TypeAlias = "PartLike | Iterable[PartLike]"
ContentsLike: TypeAlias = "ContentLike | Iterable[Content | Mapping[str, Any]] | None"

_WRAPPERS: dict[type[Message], str] = {
    Blob: "inlineData",
    FileData: "fileData",
    FunctionCall: "functionCall",
    FunctionResponse: "functionResponse",
}
_PART_FORMS = (
    "a string, a Part, Blob, FileData, FunctionCall or FunctionResponse, a dict of one of "
    "these, an image, an uploaded file, or a pathlib.Path"
)
# By the name of its type, what to hand in of an object that holds contents and is none.
_INSTEAD = {
    "ChatSession": "its contents, chat.history",
    "GenerateContentResponse": "its text, response.text, or response.candidates[0].content",
    "AsyncGenerateContentResponse": "its text, response.text, or response.candidates[0].content",
    "GenerativeModel": "what to say; a model is asked by model.generate_content(…)",
}
_ANOTHER_API = "'parts' in the place of 'content'; load_chat() takes messages of other APIs"
# Who speaks in a conversation; "function" is the old name for results of calls.
ROLES = ("", "user", "model", "function")
_CONTENT_FORMS = "a Content, or a dict with 'parts' and 'role'"


def to_content(
    content: ContentLike,
    *,
    role: str | None = None,
    path: str = "$",
    roles: Sequence[str] = ROLES,
) -> Content:
    """Return one content.

    Args:
        content: A string, a part or a content in any form, or an iterable that mixes parts.
        role: Given to a content that has none; None leaves it without.
        path: Where the value stands, for error messages.
        roles: Which roles a content may have.

    Raises:
        InvalidContent: The value or a part of it has no such form; ``path`` names it.
    """
    object_ = _content_object(content, path, roles)
    if not object_["parts"]:
        raise InvalidContent(path, content, f"something to say: {_PART_FORMS}")
    if role and not object_.get("role"):
        object_["role"] = role
    return Content.view(object_)


def to_contents(
    contents: ContentsLike, *, path: str = "$", role: str | None = None
) -> list[Content]:
    """Return contents, oldest first; what is not a list of contents becomes one content.

    Args:
        contents: In any form; None makes none.
        path: Where the value stands, for error messages.
        role: Given to what becomes one content and has none; None leaves it without.
    """
    if contents is None:
        return []
    if _is_iterable(contents):
        items: list[Any] = [as_ours(item) for item in cast("Iterable[Any]", contents)]
        if not items or any(_is_content(item) for item in items):
            return [strict_to_content(item, path=f"{path}[{i}]") for i, item in enumerate(items)]
        contents = items
    return [to_content(contents, role=role, path=path)]


def strict_to_content(content: Content | Mapping[str, Any], *, path: str = "$") -> Content:
    """Return a content from a Content or its dict; looser forms are refused."""
    ours = as_ours(content)
    if not _is_content(ours):
        raise InvalidContent(path, content, _INSTEAD.get(type(content).__name__, _CONTENT_FORMS))
    return Content.view(_content_object(ours, path))


def to_part(part: PartLike, *, path: str = "$") -> Part:
    """Return one part from any of its forms."""
    return Part.view(_part_object(part, path))


def to_blob(blob: object, *, path: str = "$") -> Blob:
    """Return inline bytes from a Blob, its dict, an image, bytes or a path."""
    object_ = _part_object(blob, path)
    if "inlineData" not in object_:
        raise InvalidContent(path, blob, "a Blob, a dict with 'mime_type' and 'data', or an image")
    return Blob.view(object_["inlineData"])


def as_ours(value: Any) -> Any:
    """Return an object of google.generativeai or its messages as ours; others as they are."""
    if not type(value).__module__.startswith("google."):
        return value
    from multiturn.old_objects import ours_of

    return ours_of(value)


def _is_content(value: object) -> bool:
    return isinstance(value, Content) or (isinstance(value, Mapping) and "parts" in value)


def _is_iterable(value: object) -> bool:
    single = isinstance(value, str | bytes | bytearray | Mapping | Message)
    return isinstance(value, Iterable) and not single


def _content_object(content: object, path: str, roles: Sequence[str] = ROLES) -> Object:
    object_ = _content_members(content, path)
    if object_.get("role", "") not in roles:
        named = " or ".join(repr(role) for role in roles if role)
        hint = ": what a model says has the role 'model'" if object_["role"] == "assistant" else ""
        raise InvalidContent(f"{path}.role", object_["role"], f"{named}{hint}")
    return object_


def _content_members(content: object, path: str) -> Object:
    if isinstance(content, str):
        return {"parts": [_part_object(content, path)] if content else []}
    if isinstance(content, Content):
        parts = _part_objects(content.parts, f"{path}.parts")
        return {**copy_json(content.json_object), "parts": parts}
    if isinstance(content, Mapping) and "parts" in content:
        members = {name: value for name, value in content.items() if name != "parts"}
        parts = content["parts"]
        listed = parts if _is_iterable(parts) else [parts]
        object_ = Content.object_from(members, path, "refuse")
        return {**object_, "parts": _part_objects(listed, f"{path}.parts")}
    if _is_iterable(content):
        return {"parts": _part_objects(content, path)}
    if (ours := as_ours(content)) is not content:
        return _content_members(ours, path)
    return {"parts": [_part_object(content, path)] if content not in ({}, None) else []}


def _part_objects(parts: Any, path: str) -> list[Object]:
    return [_part_object(part, f"{path}[{i}]") for i, part in enumerate(parts)]


def _part_object(part: object, path: str) -> Object:
    if isinstance(part, str):
        _refuse_surrogates(part, path)
        return {"text": part}
    if isinstance(part, Part):
        _refuse_surrogates(part.text, f"{path}.text")
        if not part.json_object:
            raise InvalidContent(path, part, _PART_FORMS)
        return Part(part).json_object
    if isinstance(part, Mapping):
        return _part_of_mapping(part, path)
    for message_type, wire in _WRAPPERS.items():
        if isinstance(part, message_type):
            return {wire: message_type(part).json_object}
    if (ours := as_ours(part)) is not part:
        return _part_object(ours, path)
    uri = getattr(part, "uri", None)
    if isinstance(uri, str):
        return {"fileData": {"mimeType": getattr(part, "mime_type", "") or "", "fileUri": uri}}
    blob = _inline(part, path)
    if blob is None:
        raise InvalidContent(path, part, _INSTEAD.get(type(part).__name__, _PART_FORMS))
    return {"inlineData": blob.json_object}


def _part_of_mapping(part: Mapping[str, Any], path: str) -> Object:
    if "mime_type" in part and "data" in part:
        return {"inlineData": Blob.object_from(part, path, "refuse")}
    if "file_uri" in part:
        return {"fileData": FileData.object_from(part, path, "refuse")}
    members = {name: as_ours(value) for name, value in part.items()}
    inline = members.get("inline_data")
    if inline is not None and not isinstance(inline, Mapping | Message):
        members["inline_data"] = _inline(inline, f"{path}.inline_data") or inline
    if "uri" in part:
        members = {"file_data": {"mime_type": part.get("mime_type", ""), "file_uri": part["uri"]}}
    object_ = Part.object_from(members, path, "keep")
    if not any(field.wire in object_ for field in Part.fields.values() if field.oneof):
        is_message = "role" in part and "content" in part
        raise InvalidContent(path, part, _ANOTHER_API if is_message else _PART_FORMS)
    blob = object_.get("inlineData")
    if blob is not None and "data" not in blob:
        raise InvalidContent(f"{path}.inline_data", blob, "its 'data' beside its 'mime_type'")
    _refuse_surrogates(object_.get("text", ""), f"{path}.text")
    return object_


def _inline(value: object, path: str) -> Blob | None:
    """Return an image, bytes or a file as inline bytes; None if it is none of these."""
    from multiturn.inline import to_blob_from

    try:
        return to_blob_from(value)
    except (OSError, ValueError) as error:
        raise InvalidContent(path, value, f"a readable image or file ({error})") from error


def _refuse_surrogates(text: str, path: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        lone = text[error.start]
        raise InvalidContent(
            path, text, f"text without the lone surrogate {lone!a} at index {error.start}"
        ) from None
