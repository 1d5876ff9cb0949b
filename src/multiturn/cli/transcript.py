"""A conversation as a Markdown document, for people to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.cli.attachments import size
from multiturn.cli.visible import visible
from multiturn.errors import UsageError

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


def save(text: str, path: Path, *, overwrite: bool) -> None:
    """Write a file.

    Raises:
        UsageError: It exists and may not be overwritten.
        OSError: It cannot be written.
    """
    path = path.expanduser()
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.is_dir():
            raise _is_folder(path) from None
        raise UsageError(f"{path} exists; to overwrite it: /save! {path}") from None
    except IsADirectoryError:
        raise _is_folder(path) from None


def _is_folder(path: Path) -> UsageError:
    return UsageError(f"{path} is a folder; name a file in it, as in: /save {path / 'talk.md'}")


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
