"""Chunks whose bytes are compared instead of read say what they would have said."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from multiturn.backends.openai.errors import error_in
from multiturn.backends.openai.frame import Frame
from multiturn.backends.openai.reply import ReplyReader

texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(['"', "\\", "\n", '","x":"', '"content":"', "~", "\u2028", "é😀", "\x7f", ""]),
)
members = st.fixed_dictionaries(
    {},
    optional={
        "logprobs": st.none(),
        "finish_reason": st.none(),
        "role": st.just("assistant"),
        "note": st.sampled_from(["content", '"content":"a"', "~"]),
        "usage": st.none(),
    },
)


def chunk(text: str, more: dict[str, Any], spaced: bool, ascii_only: bool) -> bytes:
    inner = {"content": text} | {n: v for n, v in more.items() if n in ("role", "note")}
    outer = {n: v for n, v in more.items() if n in ("logprobs", "finish_reason")}
    body = {"id": "c", "choices": [{"index": 0, "delta": inner, **outer}], "model": "m"}
    if "usage" in more:
        body["usage"] = None
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(body, separators=separators, ensure_ascii=ascii_only).encode()


def said(events: list[bytes]) -> list[Any]:
    reader = ReplyReader(True, error_in)
    return [c for event in events for c in reader.feed(b"data: " + event + b"\n\n")]


@given(st.lists(texts, max_size=12), members, st.booleans(), st.booleans())
def test_a_stream_says_the_same_with_and_without_frames(
    pieces: list[str], more: dict[str, Any], spaced: bool, ascii_only: bool
) -> None:
    events = [chunk(text, more, spaced, ascii_only) for text in pieces]
    expected = [
        {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}]}
        for text in pieces
        if text
    ]
    if expected:
        expected[0] |= {"modelVersion": "m", "responseId": "c"}
    assert expected == said(events)


def test_a_chunk_with_the_same_frame_is_not_read() -> None:
    frame = Frame()
    event = chunk("Hello", {}, True, False)
    other = chunk("there, é", {}, True, False)
    assert frame.text_in(other) is None
    frame.learn(event, [{"candidates": [{"content": {"parts": [{"text": "Hello"}]}}]}])
    assert "there, é" == frame.text_in(other)
    assert frame.text_in(chunk('a "quote"', {}, True, False)) is None
    assert frame.text_in(chunk("", {}, True, False)) is None
    assert frame.text_in(other.replace(b"null", b"true").replace(b'"m"', b'"n"')) is None
