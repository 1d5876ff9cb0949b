"""Pieces of an answer from the engine as chunks of the wire."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from multiturn.backends.embedded.tool_grammar import AnswerReader, schema_for, whole
from multiturn.engine import CallReader, CallSyntax, Piece
from multiturn.messages.message import Object
from multiturn.request import Request

_FINISH = {"stop": "STOP", "length": "MAX_TOKENS"}


def chunks_for(request: Request, calls: CallSyntax | None = None) -> TextChunks:
    """Return what turns the pieces of this request's answer into chunks.

    Args:
        request: What was asked.
        calls: How the model writes calls; None for one that a grammar makes write them.
    """
    if schema_for(request) is None:
        return TextChunks(request.model)
    return GrammarChunks(request.model) if calls is None else CallChunks(request.model, calls)


class TextChunks:
    """Makes chunks of an answer that is text."""

    def __init__(self, model: str) -> None:
        self._model = model

    def of(self, piece: Piece) -> Iterator[Object]:
        """Give the chunks of a piece; none for one that says only that it was cancelled."""
        if piece.finish == "cancelled":
            return
        part = {"text": piece.text}
        if piece.finish is None:
            yield _chunk(part)
        else:
            yield self._last([part], piece, _FINISH[piece.finish])

    def _malformed(self, piece: Piece) -> Object:
        # Another try would meet the limit again; a turn makes one for a malformed call.
        reason, told = (
            ("OTHER", "a call was cut off by the limit of tokens; raise max_output_tokens")
            if piece.finish == "length"
            else ("MALFORMED_FUNCTION_CALL", "the call is not one")
        )
        chunk = self._last([{"text": ""}], piece, reason)
        chunk["candidates"][0]["finishMessage"] = told
        return chunk

    def _last(self, parts: list[Object], piece: Piece, finish_reason: str) -> Object:
        usage = {
            "promptTokenCount": piece.prompt_tokens,
            "cachedContentTokenCount": piece.cached_tokens,
            "candidatesTokenCount": piece.completion_tokens,
            "totalTokenCount": piece.prompt_tokens + piece.completion_tokens,
        }
        chunk = _chunk(*parts)
        chunk["candidates"][0]["finishReason"] = finish_reason
        return {**chunk, "usageMetadata": usage, "modelVersion": self._model}


class WrittenChunks(TextChunks, ABC):
    """Makes chunks of an answer in which a model may write calls; they come once it is whole.

    Args:
        model: Its name.
        feed: Takes in what was written, and gives what of it is text.
    """

    def __init__(self, model: str, feed: Callable[[str], Iterator[str]]) -> None:
        super().__init__(model)
        self._feed = feed

    def of(self, piece: Piece) -> Iterator[Object]:
        """Give the text as it comes, and the calls once the answer is whole."""
        if piece.finish == "cancelled":
            return
        for text in self._feed(piece.text):
            yield _chunk({"text": text})
        if piece.finish is None:
            return
        parts = self._parts()
        if parts is None:
            yield self._malformed(piece)
        elif parts:
            yield self._last(parts, piece, "STOP")
        else:
            yield self._last([{"text": self._rest()}], piece, _FINISH[piece.finish])

    @abstractmethod
    def _parts(self) -> list[Object] | None:
        """Return the calls of the whole answer as parts, None if it is malformed."""

    def _rest(self) -> str:
        """Return the text that was held back."""
        return ""


class CallChunks(WrittenChunks):
    """Makes chunks of an answer in which calls may follow a text."""

    def __init__(self, model: str, syntax: CallSyntax) -> None:
        self._reader = CallReader(syntax)
        super().__init__(model, self._reader.feed)

    def _parts(self) -> list[Object] | None:
        calls = self._reader.calls()
        if calls is None:
            return None
        try:
            return [{"functionCall": {"name": c.name, "args": whole(c.arguments)}} for c in calls]
        except ValueError:  # nested too deeply
            return None

    def _rest(self) -> str:
        return "".join(self._reader.rest())


class GrammarChunks(WrittenChunks):
    """Makes chunks of an answer that a grammar holds to a reply or a call."""

    def __init__(self, model: str) -> None:
        self._reader = AnswerReader()
        super().__init__(model, self._reader.feed)

    def _parts(self) -> list[Object] | None:
        call = self._reader.call()
        if call is not None:
            return [{"functionCall": call}]
        return [] if self._reader.is_reply else None


def _chunk(*parts: Object) -> Object:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}}]}
