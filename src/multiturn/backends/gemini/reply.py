"""The Gemini API's wire format, what comes: the body of an answer as chunks; pure.

Source of every rule: the API's reference (v1beta, methods generateContent,
streamGenerateContent and countTokens).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from multiturn.backends.sse import SseDecoder
from multiturn.backends.wire_json import parsed
from multiturn.errors import MalformedReply
from multiturn.http import BODY_BYTES
from multiturn.messages.message import Object

_CONTINUES = ("CONTINUATION", "FINISH_REASON_CONTINUATION")


class ReplyReader:
    """Reads the body of one answer, streamed or whole, into chunks.

    The server may give an answer in several hops.  Its counts of tokens are cumulative
    within a hop, and are added up over hops here.

    Args:
        is_stream: Whether the body is a stream of events.
        read_error: Makes an error of one that stands in the place of a chunk.
        before: The tokens of the hops before.

    Attributes:
        continuation_token: With what to ask for the next hop, None if this was the last.
    """

    def __init__(
        self,
        is_stream: bool,
        read_error: Callable[[Any], Exception],
        before: Mapping[str, int] | None = None,
    ) -> None:
        self._events = SseDecoder() if is_stream else None
        self._read_error = read_error
        self._before = before
        self._whole: list[bytes] = []
        self._bytes = 0
        self._usages: list[Object] = []
        self.continuation_token: str | None = None

    def feed(self, data: bytes) -> Iterable[Object]:
        """Give the chunks that these bytes complete, each before the next is looked at.

        Raises:
            MalformedReply: The server does not keep to the format.
            StatusError: It says in the stream that it cannot go on.
        """
        self._bytes += len(data)
        if self._bytes > BODY_BYTES:
            raise MalformedReply(f"the answer is longer than {BODY_BYTES >> 20} MiB")
        if self._events is None:
            self._whole.append(data)
            return ()
        return self._chunks(self._events.feed(data))

    def end(self) -> Iterable[Object]:
        """Give the chunks that the end of the body completes."""
        if self._events is None:
            whole = b"".join(self._whole)
            if not whole or whole.isspace():
                raise MalformedReply("the server's answer is empty")
            return map(self._ended, _listed(parsed(whole)))
        last = self._chunks(self._events.end())
        # No event stream: an array or an object as older front ends send it, an error
        # without a frame, or a page of some gateway.
        stray = bytes(self._events.stray)
        return chain(last, map(self._checked, _listed(parsed(stray)))) if stray.strip() else last

    def _chunks(self, events: list[bytes]) -> Iterator[Object]:
        for event in events:
            if event and event != b"[DONE]" and not event.isspace():
                yield self._checked(parsed(event))

    def _ended(self, response: Any) -> Object:
        """Return a response that came in one piece, with its end said.

        Its body was whole, so an absent finish reason means unspecified, as protocol
        buffers have it; in a stream it would mean that the end is missing.
        """
        checked = self._checked(response)
        if self.continuation_token is None:
            for candidate in checked.get("candidates") or ():
                candidate.setdefault("finishReason", "FINISH_REASON_UNSPECIFIED")
        return checked

    def _checked(self, chunk: Any) -> Object:
        if not isinstance(chunk, dict):
            raise MalformedReply("the server sent a chunk that is no object", chunk)
        candidates = chunk.get("candidates")
        if candidates:
            if not isinstance(candidates, list):
                raise MalformedReply("$.candidates is no list", candidates)
            for candidate in candidates:
                _check_candidate(candidate)
                if "continuationToken" in candidate:
                    self._note_continuation(candidate)
        elif candidates is None and "error" in chunk and "candidates" not in chunk:
            raise self._read_error(chunk)
        usage = chunk.get("usageMetadata")
        if usage:
            if not isinstance(usage, dict):
                raise MalformedReply("$.usageMetadata is no object", usage)
            self._usages.append(usage)
            if self._before:
                chunk["usageMetadata"] = {**usage, **self.counts()}
        feedback = chunk.get("promptFeedback")
        if feedback and not isinstance(feedback, dict):
            raise MalformedReply("$.promptFeedback is no object", feedback)
        return chunk

    def counts(self) -> dict[str, int]:
        """Return the tokens of all hops so far."""
        hop = {n: v for usage in self._usages for n, v in usage.items() if type(v) is int}
        self._usages = [hop]
        before = self._before or {}
        return {n: before.get(n, 0) + hop.get(n, 0) for n in (*before, *hop)}

    def _note_continuation(self, candidate: Object) -> None:
        token = candidate.pop("continuationToken")
        if candidate.get("finishReason") in _CONTINUES and isinstance(token, str):
            del candidate["finishReason"]
            self.continuation_token = token


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_NAME_TYPES = (str, int)
# What the rest of the program relies on: the types of members that are there.
_PART_TYPES: dict[str, type] = {
    "text": str,
    "functionCall": dict,
    "functionResponse": dict,
    "inlineData": dict,
    "fileData": dict,
    "executableCode": dict,
    "codeExecutionResult": dict,
    "thought": bool,
    "thoughtSignature": str,
}


def _check_candidate(candidate: Any) -> None:
    if not isinstance(candidate, dict):
        raise MalformedReply("a candidate is no object", candidate)
    content = candidate.get("content")
    if content is not None:
        if not isinstance(content, dict):
            raise MalformedReply("$.candidates[].content is no object", content)
        parts = content.get("parts")
        if parts is not None:
            if not isinstance(parts, list):
                raise MalformedReply("$.candidates[].content.parts is no list", parts)
            for part in parts:
                # Nearly all are pieces of text.
                if type(part) is not dict or len(part) != 1 or type(part.get("text")) is not str:
                    _check_part(part)
        role = content.get("role")
        if role and not isinstance(role, str):
            raise MalformedReply("$.candidates[].content.role is no text", content)
    index, reason = candidate.get("index"), candidate.get("finishReason")
    if index and type(index) is not int:
        raise MalformedReply("$.candidates[].index is no number", index)
    if reason and not isinstance(reason, _NAME_TYPES):
        raise MalformedReply("$.candidates[].finishReason is no name", reason)
    ratings = candidate.get("safetyRatings")
    if ratings and not isinstance(ratings, list):
        raise MalformedReply("$.candidates[].safetyRatings is no list", ratings)


def _check_part(part: Any) -> None:
    if not isinstance(part, dict):
        raise MalformedReply("a part is no object", part)
    absent: list[str] = []
    for name, value in part.items():
        kind = type(value)
        if value is None:
            absent.append(name)
        elif kind is not _PART_TYPES.get(name, kind):
            raise MalformedReply(f"$.candidates[].content.parts[].{name} has a wrong type", value)
        elif name == "functionCall" and not (
            isinstance(value.get("name"), str) and isinstance(value.get("args") or {}, dict)
        ):
            raise MalformedReply(
                "a function call has no name, or arguments that are no object", value
            )
    for name in absent:
        del part[name]
