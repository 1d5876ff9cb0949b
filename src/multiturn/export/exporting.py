"""A conversation written in some format, with an account of what was left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from multiturn.errors import InvalidContent, UsageError
from multiturn.export.comparing import lost_between
from multiturn.export.conversation import Conversation, conversation_of
from multiturn.export.registry import format_named, read_as
from multiturn.export.report import Lost
from multiturn.export.source import Source
from multiturn.export.writing import save
from multiturn.history import head_from
from multiturn.messages.content import Content, Part

if TYPE_CHECKING:
    from multiturn.chat import ChatSession


FilePath: TypeAlias = "str | os.PathLike[str]"


class Export:
    """A conversation in some format.

    Attributes:
        format: The format's name.
        data: What was written, as bytes.
        path: The file it was written to, None if to none.
        lost: What the format has no place for, found by reading ``data`` back, and the turns
            that are damaged in their store; () if all that was said is there.
    """

    def __init__(
        self, format: str, data: bytes, lost: tuple[Lost, ...], path: Path | None = None
    ) -> None:
        self.format, self.data, self.lost, self.path = format, data, lost, path

    @property
    def text(self) -> str:
        """What was written, as text.

        Raises:
            UsageError: The format is a database.
        """
        if self.format == "llm":
            raise UsageError("a log of llm is a database: use .data, or give a path")
        return self.data.decode()

    def __repr__(self) -> str:
        where = f" in {self.path}" if self.path else ""
        return f"<Export {self.format}{where}, {len(self.data)} bytes, {len(self.lost)} lost>"


def export(
    chat: ChatSession | Conversation,
    format: str,
    path: FilePath | None = None,
    *,
    overwrite: bool = False,
) -> Export:
    """Write a conversation in another format.

    Args:
        chat: What to write; is not changed.
        format: One of ``NAMES``.
        path: Where to write it, None to write no file; links are followed.  To a log of
            llm that is there the conversation is added.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        UnknownName: There is no such format.
        UsageError: The file is there, or it can be none: a folder, or in none.
        OSError: It cannot be written.
    """
    if path is not None and not isinstance(path, str | os.PathLike):
        raise InvalidContent("path", path, "the name of a file, or None")
    whole = chat if isinstance(chat, Conversation) else conversation_of(chat)
    target = None if path is None else _target(path)
    writer = format_named(format)
    if format == "llm" and target is not None and target.is_file() and not overwrite:
        from multiturn.export.llm_log import add

        added = add(_without_nulls(whole), target)
        return Export(format, b"", (*whole.damaged, *lost_between(whole, added)), target)
    data = writer.write(whole if format == "multiturn" else _without_nulls(whole))
    if target is not None:
        save(data, target, overwrite=overwrite)
    return Export(format, data, (*whole.damaged, *_lost(whole, data, format)), target)


def _target(path: FilePath) -> Path:
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise InvalidContent("path", path, f"a name that a file can have ({error})") from None
    if "\0" in os.fspath(path):
        raise InvalidContent("path", path, "a name that a file can have, without NUL")
    return Path(path).expanduser()


def _without_nulls(whole: Conversation) -> Conversation:
    """Return a conversation in which no part has a member that is there and says nothing."""
    known = {field.wire for field in Part.fields.values()}
    changed, said = False, []
    for content in whole.history:
        parts = content.json_object.get("parts") or []
        kept = [
            {k: v for k, v in part.items() if v is not None or k not in known} for part in parts
        ]
        changed = changed or kept != parts
        said.append(Content.view({**content.json_object, "parts": kept}) if parts else content)
    return whole._replace(head=head_from(said)) if changed else whole


def _lost(whole: Conversation, data: bytes, format: str) -> tuple[Lost, ...]:
    if format == "multiturn":
        return ()
    try:
        found = read_as(Source(data), format)
    except InvalidContent as error:
        return (Lost(error.path, f"cannot be read back: {error}"),)
    return tuple(lost_between(whole, found[0] if found else Conversation()))
