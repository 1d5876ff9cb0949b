"""JSON lines: one message in each, as contents of the Gemini API.

Read are messages of any of the APIs, and lines that hold a whole conversation each, as
data for fine-tuning does.
"""

from __future__ import annotations

from typing import Any

from multiturn.errors import InvalidContent
from multiturn.export import anthropic, gemini, openai
from multiturn.export.conversation import Conversation
from multiturn.export.json_text import dumps, loads
from multiturn.export.report import Report
from multiturn.export.source import Source
from multiturn.messages.message import Object

_APIS = (
    (gemini.recognises_value, gemini.read_value),
    (anthropic.recognises_value, anthropic.read_value),
    (openai.recognises_value, openai.read_value),
)


def recognises(source: Source) -> bool:
    """Whether a source has one object in each line."""
    text = source.text
    return text is not None and text.lstrip().startswith("{") and not source.is_json


def write(conversation: Conversation) -> bytes:
    """Return a line for each content, the system instruction first if there is one."""
    said: list[Object] = [content.json_object for content in conversation.history]
    if conversation.system_instruction is not None:
        said.insert(0, {**conversation.system_instruction.json_object, "role": "system"})
    return "".join(f"{dumps(one)}\n" for one in said).encode()


def read(source: Source, report: Report) -> list[Conversation]:
    """Return the conversation, or one for each line."""
    # Of all that ends a line in Unicode, JSON lines know only this one.
    lines = (source.text or "").split("\n")
    values = [loads(one, f"line {number}") for number, one in enumerate(lines, 1) if one.strip()]
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise InvalidContent(f"line {number}", value, "a message as an object")
    if values and all("messages" in value or "contents" in value for value in values):
        return [_alone(value, f"line {number}") for number, value in enumerate(values, 1)]
    return [_read(values, report, "$")]


def _alone(value: Any, place: str) -> Conversation:
    report = Report()
    found = _read(value, report, place)
    return found._replace(lost=tuple(report.lost))


def _read(value: Any, report: Report, place: str) -> Conversation:
    for recognises_value, read_value in _APIS:
        if recognises_value(value):
            return read_value(value, report, place)
    if value == []:
        return Conversation()
    raise InvalidContent(place, value, "messages of Gemini's, OpenAI's or Anthropic's API")
