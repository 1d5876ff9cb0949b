"""Block A: the wire is cut at every byte, in every way; a turn is whole or not there at all."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from conftest import EFFORT
from gemini.wire_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Answer,
    Close,
    Pause,
    Received,
    Reset,
    WireServer,
    chunked,
    event,
    head,
    parts,
    reply,
    whole,
)
from multiturn import BackendError, BrokenResponseError, ConnectionFailed, Retry
from ways import Way

NEVER = Retry(attempts=1)
STRIDE = 1 if EFFORT == "nightly" else 7
IMAGE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
CALL = {"functionCall": {"id": "c1", "name": "wind_at", "args": {"metres": 50}}}
RESULT = {"functionResponse": {"id": "c1", "name": "wind_at", "response": {"knots": 9}}}
FIXTURES: dict[str, list[dict[str, Any]]] = {
    "text": [reply("In pié", None), reply("ces ✓ 🌍", None), reply(".", "STOP")],
    "call": [parts([{**CALL, "thoughtSignature": "Q2lR"}])],
    "thinking": [
        parts([{"text": "Hm.", "thought": True}], None),
        parts([{"text": "Yes"}], None),
        parts([{"text": "", "thoughtSignature": "AAAA"}]),
    ],
    "image": [parts([{"text": "Here:"}, IMAGE])],
}


def _body(name: str) -> bytes:
    return b"".join(event(chunk) for chunk in FIXTURES[name])


def _sse_cuts(name: str) -> dict[str, tuple[bytes, list[Any]]]:
    """Return, for each way of cutting, the bytes before the cut and what happens at it."""
    body = _body(name)
    plain = b"".join(chunked(event(chunk)) for chunk in FIXTURES[name]) + LAST_CHUNK
    closing = head(Content_Type="text/event-stream", Connection="close")
    return {
        "chunked, closed": (STREAM_HEAD + plain, [Close]),
        "chunked, reset": (STREAM_HEAD + plain, [Reset]),
        "short of its length": (head(Content_Length=str(len(body))) + body, [Close]),
        "until closed": (closing + body, [Close]),
    }


def _polite(name: str, at: int) -> bytes:
    """An early end that HTTP cannot tell from the right one."""
    return STREAM_HEAD + chunked(_body(name)[:at]) + LAST_CHUNK if at else STREAM_HEAD + LAST_CHUNK


async def _exchange(way: Way, server: WireServer, model: Any, stream: bool) -> None:
    """Send once into the cut, and once more; check that the turns are whole or absent."""
    chat = model.start_chat(
        history=[{"role": "user", "parts": ["a"]}, {"role": "model", "parts": ["b"]}]
    )
    before = list(chat.history)
    seen = ""
    error: Exception | None = None
    try:
        response = await way.send(chat, "first", stream=stream)
        async for chunk in way.read(response):
            seen += "".join(p.text for p in chunk.candidates[0].content.parts if not p.thought)
    except (BackendError, BrokenResponseError) as problem:
        error = problem
    if error is None:
        assert 4 == len(chat.history)
        assert seen == chat.history[-1].text
    else:
        assert before == chat.history, "a cut turn left a trace"
        assert isinstance(error, BackendError | BrokenResponseError)
    is_called = any(part.function_call for part in chat.history[-1].parts)
    second = RESULT if is_called else {"text": "second"}
    response = await way.send(chat, second)
    assert "All well." == response.text
    sent = [content["parts"] for content in server.requests[-1].json["contents"]]
    assert [second] == sent[-1]
    assert (5 if error is None else 3) == len(sent)
    json.dumps(sent)


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize(
    "cut", ["chunked, closed", "chunked, reset", "short of its length", "until closed"]
)
async def test_a_stream_cut_anywhere_is_a_whole_turn_or_none(
    way: Way, fixture: str, cut: str
) -> None:
    data, steps = _sse_cuts(fixture)[cut]
    begin = data.index(b"\r\n\r\n") + 4 if STRIDE > 1 else 0
    points = [*range(begin, len(data), STRIDE), len(data) - 1, len(data)]
    await _cut_at(way, [[data[:at], *steps] for at in points], stream=True)


@pytest.mark.parametrize("fixture", FIXTURES)
async def test_a_stream_that_ends_politely_too_early_is_a_whole_turn_or_none(
    way: Way, fixture: str
) -> None:
    points = [*range(0, len(_body(fixture)), STRIDE), len(_body(fixture))]
    await _cut_at(way, [[_polite(fixture, at)] for at in points], stream=True)


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("end", [Close, Reset])
async def test_an_answer_cut_anywhere_is_a_whole_turn_or_none(
    way: Way, fixture: str, end: Any
) -> None:
    data = whole(FIXTURES[fixture][-1])
    points = [*range(0, len(data), STRIDE), len(data) - 1, len(data)]
    await _cut_at(way, [[data[:at], end] for at in points], stream=False)


async def _cut_at(way: Way, answers: list[Answer], *, stream: bool) -> None:
    remaining = iter(answers)

    def answer(received: Received) -> Answer:
        last = received.json["contents"][-1]["parts"][0]
        return next(remaining) if last == {"text": "first"} else whole(reply("All well."))

    with WireServer(answer) as server:
        model = server.model(retry=NEVER)
        for _ in answers:
            await _exchange(way, server, model, stream)


async def _read_slowly(way: Way, response: Any, seen: list[str]) -> None:
    """Read with pauses in which the rest, and the end, arrive while nobody waits for them."""
    async for chunk in way.read(response):
        seen.append(chunk.text)
        await asyncio.sleep(0.05) if way.name == "async" else time.sleep(0.05)


async def test_what_arrived_before_a_cut_is_shown(way: Way) -> None:
    pieces = [chunked(event(reply(text, None))) for text in ("Hal", "f")]
    with WireServer([STREAM_HEAD + pieces[0], Pause(0.01), pieces[1], Close]) as server:
        response = await way.send(server.model(retry=NEVER).start_chat(), "Hi", stream=True)
        seen: list[str] = []
        with pytest.raises(ConnectionFailed) as caught:
            await _read_slowly(way, response, seen)
        assert (["Hal", "f"], "Half") == (seen, caught.value.partial_text)


@pytest.mark.parametrize("end", [Close, Reset])
async def test_a_finish_reason_does_not_make_a_cut_a_good_end(way: Way, end: Any) -> None:
    early = STREAM_HEAD + chunked(event(reply("Not all of", "STOP")))
    with WireServer([early, end]) as server:
        chat = server.model(retry=NEVER).start_chat()
        with pytest.raises(ConnectionFailed):
            await way.resolve(await way.send(chat, "Hi", stream=True))
        assert [] == chat.history
