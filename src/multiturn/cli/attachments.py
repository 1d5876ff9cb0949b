"""Files that go along with a message: text as text under its name, pictures and PDF as bytes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from multiturn.errors import UsageError

if TYPE_CHECKING:
    from multiturn.messages.content import Blob

# What the Gemini API takes inline in one request.
_MOST_BYTES = 20_000_000

Part: TypeAlias = "str | Blob"


class Attachment(NamedTuple):
    """One file, read.

    Attributes:
        name: Its name without its folder.
        size_bytes: Its size.
        part: What the model is sent.
    """

    name: str
    size_bytes: int
    part: Part

    def __str__(self) -> str:
        return f"{self.name} ({size(self.size_bytes)})"


def attachment(path: Path) -> Attachment:
    """Read a file.

    Raises:
        UsageError: It cannot be read, is too large, or holds nothing that models take.
    """
    path = path.expanduser()
    # Reading a device or a pipe could wait for ever.
    if not path.is_file():
        state = "is no regular file" if path.exists() else "does not exist"
        raise UsageError(f"{path} {state}; give the path of a text, an image or a PDF")
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    part = _part(data, path)
    if isinstance(part, str):
        part = f"\n\nContent of the file {path.name}:\n\n{part}"
    return Attachment(path.name, len(data), part)


def piped() -> Part | None:
    """Read what standard input holds; None if it is a terminal, closed, empty or blank.

    Raises:
        UsageError: It is too large, or holds nothing that models take.
    """
    stream = sys.stdin
    if stream is None or stream.isatty():
        return None
    data = stream.buffer.read(_MOST_BYTES + 1)
    part = _part(data, Path("standard input"))
    if part == "" and data:
        raise UsageError(f"standard input holds {size(len(data))}, and they are no text")
    return None if isinstance(part, str) and not part.strip() else part


def size(size_bytes: int) -> str:
    """Return a size as people say it, as ``12 kB``."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:.0f} kB"
    if size_bytes < 1_000_000_000:
        return f"{size_bytes / 1e6:.0f} MB"
    return f"{size_bytes / 1e9:.1f} GB"


def _part(data: bytes, path: Path) -> Part:
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path} is larger than {size(_MOST_BYTES)}; send a part of it")
    from multiturn.to_content import to_blob

    try:
        return to_blob(data)
    except UsageError:
        text = _text(data)
    if text is not None:
        return text
    blob = to_blob(path) if path.is_file() else None
    if blob is None or blob.mime_type.partition("/")[0] not in ("image", "audio", "video"):
        raise UsageError(f"{path} is neither text (in UTF-8 or UTF-16), an image nor a PDF")
    return blob


def _text(data: bytes) -> str | None:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
