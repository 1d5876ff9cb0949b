"""What a conversation is read from: a file, text, bytes, or what json.loads returned."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from multiturn.errors import InvalidContent
from multiturn.export.json_text import loads
from multiturn.messages.message import Message

SourceLike: TypeAlias = "str | bytes | os.PathLike[str] | Mapping[str, Any] | Iterable[Any]"
_FORMS = "the name of a file, its text or bytes, or what json.loads returned"
_SQLITE = b"SQLite format 3\x00"
# Of the order of bytes: some editors and json.dump of others put it first.
_MARK = "\ufeff"
_VALUE = re.compile(r"null|true|false|-?\d+(\.\d+)?([eE][+-]?\d+)?")
_ZIP = b"PK\x03\x04"
# What the archive of a ChatGPT export calls the file that holds the conversations.
_IN_ARCHIVE = "conversations.json"


class Source:
    """Something to read a conversation from; read once, when it is first looked at.

    Args:
        given: A ``str`` is the name of a file unless it has several lines or begins as
            JSON or Markdown do, with ``{``, ``[``, ``"``, ``#`` or ``<``.

    Attributes:
        path: The file, None if it is none.
    """

    def __init__(self, given: SourceLike) -> None:
        self.path: Path | None = None
        self._given: Any = given
        if isinstance(given, str) and not _is_text(given):
            given = Path(given)
        if isinstance(given, os.PathLike):
            self.path = Path(given).expanduser()

    @cached_property
    def data(self) -> bytes | None:
        """The bytes; None if text or an object was given."""
        if self.path is not None:
            try:
                data = self.path.read_bytes()
            except (OSError, ValueError) as error:  # no name that a file can have
                raise self._unreadable(error) from error
        elif isinstance(self._given, bytes | bytearray | memoryview):
            data = bytes(self._given)
        else:
            return None
        return _unpacked(data) if data.startswith(_ZIP) else data

    @cached_property
    def is_database(self) -> bool:
        """Whether it is a file of SQLite."""
        if self.path is None or "data" in vars(self):
            return (self.data or b"").startswith(_SQLITE)
        try:
            with self.path.open("rb") as file:  # not all of it: a log may be large
                return file.read(len(_SQLITE)) == _SQLITE
        except (OSError, ValueError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InvalidContent:
        return InvalidContent("source", str(self.path), f"a file that can be read ({error})")

    @cached_property
    def text(self) -> str | None:
        """The text; None if an object or a database was given."""
        if self.path is None and isinstance(self._given, str):
            return self._given.removeprefix(_MARK)
        if self.is_database or self.data is None:
            return None
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidContent("source", self.data, f"text in UTF-8 ({error})") from None

    @cached_property
    def value(self) -> Any:
        """What JSON text says, or the object that was given; None if it is something else."""
        if self.text is not None:
            return loads(self.text) if self.is_json else None
        if isinstance(self._given, Mapping):
            return dict(self._given)
        if self.is_database or self.data is not None:
            return None
        if not isinstance(self._given, Iterable):
            raise InvalidContent("source", self._given, _FORMS)
        return [item.json_object if isinstance(item, Message) else item for item in self._given]

    @cached_property
    def is_json(self) -> bool:
        """Whether the text is one JSON value, rather than a line for each, or prose."""
        text = (self.text or "").strip()
        if not text.startswith(("{", "[")):
            return False
        first, _, rest = text.partition("\n")
        if not rest or not first.rstrip().endswith("}"):
            return True
        try:
            loads(first)
        except InvalidContent:
            return True
        return False  # a whole value in the first line, and more lines


def _is_text(given: str) -> bool:
    text = given.removeprefix(_MARK).strip()
    if "\n" in given or text[:1] in ("{", "[", "#", "<", '"', ""):
        return True
    # A value of JSON that is no conversation is said to be none, unless a file is called so.
    return _VALUE.fullmatch(text) is not None and not Path(given).exists()


def _unpacked(data: bytes) -> bytes:
    """Return the conversations in the archive of an export."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(_IN_ARCHIVE)
    except (KeyError, zipfile.BadZipFile) as error:
        raise InvalidContent(
            "source", "an archive", f"an archive that holds {_IN_ARCHIVE} ({error})"
        ) from None
