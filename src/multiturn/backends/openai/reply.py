"""Reads answers of the OpenAI protocol, streamed or whole, into chunks; pure.

A chunk has the shape of the wire's GenerateContentResponse: text as it comes, thoughts
as parts marked so, and each function call whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from multiturn.backends.openai.frame import Frame
from multiturn.backends.openai.function_calls import CallAssembler
from multiturn.backends.sse import SseDecoder
from multiturn.backends.wire_json import parsed
from multiturn.errors import MalformedReply
from multiturn.messages.message import Object

# Finish reasons that mean what one of the wire's own means; others are kept as they came.
# "eos…", "stop_sequence": Hugging Face's server; "model_length": Mistral; "end_turn",
# "max_tokens": gateways to Anthropic.
_FINISH = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "function_call": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "eos": "STOP",
    "eos_token": "STOP",
    "stop_sequence": "STOP",
    "end_turn": "STOP",
    "tool_use": "STOP",
    "model_length": "MAX_TOKENS",
    "max_tokens": "MAX_TOKENS",
}
# What OpenAI itself says; where another word was used, it is kept in finishMessage.
_PLAIN = ("stop", "length", "tool_calls", "content_filter")
# What of a candidate is said once more with usage that comes behind its end.
_END = ("index", "finishReason", "finishMessage")
# Names of members in which servers send a model's reasoning; the first that is there counts.
_REASONING = ("reasoning_content", "reasoning")


class ReplyReader:
    """Reads the body of one answer.

    Args:
        is_stream: Whether events are expected; either is read.
        read_error: Makes the error of an error object.
        known: Names of the functions that the model was told of.
    """

    def __init__(
        self,
        is_stream: bool,
        read_error: Callable[[Any], Exception],
        known: Collection[str] = (),
    ) -> None:
        self._events = SseDecoder() if is_stream else None
        self._read_error, self._known = read_error, known
        self._whole: list[bytes] = []
        self._choices: dict[int, _Choice] = {}
        self._is_named = False
        self._frame = Frame()
        self._early: Object = {}  # usage and names, told before a piece of the answer
        self._ends: list[Object] = []

    def feed(self, data: bytes) -> Iterable[Object]:
        """Return the chunks that these bytes complete, lazily: what came before a fault is given.

        Raises:
            MalformedReply: The server does not keep to the format.
            StatusError: It says in the stream that it cannot go on.
        """
        if self._events is None:
            self._whole.append(data)
            return ()
        return self._chunks(self._events.feed(data))

    def end(self) -> Iterator[Object]:
        """Give the chunks that the end of the body completes."""
        if self._events is None:
            whole = b"".join(self._whole).strip()
            if not whole:
                raise MalformedReply("the server's answer is empty")
            if not whole.startswith((b"data:", b":", b"event:")):
                yield from self._read(parsed(whole))
                return
            self._events = SseDecoder()  # events, though none were asked for
            yield from self.feed(whole)
        yield from self._chunks(self._events.end())
        if self._early:
            yield self._early
        stray = bytes(self._events.stray).strip().removeprefix(b"error:")
        if stray.strip():
            # No event stream: an answer or an error as one object, or a page.
            yield from self._read(parsed(stray))

    def _chunks(self, events: list[bytes]) -> Iterator[Object]:
        frame = self._frame
        for event in events:
            text = None if self._early else frame.text_in(event)
            if text:
                yield {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]}
            elif event != b"[DONE]" and event and not event.isspace():
                chunks = self._read(parsed(event))
                frame.learn(event, chunks)
                for chunk in chunks:
                    yield from self._with_answer(chunk)

    def _with_answer(self, chunk: Object) -> Iterator[Object]:
        """Give a chunk of a stream; usage told alone comes with the end, or the next piece.

        Nothing of an answer is held back: whoever waits for its end need not wait for the
        usage behind it, and what breaks behind it takes nothing away.
        """
        ends = [
            {name: candidate[name] for name in _END if name in candidate}
            for candidate in chunk.get("candidates") or ()
            if "finishReason" in candidate
        ]
        self._ends = ends or self._ends
        if "candidates" not in chunk and self._ends:
            chunk["candidates"] = [end.copy() for end in self._ends]
        chunk = self._early | chunk
        self._early = {} if "candidates" in chunk else chunk
        if not self._early:
            yield chunk

    def _read(self, received: Any) -> list[Object]:
        """Return what a chunk of the protocol says as chunks of the wire: one, or none."""
        received = self._checked(received)
        chunk: Object = {}
        candidates = [self._candidate(choice) for choice in received.get("choices") or ()]
        candidates = [candidate for candidate in candidates if candidate]
        if candidates:
            chunk["candidates"] = candidates
        if received.get("usage"):
            chunk["usageMetadata"] = _usage(received["usage"])
        if chunk and not self._is_named:
            self._is_named = True
            for name, ours in (("model", "modelVersion"), ("id", "responseId")):
                if isinstance(received.get(name), str) and received[name]:
                    chunk[ours] = received[name]
        return [chunk] if chunk else []

    def _checked(self, received: Any) -> Object:
        """Return an object of the protocol; raise if it is an error, or none."""
        if isinstance(received, list) and len(received) == 1:
            received = received[0]  # some gateways wrap errors so
        if not isinstance(received, dict):
            raise MalformedReply("the server sent a chunk that is no object", received)
        if received.get("error") or received.get("object") == "error":
            raise self._read_error(received)
        choices = received.get("choices")
        if choices is None and ("detail" in received or "message" in received):
            raise self._read_error(received)
        if not isinstance(choices or [], list):
            raise MalformedReply("$.choices is no list", choices)
        return received

    def _candidate(self, choice: Any) -> Object:
        if not isinstance(choice, dict):
            raise MalformedReply("a choice is no object", choice)
        if choice.get("error"):
            raise self._read_error(choice)
        index = choice.get("index") or 0
        if type(index) is not int:
            raise MalformedReply("$.choices[].index is no number", index)
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = _Choice(self._known)
        candidate = state.read(choice)
        if candidate and index:
            candidate["index"] = index
        return candidate


class _Choice:
    """One of the answers to a request, as it arrives."""

    __slots__ = ("_calls", "_is_begun", "_refusal")

    def __init__(self, known: Collection[str]) -> None:
        self._calls = CallAssembler(known)
        self._refusal: list[str] = []
        self._is_begun = False

    def read(self, choice: Object) -> Object:
        """Return what a choice of a chunk says as a candidate; empty if it says nothing."""
        delta = choice.get("delta")
        if not delta and not self._is_begun:
            delta = choice.get("message")  # not streamed, or all of it at the end
        parts: list[Object] = []
        if delta:
            if not isinstance(delta, dict):
                raise MalformedReply("a choice's delta is no object", delta)
            parts = self._parts(delta)
        self._is_begun = self._is_begun or bool(parts) or bool(self._calls)
        finish = choice.get("finish_reason")
        candidate: Object = {}
        if finish and finish != "null":
            self._finish(candidate, parts, finish)
        if parts:
            candidate["content"] = {"parts": parts, "role": "model"}
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and logprobs.get("content"):
            candidate["logprobsResult"] = _logprobs(logprobs["content"])
        return candidate

    def _parts(self, delta: Object) -> list[Object]:
        parts: list[Object] = []
        for name in _REASONING:
            thought = delta.get(name)
            if thought and isinstance(thought, str):
                parts.append({"text": thought, "thought": True})
                break
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                parts.append({"text": content})
        elif content is not None:
            parts += _listed_parts(content)
        images = delta.get("images")
        for image in images if isinstance(images, list) else [images] if images else ():
            parts += _image(image)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._refusal.append(refusal)
        pieces = delta.get("tool_calls")
        for piece in pieces if isinstance(pieces, list) else [pieces] if pieces else ():
            self._calls.add(piece)
        if isinstance(delta.get("function_call"), dict):
            self._calls.add(delta["function_call"])
        return parts

    def _finish(self, candidate: Object, parts: list[Object], finish: Any) -> None:
        said = str(finish)
        candidate["finishReason"] = _FINISH.get(said.lower(), said)
        if said not in _PLAIN:
            candidate["finishMessage"] = said
        if self._refusal:
            marked = {"text": "".join(self._refusal), "partMetadata": {"refusal": True}}
            parts.append(marked)
            self._refusal.clear()
        if not self._calls:
            return
        is_cut = candidate["finishReason"] == "MAX_TOKENS"
        calls = self._calls.calls(is_cut)
        if calls is not None:
            parts += calls
        elif is_cut or candidate["finishReason"] == "STOP":
            # Another try would meet the limit again; a turn makes one for a malformed call.
            candidate["finishReason"] = "OTHER" if is_cut else "MALFORMED_FUNCTION_CALL"
            advice = "a call was cut off by the limit of tokens; raise max_output_tokens: "
            candidate["finishMessage"] = (advice if is_cut else "") + self._calls.as_text()
        self._calls = CallAssembler()


def _listed_parts(content: Any) -> list[Object]:
    """Return the parts of a content that is a list, as Mistral's reasoning models send it."""
    parts: list[Object] = []
    for item in content if isinstance(content, list) else [content]:
        if isinstance(item, str):
            parts.append({"text": item})
        elif isinstance(item, dict) and item.get("type") == "thinking":
            inner = item.get("thinking")
            thoughts = [inner] if isinstance(inner, str) else inner or []
            texts = [t.get("text") or "" if isinstance(t, dict) else str(t) for t in thoughts]
            parts.append({"text": "".join(texts), "thought": True})
        elif isinstance(item, dict) and isinstance(item.get("text"), str):
            parts.append({"text": item["text"]})
        elif isinstance(item, dict) and item.get("type") == "image_url":
            parts += _image(item)
        else:
            raise MalformedReply("a part of the answer is of an unknown kind", item)
    return parts


def _image(image: Any) -> list[Object]:
    """Return an image that a model made; those of gateways come as data addresses."""
    address = image.get("image_url") if isinstance(image, dict) else None
    url = address.get("url") if isinstance(address, dict) else address
    if not isinstance(url, str):
        raise MalformedReply("an image of the answer has no address", image)
    head, comma, data = url.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        kind = head.removeprefix("data:").removesuffix(";base64")
        return [{"inlineData": {"mimeType": kind, "data": data}}]
    return [{"fileData": {"mimeType": "image/*", "fileUri": url}}]


def _usage(usage: Any) -> Object:
    """Return usage with the wire's names; its counts of answers leave the thoughts out."""
    if not isinstance(usage, dict):
        raise MalformedReply("$.usage is no object", usage)
    thoughts = _count(usage.get("completion_tokens_details"), "reasoning_tokens")
    # DeepSeek and Moonshot count cached tokens beside the others.
    cached = (
        _count(usage.get("prompt_tokens_details"), "cached_tokens")
        or _count(usage, "prompt_cache_hit_tokens")
        or _count(usage, "cached_tokens")
    )
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    out: Object = {"promptTokenCount": prompt or 0}
    if completion is not None:
        # A gateway's count of thoughts may not be part of its count of the answer.
        inside = thoughts or 0 if (thoughts or 0) <= completion else 0
        out["candidatesTokenCount"] = completion - inside
    if cached is not None:
        out["cachedContentTokenCount"] = cached
    if thoughts is not None:
        out["thoughtsTokenCount"] = thoughts
    total = _count(usage, "total_tokens")
    out["totalTokenCount"] = (prompt or 0) + (completion or 0) if total is None else total
    return out


def _count(counts: Any, name: str) -> int | None:
    value = counts.get(name) if isinstance(counts, dict) else None
    return int(value) if isinstance(value, int | float) else None


def _logprobs(tokens: Any) -> Object:
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise MalformedReply("$.choices[].logprobs.content is no list of objects", tokens)
    return {
        "chosenCandidates": [_logprob(token) for token in tokens],
        "topCandidates": [
            {"candidates": [_logprob(other) for other in token.get("top_logprobs") or ()]}
            for token in tokens
        ],
    }


def _logprob(token: Object) -> Object:
    out: Object = {"token": token.get("token"), "logProbability": token.get("logprob")}
    if type(token.get("id")) is int:
        out["tokenId"] = token["id"]
    return out
