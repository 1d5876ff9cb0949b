"""The bytes around the text of a streamed answer, which are the same from chunk to chunk; pure.

Reading JSON is most of what a chunk costs.  Chunks that say nothing but a piece of text
mostly differ in that piece alone, so what stands around it is compared instead of read.
"""

from __future__ import annotations

from typing import Any

from multiturn.backends.wire_json import parsed
from multiturn.messages.message import Object

_BEGINNINGS = (b'"content":"', b'"content": "')
# Some servers change the bytes around the text with every chunk; they are not followed.
_LESSONS = 64


class Frame:
    """What stands before and behind the text in the chunks of one answer."""

    __slots__ = ("_after", "_before", "_lessons", "_shortest")

    def __init__(self) -> None:
        self._before = self._after = b""
        self._shortest = 0
        self._lessons = _LESSONS

    def text_in(self, event: bytes) -> str | None:
        """Return the text of a chunk that has this frame; None if it must be read.

        What holds neither a quote nor a backslash nor a control character is a JSON string
        as it stands, so that the chunk says the same as the one that the frame is of.
        """
        if (
            len(event) <= self._shortest
            or not event.startswith(self._before)
            or not event.endswith(self._after)
            or not self._shortest
        ):
            return None
        piece = event[len(self._before) : len(event) - len(self._after)]
        if b'"' in piece or b"\\" in piece:
            return None
        try:
            text = piece.decode()
        except UnicodeDecodeError:
            return None
        return text if text.isprintable() else None

    def learn(self, event: bytes, chunks: list[Object]) -> None:
        """Take the frame of an event that was read, if it says nothing but a piece of text."""
        if self._lessons and len(chunks) == 1 and (text := _only_text(chunks[0])):
            for beginning in _BEGINNINGS:
                before, found, rest = event.partition(beginning)
                piece = text.encode()
                if found and rest.startswith(piece + b'"'):
                    self._lessons -= 1
                    self._take(event, before + found, rest[len(piece) :])

    def _take(self, event: bytes, before: bytes, after: bytes) -> None:
        """Keep a frame if another text in it would be read as the text of the answer."""
        tried = parsed(before + b"~" + after)
        said = parsed(event)
        try:
            delta = tried["choices"][0]["delta"]
            is_text = delta["content"] == "~"
            delta["content"] = said["choices"][0]["delta"]["content"]
        except (LookupError, TypeError):
            return
        if is_text and tried == said:
            self._before, self._after = before, after
            self._shortest = len(before) + len(after)


def _only_text(chunk: Any) -> str | None:
    """Return the text of a chunk that has nothing else."""
    candidates = chunk.get("candidates")
    if len(chunk) != 1 or not candidates or len(candidates) != 1:
        return None
    candidate = candidates[0]
    content = candidate.get("content")
    if len(candidate) != 1 or not content or len(content["parts"]) != 1:
        return None
    part = content["parts"][0]
    return part.get("text") if len(part) == 1 else None
