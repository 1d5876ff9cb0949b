"""Files that the server holds for conversations: upload, look up, list, delete.

Uploads follow the resumable protocol of the Gemini API's Files: a start that is answered
with a place, the bytes in pieces, and after a cut the question how many have arrived.
"""

from __future__ import annotations

import mimetypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from multiturn.errors import BackendError, InvalidContent, MalformedReply
from multiturn.messages import resources
from multiturn.messages.message import Object
from multiturn.options import RequestOptionsLike
from multiturn.types.file_types import File

Progress: TypeAlias = "bool | Callable[[int, int], None]"

# Pieces are this large unless the server wants another granularity: that of the API.
_PIECE_BYTES = 8 * 1024 * 1024
_MIME_TYPES = {".webp": "image/webp", ".md": "text/markdown", ".webm": "video/webm"}


def upload_file(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    mime_type: str | None = None,
    name: str | None = None,
    display_name: str | None = None,
    resumable: bool = True,
    progress: Progress = False,
    request_options: RequestOptionsLike = None,
) -> File:
    """Upload a file; the server keeps it for 48 hours.

    Args:
        path: A path, or a binary file-like object that can seek.
        mime_type: None takes it from the path's ending.
        name: As ``files/my-file``, or without ``files/``; None lets the server choose.
        display_name: For people; None is the path's last piece.
        resumable: Go on after a cut; False sends everything in one piece, once.
        progress: True draws a bar to standard error if that is a terminal; or a function
            that is called with the bytes sent and the bytes in all.
        request_options: Time limit of each step with its retries, and how the server is reached.

    Raises:
        UsageError: There is nothing to upload, or its type is unknown.
        BackendError: The server could not be reached, or refused.
    """
    if not isinstance(path, str | os.PathLike):
        if not hasattr(path, "seek"):
            raise InvalidContent("path", path, "a path, or a binary file-like object")
        if mime_type is None:
            raise InvalidContent(
                "mime_type", None, "a type as 'image/png': a file-like object does not have one"
            )
        return _uploaded(path, mime_type, name, display_name, resumable, progress, request_options)
    local = Path(os.fspath(path))
    if not local.is_file():
        raise InvalidContent("path", str(local), "a regular file that exists")
    kind = mime_type or _MIME_TYPES.get(local.suffix.lower()) or mimetypes.guess_type(local)[0]
    if kind is None:
        raise InvalidContent("path", str(local), "a path with a known ending, or mime_type=…")
    display_name = local.name if display_name is None else display_name
    with local.open("rb") as source:
        return _uploaded(source, kind, name, display_name, resumable, progress, request_options)


def get_file(name: str, *, request_options: RequestOptionsLike = None) -> File:
    """Look a file up.

    Args:
        name: As ``files/my-file``, or without ``files/``.
        request_options: Time limit, retries, and how the server is reached.
    """
    from multiturn.backends.gemini.service import ask

    return _file(ask("GET", _full_name(name), options=request_options))


def list_files(
    page_size: int | None = 100, *, request_options: RequestOptionsLike = None
) -> Iterator[File]:
    """Give the files that the server holds, asking for pages as they are needed."""
    from multiturn.backends.gemini.service import listed

    for found in listed("files", "files", page_size=page_size, options=request_options):
        yield _file(found)


def delete_file(
    name: str | File | resources.File, *, request_options: RequestOptionsLike = None
) -> None:
    """Have the server forget a file."""
    from multiturn.backends.gemini.service import ask

    full = _full_name(getattr(name, "name", name))
    ask("DELETE", full, options=request_options)


def _full_name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidContent("name", name, "a file's name as 'files/my-file'")
    return name if "/" in name else f"files/{name}"


def _file(object_: Object) -> File:
    return File(resources.File.view(object_))


def _uploaded(
    source: BinaryIO,
    mime_type: str,
    name: str | None,
    display_name: str | None,
    resumable: bool,
    progress: Progress,
    options: RequestOptionsLike,
) -> File:
    start = source.tell()
    size_bytes = source.seek(0, os.SEEK_END) - start
    source.seek(start)
    about: Object = {"mimeType": mime_type, "sizeBytes": str(size_bytes)}
    if name:
        about["name"] = _full_name(name)
    if display_name:
        about["displayName"] = display_name
    upload = _Upload(source, start, size_bytes, options, _meter(progress))
    upload.begin(about)
    while upload.result is None:
        upload.send(_PIECE_BYTES if resumable else max(size_bytes, 1))
        if upload.error is not None and not resumable:
            raise upload.error
    file = upload.result.get("file")
    if not isinstance(file, dict):
        raise MalformedReply("the server ended an upload without its file", upload.result)
    return _file(file)


class _Upload:
    """An upload in progress.

    Attributes:
        result: The server's last answer, None before it.
        error: Why the last step failed, None if it did not.
    """

    def __init__(
        self,
        source: BinaryIO,
        start: int,
        size_bytes: int,
        options: RequestOptionsLike,
        meter: Callable[[int, int], None],
    ) -> None:
        self._source, self._start, self._size_bytes = source, start, size_bytes
        self._options, self._meter = options, meter
        self._begin_step()
        self._target = ""
        self._sent_bytes = 0
        self._granularity_bytes = 1
        self.result: Object | None = None

    def _begin_step(self) -> None:
        """Give the next step all its tries and its whole time."""
        from multiturn.backends.gemini.service import attempts_for

        self._attempts = attempts_for(self._options)
        self.error: BackendError | None = None

    def begin(self, about: Object) -> None:
        """Ask where the bytes go."""
        said = (
            ("X-Goog-Upload-Protocol", "resumable"),
            ("X-Goog-Upload-Command", "start"),
            ("X-Goog-Upload-Header-Content-Length", str(self._size_bytes)),
            ("X-Goog-Upload-Header-Content-Type", about["mimeType"]),
        )
        while not self._target:
            step = self._tried(None, said, {"file": about})
            if step is None:
                continue
            self._target = step[0].get("x-goog-upload-url", "")
            self._granularity_bytes = int(step[0].get("x-goog-upload-chunk-granularity") or 1)
            self._begin_step()
            if not self._target:
                raise MalformedReply("the server did not say where the upload goes", step[0])

    def send(self, piece_bytes: int) -> None:
        """Send one piece; after a cut, ask first how many bytes have arrived."""
        if self.error is not None and not self._asked_how_far():
            return
        rest = self._size_bytes - self._sent_bytes
        whole = max(piece_bytes // self._granularity_bytes, 1) * self._granularity_bytes
        count = rest if rest <= whole else whole
        self._source.seek(self._start + self._sent_bytes)
        piece = self._source.read(count)
        if len(piece) != count:
            raise InvalidContent("path", f"{len(piece)} bytes", f"{count} bytes: it has shrunk")
        command = "upload, finalize" if count == rest else "upload"
        said = (
            ("X-Goog-Upload-Command", command),
            ("X-Goog-Upload-Offset", str(self._sent_bytes)),
        )
        step = self._tried(self._target, said, piece)
        if step is None:
            return
        self._begin_step()
        self._sent_bytes += count
        self._meter(self._sent_bytes, self._size_bytes)
        if command != "upload":
            self._ended(*step)

    def _asked_how_far(self) -> bool:
        """Learn how many bytes have arrived; return whether more are wanted."""
        step = self._tried(self._target, (("X-Goog-Upload-Command", "query"),), b"")
        if step is None:
            return False
        headers, answered = step
        if headers.get("x-goog-upload-status") == "final":
            self._ended(headers, answered)
            return False
        self._sent_bytes = int(headers.get("x-goog-upload-size-received") or 0)
        return True

    def _ended(self, headers: dict[str, str], answered: Object) -> None:
        if headers.get("x-goog-upload-status", "final") != "final":
            raise MalformedReply("the server wants more bytes than the file has", headers)
        self.result = answered

    def _tried(
        self, target: str | None, said: tuple[tuple[str, str], ...], content: Any
    ) -> tuple[dict[str, str], Object] | None:
        """Carry out a step; return None, after a pause, if it may be tried again."""
        from multiturn.backends.gemini.service import upload_step

        try:
            return upload_step(target, said, content, self._options, self._attempts.seconds_left)
        except BackendError as error:
            self.error, pause_seconds = error, self._attempts.pause_seconds(error)
        time.sleep(pause_seconds)
        return None


def _meter(progress: Progress) -> Callable[[int, int], None]:
    if callable(progress):
        return progress
    if not progress or not sys.stderr.isatty():
        return lambda sent, size: None
    return _draw


def _draw(sent: int, size: int) -> None:
    done = 30 * sent // size if size else 30
    end = "\n" if sent == size else ""
    bar = "█" * done + "·" * (30 - done)
    sys.stderr.write(f"\r{bar} {sent / 1e6:.1f} of {size / 1e6:.1f} MB{end}")
    sys.stderr.flush()
