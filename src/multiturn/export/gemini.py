"""Contents of the Gemini API: the body of a request, or its list of contents."""

from __future__ import annotations

from typing import Any

from multiturn.errors import InvalidContent
from multiturn.export.conversation import Conversation, line
from multiturn.export.json_text import dumps
from multiturn.export.report import Report, a_list, an_object
from multiturn.export.source import Source
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.to_content import ROLES

_SYSTEM = ("systemInstruction", "system_instruction")


def recognises(source: Source) -> bool:
    """Whether a source is in this format."""
    return recognises_value(source.value)


def recognises_value(value: Any) -> bool:
    """Whether a JSON value is in this format."""
    contents = value.get("contents") if isinstance(value, dict) else value
    if not isinstance(contents, list):
        return False
    is_body = isinstance(value, dict) and not contents
    return is_body or any(isinstance(one, dict) and "parts" in one for one in contents)


def write(conversation: Conversation) -> bytes:
    """Return the members of a request that say what was said."""
    body: Object = {"contents": [content.json_object for content in conversation.history]}
    if conversation.system_instruction is not None:
        body["systemInstruction"] = conversation.system_instruction.json_object
    return dumps(body, indent=1).encode()


def read(source: Source, report: Report) -> list[Conversation]:
    """Return the conversation."""
    return [read_value(source.value, report)]


def read_value(value: Any, report: Report, place: str = "$") -> Conversation:
    """Return the conversation that a JSON value holds."""
    body = value if isinstance(value, dict) else {"contents": value}
    path = f"{place}.contents" if isinstance(value, dict) else place
    contents = [
        content_from(content, f"{path}[{i}]")
        for i, content in enumerate(a_list(body.get("contents"), path))
    ]
    system: Content | None = None
    if contents and contents[0].role == "system":  # as our JSON lines have it
        told = {k: v for k, v in contents[0].json_object.items() if k != "role"}
        system, contents = Content.view(told, frozen=True), contents[1:]
    for i, content in enumerate(contents):
        if content.role not in ROLES:
            raise InvalidContent(f"{path}[{i}].role", content.role, "'user' or 'model'")
    for name in _SYSTEM:
        if body.get(name) is not None:
            system = content_from(body[name], f"{place}.{name}")
    report.others(body, frozenset(("contents", "model", *_SYSTEM)), place)
    return line(contents, system=system, model=str(body.get("model") or ""))


def content_from(given: Any, place: str) -> Content:
    """Return a content; names may be written in either way, unknown members are kept."""
    object_ = an_object(given, place)
    checked = Content.view(Content.object_from(object_, place, "keep"))
    for i, part in enumerate(checked.json_object.get("parts") or ()):
        if not part:
            raise InvalidContent(f"{place}.parts[{i}]", part, "a part with something in it")
    # What is written as the API writes it is kept letter by letter.
    as_given = Content.view(object_)
    is_same = as_given == checked and _members(as_given) == _members(checked)
    return (as_given if is_same else checked).frozen()


def _members(content: Content) -> list[list[str]]:
    return [[*part] for part in content.json_object.get("parts") or ()]
