"""Pieces of an answer from the engine as chunks of the wire."""

from __future__ import annotations

from collections.abc import Iterator

from multiturn.backends.tool_grammar import AnswerReader, schema_for, whole
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
        chunk = self._last([{"text": ""}], piece, "MALFORMED_FUNCTION_CALL")
        chunk["candidates"][0]["finishMessage"] = (
            "the call did not fit in max_output_tokens"
            if piece.finish == "length"
            else "the call is not one"
        )
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


class CallChunks(TextChunks):
    """Makes chunks of an answer in which calls may follow a text."""

    def __init__(self, model: str, syntax: CallSyntax) -> None:
        super().__init__(model)
        self._reader = CallReader(syntax)

    def of(self, piece: Piece) -> Iterator[Object]:
        """Give the text as it comes, and all calls once the answer is whole."""
        if piece.finish == "cancelled":
            return
        for text in self._reader.feed(piece.text):
            yield _chunk({"text": text})
        if piece.finish is None:
            return
        parts = self._parts()
        if parts is None:
            yield self._malformed(piece)
        elif parts:
            yield self._last(parts, piece, "STOP")
        else:
            rest = "".join(self._reader.rest())
            yield self._last([{"text": rest}], piece, _FINISH[piece.finish])

    def _parts(self) -> list[Object] | None:
        """Return the calls of the answer as parts, None if they are malformed."""
        calls = self._reader.calls()
        if calls is None:
            return None
        try:
            return [{"functionCall": {"name": c.name, "args": whole(c.arguments)}} for c in calls]
        except RecursionError:
            return None


class GrammarChunks(TextChunks):
    """Makes chunks of an answer that a grammar holds to a reply or a call."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self._reader = AnswerReader()

    def of(self, piece: Piece) -> Iterator[Object]:
        """Give the reply's text as it comes, or the call once it is whole."""
        if piece.finish == "cancelled":
            return
        for text in self._reader.feed(piece.text):
            yield _chunk({"text": text})
        if piece.finish is None:
            return
        call = self._reader.call()
        if call is not None:
            yield self._last([{"functionCall": call}], piece, "STOP")
        elif self._reader.is_reply:
            yield self._last([{"text": ""}], piece, _FINISH[piece.finish])
        else:
            yield self._malformed(piece)


def _chunk(*parts: Object) -> Object:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}}]}
