"""A reply as it arrives: chunks go in, one whole response comes out.

A chunk has the shape of the wire's GenerateContentResponse.  Source of the rules: the
Gemini API's streaming behaviour (text arrives in pieces, everything else whole; counts
are cumulative; metadata are snapshots of which the last holds).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import SupportsIndex

from multiturn.errors import MalformedReply, shown
from multiturn.messages.message import Object

# Members of a candidate whose lists grow from chunk to chunk.
_GROWING_LISTS = ("topCandidates", "chosenCandidates")
_NO_OBJECT: Object = {}
_NOTHING_YET: tuple[int, Object] = 0, {}


class Reply:
    """What has arrived of one answer; grows with ``add``, while other threads may read it.

    Attributes:
        chunks: How many pieces have arrived whole.
        clock: Tells the time, None if nobody wants to know.
        first_at: When the first piece of an answer arrived, 0 before.
    """

    __slots__ = ("_candidates", "_object", "_whole", "chunks", "clock", "first_at")

    def __init__(self) -> None:
        self.chunks = 0
        self.clock: Callable[[], float] | None = None
        self.first_at = 0.0
        self._object: Object = {}
        self._candidates: dict[int, _Answer] = {}
        # Until how many chunks it is the whole, and what it was then.
        self._whole = _NOTHING_YET

    def add(self, chunk: Object) -> None:
        """Take a chunk in; it is kept, and must not change any more.

        Raises:
            MalformedReply: It has not the shape of a chunk.
        """
        try:
            for name, value in chunk.items():
                if name == "candidates":
                    for candidate in value or ():
                        index = candidate.get("index") or 0
                        answer = self._candidates.get(index) if type(index) is int else None
                        (answer or self._begun(index)).add(candidate)
                elif name == "usageMetadata" and isinstance(value, dict):
                    self._object[name] = self._object.get(name, _NO_OBJECT) | value
                elif value is not None:
                    self._object[name] = value
        except (AttributeError, TypeError) as error:
            raise MalformedReply(
                f"the backend sent a chunk that is no GenerateContentResponse ({error})", chunk
            ) from error
        finally:
            self.chunks += 1  # last: what another thread reads meanwhile is not the whole

    def _begun(self, index: SupportsIndex) -> _Answer:
        """Return the answer of an index that was not met before, or is of another type."""
        index = operator.index(index)
        answer = self._candidates.get(index)
        if answer is None:
            answer = self._candidates[index] = _Answer()
            if self.clock is not None and not self.first_at:
                self.first_at = self.clock()
        return answer

    @property
    def usage(self) -> Object:
        """The wire's UsageMetadata as far as it was told; not to be changed."""
        return self._object.get("usageMetadata") or {}

    @property
    def has_content(self) -> bool:
        """Whether anything was shown that a second try could not take back."""
        return any(answer.parts for answer in self._candidates.values())

    @property
    def text(self) -> str:
        """The text that has arrived for the first answer, thoughts left out."""
        answer = self._candidates.get(0)
        parts = answer.whole_parts() if answer else []
        return "".join(p.get("text") or "" for p in parts if not p.get("thought"))

    def whole(self) -> Object:
        """Return all that has arrived as one response; not to be changed.

        It is the same object until more arrives, and does not change then.
        """
        chunks, (known_chunks, whole) = self.chunks, self._whole
        if chunks != known_chunks:
            whole = dict(self._object)
            if self._candidates:
                ordered = sorted(self._candidates.items())
                whole["candidates"] = [answer.whole() for _, answer in ordered]
            self._whole = chunks, whole
        return whole


class _Answer:
    """One candidate as it arrives."""

    __slots__ = ("growing", "is_empty_text", "members", "parts", "pieces", "role", "thought")

    def __init__(self) -> None:
        self.members: Object = {}
        self.parts: list[Object] = []
        self.role = ""
        # Whether nothing was said so far but "": an answer too, if it stays at that.
        self.is_empty_text = False
        # Pieces of the text part that is still growing; and for readers, with its place.
        self.pieces: list[str] | None = None
        self.growing: tuple[int, list[str]] | None = None
        self.thought: object = None

    def add(self, candidate: Object) -> None:
        for name, value in candidate.items():
            if name == "content":
                if isinstance(value, dict):
                    self.role = value.get("role") or self.role
                    for part in value.get("parts") or ():
                        self._add_part(part)
            elif name == "safetyRatings" and value:
                rated = {r.get("category"): r for r in (*self.members.get(name, ()), *value)}
                self.members[name] = list(rated.values())
            elif name == "logprobsResult" and isinstance(value, dict):
                self.members[name] = _joined(self.members.get(name, {}), value)
            elif value is not None:
                self.members[name] = value

    def _add_part(self, part: Object) -> None:
        text = part.get("text")
        thought = part.get("thought")
        if text is not None and not isinstance(text, str):
            raise TypeError(f"the text of a part is {shown(text)}")
        if text is None or len(part) > (1 if thought is None else 2):
            self._close_text()
            self.parts.append(part)
        elif self.pieces is not None and (not thought) is (not self.thought):
            self.pieces.append(text)
        elif text:
            self._close_text()
            self.parts.append(part)
            pieces = [text]
            self.growing = len(self.parts) - 1, pieces  # an interrupt may come between
            self.pieces, self.thought = pieces, thought
        elif not self.parts:
            self.is_empty_text = True

    def _close_text(self) -> None:
        if self.growing is not None:
            _fill(self.parts, *self.growing)
        self.pieces = self.growing = None

    def whole_parts(self) -> list[Object]:
        growing, parts = self.growing, list(self.parts)
        if growing is not None:
            _fill(parts, *growing)
        return parts

    def whole(self) -> Object:
        parts = self.whole_parts() or ([{"text": ""}] if self.is_empty_text else [])
        if not parts and not self.role:
            return dict(self.members)
        content: Object = {"parts": parts}
        if self.role:
            content["role"] = self.role
        return {**self.members, "content": content}


def _fill(parts: list[Object], place: int, pieces: list[str]) -> None:
    parts[place] = {**parts[place], "text": _mended("".join(pieces))}


def _mended(text: str) -> str:
    """Make characters whole that chunks cut into UTF-16's halves; a lone half is no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _joined(before: Object, chunk: Object) -> Object:
    """Join the log probabilities of two chunks: lists grow, other members are replaced."""
    joined = {**before, **chunk}
    for name in _GROWING_LISTS:
        if name in before or name in chunk:
            joined[name] = [*before.get(name, ()), *chunk.get(name, ())]
    return joined
