"""However a reply is cut into chunks, the conversation is the same, byte for byte."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn import ChatSession, GenerativeModel
from multiturn.testing import ScriptedBackend
from ways import AT_ONCE, WAYS, Way, parts_chunk, wire

texts = st.text(max_size=12) | st.text("ab \n", max_size=8)
names = st.text("abc_", min_size=1, max_size=3)
signatures = st.binary(max_size=6).map(lambda data: base64.b64encode(data).decode())
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, json_values, max_size=3)


def text_parts(**members: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"text": texts, **members})


cuttable = text_parts() | text_parts(thought=st.booleans())
uncuttable = st.one_of(
    text_parts(thoughtSignature=signatures),
    text_parts(thoughtSignature=signatures, thought=st.booleans()),
    st.builds(lambda s: {"text": "", "thoughtSignature": s}, signatures),
    st.builds(lambda n, a: {"functionCall": {"name": n, "args": a}}, names, objects),
    st.builds(
        lambda a, s: {"functionCall": {"name": "f", "args": a}, "thoughtSignature": s},
        objects,
        signatures,
    ),
    st.builds(lambda d: {"inlineData": {"mimeType": "image/png", "data": d}}, signatures),
    st.builds(lambda c: {"executableCode": {"language": "PYTHON", "code": c}}, texts),
    st.builds(lambda o: {"codeExecutionResult": {"outcome": "NEXT_YEAR", "output": o}}, texts),
    st.builds(lambda o: {"newKind": o, "partMetadata": o}, objects),
)
replies = st.lists(cuttable | uncuttable, min_size=1, max_size=6)


@st.composite
def cut_replies(draw: st.DrawFn) -> tuple[list[Any], list[list[Any]]]:
    """Return parts, and the same parts cut up: texts within, and between chunks anywhere."""
    parts = draw(replies)
    pieces: list[Any] = []
    for part in parts:
        if set(part) <= {"text", "thought"}:
            cuts = draw(st.lists(st.integers(0, len(part["text"])), max_size=3).map(sorted))
            bounds = [0, *cuts, len(part["text"])]
            pieces += [{**part, "text": part["text"][a:b]} for a, b in pairwise(bounds)]
        else:
            pieces.append(part)
    chunks: list[list[Any]] = [[]]
    for piece in pieces:
        if draw(st.booleans()):
            chunks.append([])
        chunks[-1].append(piece)
    return parts, chunks


def history_of(way: Way, chunks: list[list[Any]], stream: bool, last_is_empty: bool) -> bytes:
    lines = [parts_chunk(parts) for parts in chunks]
    if last_is_empty:
        lines.append({"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]})
    else:
        lines[-1]["candidates"][0]["finishReason"] = "STOP"
    chat = ChatSession(GenerativeModel(backend=ScriptedBackend(lines), retry=AT_ONCE))

    async def scenario() -> None:
        response = await way.send(chat, "Hi", stream=stream)
        async for _ in way.read(response):
            pass

    way.run(scenario())
    return json.dumps(wire(chat)).encode()


@pytest.mark.parametrize("way_name", sorted(WAYS))
@given(reply=cut_replies(), last_is_empty=st.booleans())
def test_any_chunking_leaves_the_history_of_no_streaming(
    way_name: str, reply: tuple[list[Any], list[list[Any]]], last_is_empty: bool
) -> None:
    parts, chunks = reply
    way = WAYS[way_name]()
    try:
        expected = history_of(way, [parts], stream=False, last_is_empty=False)
        assert expected == history_of(way, chunks, stream=True, last_is_empty=last_is_empty)
        assert expected == history_of(way, chunks, stream=False, last_is_empty=last_is_empty)
    finally:
        way.close()


@given(reply=replies)
def test_nothing_that_was_received_is_lost(reply: list[Any]) -> None:
    """Every text is kept in order, and everything else is kept as it came."""
    kept = json.loads(history_of(WAYS["sync"](), [reply], False, False))[1]["parts"]

    def flat(parts: list[Any], aloud: bool) -> str:
        return "".join(p["text"] for p in parts if "text" in p and bool(p.get("thought")) != aloud)

    for aloud in (True, False):
        assert flat(reply, aloud) == flat(kept, aloud)
    others = [part for part in reply if not set(part) <= {"text", "thought"}]
    assert others == [part for part in kept if not set(part) <= {"text", "thought"}]


@given(reply=replies)
def test_parts_stay_in_order(reply: list[Any]) -> None:
    kept = json.loads(history_of(WAYS["sync"](), [reply], False, False))[1]["parts"]

    def kinds(parts: list[Any]) -> list[Any]:
        seen: list[Any] = []
        for part in parts:
            simple = set(part) <= {"text", "thought"}
            if simple and not part["text"]:
                continue
            kind = bool(part.get("thought")) if simple else part
            if not seen or not simple or seen[-1] is not kind:
                seen.append(kind)
        return seen

    assert kinds(reply) == kinds(kept)


@pytest.mark.parametrize("pieces", [["a\ud83d"], ["a\ud83d", "b"], ["a", "\ude00"]])
def test_half_a_character_does_not_spoil_the_conversation(pieces: list[str]) -> None:
    chat = ChatSession(GenerativeModel(backend=ScriptedBackend(pieces)))
    chat.send_message("x")
    assert "\ufffd" in chat.history[1].text
    json.dumps(wire(chat), ensure_ascii=False).encode()


@pytest.mark.parametrize("stream", [False, True])
def test_a_character_that_was_cut_in_halves_is_made_whole(stream: bool) -> None:
    halves = ["Hi \ud83d", "\ude00!"]
    chat = ChatSession(GenerativeModel(backend=ScriptedBackend(halves)))
    response = chat.send_message("x", stream=stream)
    assert repr(response)
    response.resolve()
    assert "Hi \U0001f600!" == response.text == chat.history[1].text
