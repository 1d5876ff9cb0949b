"""A conversation as a Markdown document, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.cli.attachments import size
from multiturn.cli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multiturn.messages.content import Content, Part


def transcript(title: str, system: Content | None, history: Iterable[Content]) -> str:
    """Return a conversation as Markdown; what is not text is named."""
    sections = [f"# {visible(title)}"]
    if system is not None:
        sections.append(f"## System\n\n{text_of(system)}")
    sections += [f"## {speaker(content)}\n\n{text_of(content)}" for content in history]
    return "\n\n".join(sections) + "\n"


def speaker(content: Content) -> str:
    """Return who says a content."""
    return "Model" if content.role == "model" else "You"


def text_of(content: Content) -> str:
    """Return a content's text, harmless to print; what is not text is named."""
    return visible("".join(_text(part) for part in content.parts)).strip("\n")


def _text(part: Part) -> str:
    kind = part.WhichOneof("data")
    if kind == "text":
        return "" if part.thought else part.text
    if kind == "inline_data":
        return f"\n\n[{part.inline_data.mime_type}, {size(len(part.inline_data.data))}]"
    return f"\n\n[{(kind or 'empty part').replace('_', ' ')}]"
