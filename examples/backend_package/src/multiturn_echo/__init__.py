"""A backend that says back what was said: a pattern for backends of one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from multiturn.cancel import Cancel
from multiturn.errors import UnknownName
from multiturn.messages.message import Object
from multiturn.request import Request

MODELS = ("plain", "loud")


class EchoBackend:
    """Answers word by word; made once, without arguments, and shared by threads."""

    name = "echo"

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Give the answer in chunks; the last says why it ended."""
        words = _answer(request).split(" ")
        for i, word in enumerate(words):
            if cancel.is_set():
                return
            yield _chunk(word if i == 0 else f" {word}")
        yield {
            **_chunk("", finish="STOP"),
            "modelVersion": request.model,
            "usageMetadata": {"totalTokenCount": len(words)},
        }

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """The same; a real backend awaits its network here."""
        for chunk in self.stream(request, cancel):
            yield chunk

    def count_tokens(self, request: Request) -> Object:
        return {"totalTokens": sum(len(content.text.split()) for content in request.contents)}

    async def count_tokens_async(self, request: Request) -> Object:
        return self.count_tokens(request)


def _answer(request: Request) -> str:
    if request.model not in MODELS:
        raise UnknownName("echo model", request.model, MODELS)
    said = request.contents[-1].text
    return said.upper() if request.model == "loud" else said


def _chunk(text: str, finish: str | None = None) -> Object:
    candidate: Object = {"content": {"parts": [{"text": text}], "role": "model"}}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})]}
