"""What was said, as people look at it; Markdown that can be read back is an export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.cli.attachments import size
from multiturn.cli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multiturn.history import Turn
    from multiturn.messages.content import Content, Part


def transcript(title: str, turns: Iterable[Turn]) -> str:
    """Return a conversation to be looked at; what is not text is named."""
    sections = [f"# {visible(title)}"]
    for turn in turns:
        sections += [f"## {who}\n\n{text}" for who, text in said_in(turn)]
    return "\n\n".join(sections) + "\n"


def said_in(turn: Turn) -> Iterator[tuple[str, str]]:
    """Give who spoke, and what was said; what is not whole, or damaged, is marked."""
    if turn.outcome == "damaged":
        yield f"Turn {turn.id[:8]} (damaged)", "What is stored of it is not what was said."
        return
    for content in turn.contents:
        who = "Model" if content.role == "model" else "You"
        is_part = turn.is_partial and content is turn.contents[-1]
        yield f"{who} ({turn.outcome})" if is_part else who, text_of(content)


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
