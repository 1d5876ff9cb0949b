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
_NOTHING_YET: tuple[int, Object] = 0, {}


class Reply:
    """What has arrived of one answer; grows with ``add``, while other threads may read it.

    Attributes:
        chunks: How many pieces have arrived whole.
        clock: Tells the time, None if nobody wants to know.
        first_at: When the first piece of an answer arrived, 0 before.
        usage: The wire's UsageMetadata as far as it was told; not to be changed.
    """

    __slots__ = ("_answers", "_members", "_whole", "chunks", "clock", "first_at", "usage")

    def __init__(self) -> None:
        self.chunks = 0
        self.clock: Callable[[], float] | None = None
        self.first_at = 0.0
        self.usage: Object = {}
        self._members: Object = {}
        self._answers: dict[int, _Answer] = {}
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
                        (self._answers.get(index) or self._begun(index)).add(candidate)
                elif name == "usageMetadata" and isinstance(value, dict):
                    self.usage = self.usage | value
                elif value is not None:
                    self._members[name] = value
        except (AttributeError, TypeError) as error:
            raise MalformedReply(
                f"the backend sent a chunk that is no GenerateContentResponse ({error})", chunk
            ) from error
        finally:
            self.chunks += 1  # last: what another thread reads meanwhile is not the whole

    def _begun(self, index: SupportsIndex) -> _Answer:
        """Return the answer of an index that was not met before."""
        answer = self._answers.setdefault(operator.index(index), _Answer())
        if self.clock is not None and not self.first_at:
            self.first_at = self.clock()
        return answer

    @property
    def has_content(self) -> bool:
        """Whether anything was shown that a second try could not take back."""
        return any(answer.runs for answer in self._answers.values())

    @property
    def text(self) -> str:
        """The text that has arrived for the first answer, thoughts left out."""
        answer = self._answers.get(0)
        parts = answer.parts() if answer else []
        return "".join(p.get("text") or "" for p in parts if not p.get("thought"))

    def whole(self) -> Object:
        """Return all that has arrived as one response; not to be changed.

        It is the same object until more arrives, and does not change then.
        """
        chunks, (known_chunks, whole) = self.chunks, self._whole
        if chunks != known_chunks:
            whole = self._members.copy()
            if self.usage:
                whole["usageMetadata"] = self.usage
            if self._answers:
                ordered = sorted(self._answers.items())
                whole["candidates"] = [answer.whole() for _, answer in ordered]
            self._whole = chunks, whole
        return whole


class _Answer:
    """One candidate as it arrives.

    Attributes:
        members: Of the wire's Candidate, the last of each; not the content.
        role: Who speaks, "" if nobody said.
        runs: The parts; of one whose text may grow, with the pieces of its text.
        is_empty_text: Whether "" was said before anything else: an answer too, if it
            stays at that.
    """

    __slots__ = ("is_empty_text", "members", "role", "runs")

    def __init__(self) -> None:
        self.members: Object = {}
        self.role = ""
        self.runs: list[tuple[Object, list[str] | None]] = []
        self.is_empty_text = False

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
        if (text := part.get("text")) is None:
            self.runs.append((part, None))
            return
        if not isinstance(text, str):
            raise TypeError(f"the text of a part is {shown(text)}")
        thought = part.get("thought")
        before, pieces = self.runs[-1] if self.runs else (part, None)
        if len(part) > (1 if thought is None else 2):
            self.runs.append((part, None))
        elif pieces is not None and (not thought) is (not before.get("thought")):
            pieces.append(text)
        elif text:
            self.runs.append((part, [text]))
        elif not self.runs:
            self.is_empty_text = True

    def parts(self) -> list[Object]:
        """Return the parts as far as they have arrived."""
        return [
            part if pieces is None else {**part, "text": _mended("".join(pieces))}
            for part, pieces in self.runs
        ]

    def whole(self) -> Object:
        parts = self.parts() or ([{"text": ""}] if self.is_empty_text else [])
        whole = self.members.copy()
        if parts or self.role:
            content: Object = {"parts": parts}
            if self.role:
                content["role"] = self.role
            whole["content"] = content
        return whole


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
