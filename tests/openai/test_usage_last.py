"""Usage behind the end of a streamed answer has that end with it, which waits for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from gemini.wire_server import STREAM_HEAD, Close, Pause, Reset, WireServer, chunked, event
from multiturn import protos
from multiturn.backends.openai.errors import error_in
from multiturn.backends.openai.reply import ReplyReader
from multiturn.errors import BackendError
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
    return [chunk for made in given_by_each(chunks, done=done) for chunk in made]


def given_by_each(chunks: Iterable[Any], *, done: bool = True) -> list[list[Object]]:
    """Return what a reader gives for each chunk, for [DONE] and for the end of the stream."""
    reader = ReplyReader(True, error_in)
    fed = [list(reader.feed(event(chunk))) for chunk in chunks]
    if done:
        fed.append(list(reader.feed(b"data: [DONE]\n\n")))
    return [*fed, list(reader.end())]


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


def of(index: int, chunk: Any) -> Any:
    return {**chunk, "choices": [{**chunk["choices"][0], "index": index}]}


def test_an_end_waits_for_nothing_and_is_said_again_with_the_usage() -> None:
    chunks = [
        of(0, piece("A", "stop")),
        of(1, piece("B")),
        of(1, piece(finish="eos")),
        ONLY_USAGE,
    ]
    told = [
        [(c.get("index", 0), c.get("finishReason"), "usageMetadata" in chunk) for c in candidates]
        for made in given_by_each(chunks)
        for chunk in made
        for candidates in [chunk["candidates"]]
    ]
    assert [
        [(0, "STOP", False)],
        [(1, None, False)],
        [(1, "STOP", False)],
        [(1, "STOP", True)],
    ] == told
    last = given(chunks)[-1]["candidates"]
    assert [{"index": 1, "finishReason": "STOP", "finishMessage": "eos"}] == last


@pytest.mark.parametrize("body", BODIES)
def test_every_piece_of_an_answer_is_given_with_the_bytes_that_bring_it(body: str) -> None:
    for sent, made in zip(BODIES[body], given_by_each(BODIES[body]), strict=False):
        choice = (sent["choices"] or [{}])[0]
        texts = [
            part["text"]
            for chunk in made
            for candidate in chunk["candidates"]
            for part in candidate.get("content", {}).get("parts", ())
        ]
        assert choice.get("delta", {}).get("content", "") == "".join(texts)
        if choice.get("finish_reason"):
            assert "STOP" == made[-1]["candidates"][0]["finishReason"]


# What happens behind an end; a whole stream's last chunk is missing in each.
BEHIND: dict[str, list[Any]] = {
    "closed": [Close],
    "reset": [Reset],
    "an error": [chunked(event({"error": {"message": "no usage today", "code": 500}}))],
    "no JSON": [chunked(b"data: {nonsense\n\n")],
}


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("end", [[piece("Yes."), piece(finish="stop")], [piece("Yes.", "stop")]])
async def test_what_breaks_behind_an_end_takes_nothing_away_and_is_not_asked_again(
    way: Way, server: WireServer, behind: str, end: list[Any]
) -> None:
    sent = STREAM_HEAD + b"".join(chunked(event(chunk)) for chunk in end)
    server.script.append([sent, *BEHIND[behind]])
    chat = model_of(server).start_chat(unfinished="keep")
    seen = []

    async def read() -> None:
        async for chunk in way.read(await way.send(chat, "Hi", stream=True)):
            seen.append((chunk.text, chunk.candidates[0].finish_reason.name))

    with pytest.raises(BackendError) as caught:
        await read()
    assert ("Yes.", "STOP") == ("".join(text for text, _ in seen), seen[-1][1])
    assert ("Yes.", ["Hi", "Yes."]) == (caught.value.partial_text, said(chat))
    assert 1 == len(server.requests)


async def test_who_waits_for_the_end_does_not_wait_for_a_server_that_lingers_behind_it(
    way: Way, server: WireServer
) -> None:
    server.script.append([STREAM_HEAD, chunked(event(piece("Yes.", "stop"))), Pause(60)])
    reply = await way.send(model_of(server).start_chat(), "Hi", stream=True)
    async for chunk in way.read(reply):
        assert ("Yes.", "STOP") == (chunk.text, chunk.candidates[0].finish_reason.name)
        break


async def test_a_chunk_without_an_answer_has_no_parts(way: Way) -> None:
    """As the Gemini API may send one; 0.8.6 raised there, though its turn was whole."""
    counts: Object = {"usageMetadata": {"totalTokenCount": 5}}
    answer: Object = {"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP"}
    chat, _ = conversation([counts, {"candidates": [answer]}, counts])
    parts: list[protos.Part] = []
    async for chunk in way.read(await way.send(chat, "Hi", stream=True)):
        parts += chunk.parts
    assert (["Yes."], ["Hi", "Yes."]) == ([part.text for part in parts], said(chat))
