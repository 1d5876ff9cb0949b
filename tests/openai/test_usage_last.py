"""Usage that comes behind the end of a streamed answer is part of its last chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from gemini.wire_server import WireServer, event
from multiturn import protos
from multiturn.backends.openai.errors import error_in
from multiturn.backends.openai.reply import ReplyReader
from multiturn.messages.message import Object
from openai.test_backend import model_of, piece, streamed
from ways import Way, conversation, said

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
ONLY_USAGE: Any = {"choices": [], "usage": USAGE}
PIECES = (piece("Yes"), piece("."))
BODIES: dict[str, tuple[Any, ...]] = {
    "behind the end": (*PIECES, piece(finish="stop"), ONLY_USAGE),
    "behind an end with text": (piece("Yes"), piece(".", "stop"), ONLY_USAGE),
    "twice": (*PIECES, piece(finish="stop"), ONLY_USAGE, ONLY_USAGE),
    "with the end": (*PIECES, {**piece(finish="stop"), "usage": USAGE}),
    "with every chunk": (
        *({**chunk, "usage": USAGE} for chunk in (piece(role="assistant"), *PIECES)),
        {**piece(finish="stop"), "usage": USAGE},
        ONLY_USAGE,
    ),
    "first": (ONLY_USAGE, *PIECES, piece(finish="stop")),
}


def given(chunks: Iterable[Any], *, done: bool = True) -> list[Object]:
    """Return what a reader makes of the chunks of a stream."""
    reader = ReplyReader(True, error_in)
    body = b"".join(event(chunk) for chunk in chunks) + (b"data: [DONE]\n\n" if done else b"")
    return [*reader.feed(body), *reader.end()]


@pytest.fixture
def server() -> Iterator[WireServer]:
    server = WireServer()
    yield server
    server.close()


@pytest.mark.parametrize("body", BODIES)
async def test_every_chunk_of_a_stream_has_an_answer_wherever_the_usage_comes(
    way: Way, server: WireServer, body: str
) -> None:
    server.script.append(streamed(*BODIES[body]))
    chat = model_of(server).start_chat()
    texts, ends = [], []
    async for chunk in way.read(await way.send(chat, "Hi", stream=True)):
        texts += [part.text for part in chunk.parts]
        ends += [candidate.finish_reason.name for candidate in chunk.candidates]
        assert 1 == len(chunk.candidates)
    assert ("Yes.", ["Hi", "Yes."]) == ("".join(texts), said(chat))
    assert "STOP" == ends[-1]
    assert chat.last is not None
    assert 5 == chat.last.usage_metadata.total_token_count


@pytest.mark.parametrize("done", [True, False])
def test_an_end_without_usage_is_given_when_the_stream_is_over(done: bool) -> None:
    ends = [
        candidate.get("finishReason")
        for chunk in given([*PIECES, piece(finish="stop")], done=done)
        for candidate in chunk["candidates"]
    ]
    assert [None, None, "STOP"] == ends


def test_an_end_waits_for_nothing_but_usage() -> None:
    def of(index: int, chunk: Any) -> Any:
        return {**chunk, "choices": [{**chunk["choices"][0], "index": index}]}

    got = given(
        [of(0, piece("A", "stop")), of(1, piece("B")), of(1, piece(finish="stop")), ONLY_USAGE]
    )
    told = [
        (c.get("index", 0), "finishReason" in c, "usageMetadata" in chunk)
        for chunk in got
        for c in chunk["candidates"]
    ]
    assert [(0, True, False), (1, False, False), (1, True, True)] == told


async def test_a_chunk_without_an_answer_has_no_parts(way: Way) -> None:
    """As the Gemini API may send one; 0.8.6 raised there, though its turn was whole."""
    counts: Object = {"usageMetadata": {"totalTokenCount": 5}}
    answer: Object = {"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP"}
    chat, _ = conversation([counts, {"candidates": [answer]}, counts])
    parts: list[protos.Part] = []
    async for chunk in way.read(await way.send(chat, "Hi", stream=True)):
        parts += chunk.parts
    assert (["Yes."], ["Hi", "Yes."]) == ([part.text for part in parts], said(chat))
