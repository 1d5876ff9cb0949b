"""The OpenAI protocol's wire is cut at every byte; a turn is whole or not there at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import EFFORT
from gemini.wire_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Answer,
    Close,
    Received,
    Reset,
    WireServer,
    chunked,
    event,
    head,
    whole,
)
from multiturn import (
    BackendError,
    BrokenResponseError,
    GenerativeModel,
    OpenAIBackend,
    Retry,
    StopCandidateException,
)
from ways import Way

STRIDE = 1 if EFFORT == "nightly" else 13
DONE = b"data: [DONE]\r\n\r\n"
SECOND = {"functionResponse": {"id": "c1", "name": "wind_at", "response": {"knots": 9}}}


def _chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "choices": [choice], "model": "m"}


def _call(arguments: str, **named: Any) -> dict[str, Any]:
    return {"index": 0, "function": {"arguments": arguments, **named}}


FIXTURES: dict[str, list[dict[str, Any]]] = {
    "text": [_chunk(content="In pié"), _chunk(content="ces ✓ 🌍"), _chunk("stop", content=".")],
    "call": [
        _chunk(tool_calls=[{"id": "c1", "type": "function", **_call("", name="wind_at")}]),
        _chunk(tool_calls=[_call('{"metres"')]),
        _chunk(tool_calls=[_call(": 50}")]),
        _chunk("tool_calls"),
    ],
    "thinking": [_chunk(reasoning_content="Hm."), _chunk(content="Yes"), _chunk("stop")],
    "usage last": [
        _chunk("stop", content="Yes."),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}},
    ],
}
MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"role": "assistant", "content": "In pieces ✓ 🌍."},
    "call": {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "wind_at", "arguments": '{"metres": 50}'},
            }
        ],
    },
}


def _unary(message: dict[str, Any]) -> dict[str, Any]:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _body(name: str) -> bytes:
    return b"".join(event(chunk) for chunk in FIXTURES[name]) + DONE


def _chunked(name: str) -> bytes:
    return STREAM_HEAD + chunked(_body(name)) + LAST_CHUNK


def _polite(name: str, at: int) -> list[Any]:
    body = _body(name)[:at]
    return [STREAM_HEAD + (chunked(body) if body else b"") + LAST_CHUNK]


def _sent(cut: str, name: str) -> list[Answer]:
    """Return, for each point of a cut, what the server sends and how it ends."""
    body = _body(name)
    if cut == "politely":
        return [_polite(name, at) for at in _points(body)]
    data, end = {
        "chunked, closed": (_chunked(name), Close),
        "chunked, reset": (_chunked(name), Reset),
        "short of its length": (head(Content_Length=str(len(body))) + body, Close),
        "until closed": (head(Content_Type="text/event-stream", Connection="close") + body, Close),
    }[cut]
    return [[data[:at], end] for at in _points(data)]


CUTS = ("chunked, closed", "chunked, reset", "short of its length", "until closed", "politely")


def _points(data: bytes) -> list[int]:
    return [*range(0, len(data), STRIDE), len(data) - 1, len(data)]


@pytest.mark.parametrize("fixture", FIXTURES)
@pytest.mark.parametrize("cut", CUTS)
async def test_a_stream_cut_anywhere_is_a_whole_turn_or_none(
    way: Way, fixture: str, cut: str
) -> None:
    await _cut_at(way, _sent(cut, fixture), stream=True)


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("end", [Close, Reset])
async def test_an_answer_cut_anywhere_is_a_whole_turn_or_none(
    way: Way, message: str, end: Any
) -> None:
    data = whole(_unary(MESSAGES[message]))
    await _cut_at(way, [[data[:at], end] for at in _points(data)], stream=False)


async def _cut_at(way: Way, answers: list[Answer], *, stream: bool) -> None:
    remaining = iter(answers)

    def answer(received: Received) -> Answer:
        if received.json["messages"][-1].get("content") == "first":
            return next(remaining)
        return whole(_unary({"role": "assistant", "content": "All well."}))

    with WireServer(answer) as server:
        backend = OpenAIBackend(f"{server.url}/v1", "k-of-the-tests")
        model = GenerativeModel("m", backend=backend, retry=Retry(attempts=1))
        for _ in answers:
            await _exchange(way, server, model, stream)


async def _exchange(way: Way, server: WireServer, model: GenerativeModel, stream: bool) -> None:
    """Send once into the cut, and once more; check that the turns are whole or absent."""
    chat = model.start_chat()
    error: Exception | None = None
    seen = ""
    try:
        response = await way.send(chat, "first", stream=stream)
        async for chunk in way.read(response):
            listed = [p for c in chunk.candidates for p in c.content.parts]
            seen += "".join(part.text for part in listed if not part.thought)
    except (BackendError, BrokenResponseError, StopCandidateException) as problem:
        error = problem
    if error is None:
        assert (2, seen) == (len(chat.history), chat.history[-1].text)
    else:
        assert [] == chat.history, "a cut turn left a trace"
    is_called = bool(chat.history) and any(part.function_call for part in chat.history[-1].parts)
    response = await way.send(chat, SECOND if is_called else "second")
    assert "All well." == response.text
    roles = [message["role"] for message in server.requests[-1].json["messages"]]
    answered = ["user", "assistant", "tool" if is_called else "user"]
    assert (answered if error is None else ["user"]) == roles
    json.dumps(server.requests[-1].json)
