"""What a model writes under a grammar is read piece by piece, whatever the pieces."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.backends.embedded.backend import messages_of, sampling_of
from multiturn.backends.embedded.chunks import chunks_for
from multiturn.backends.embedded.tool_grammar import (
    AnswerReader,
    answer_schema,
    call_text,
    instruction,
    result_text,
)
from multiturn.engine import Piece
from multiturn.errors import InvalidContent, UnknownName, UsageError
from multiturn.history import empty_path
from multiturn.messages.content import Content
from multiturn.request import Request
from multiturn.tools.accepted import tool_objects

hostile = st.text(
    st.sampled_from('"\\/{}[]:,\n\r\t\x00\x7f\u2028u0dDabcf9 é漢😀\ud83d\ude00\ud800\udfff')
    | st.characters(),
    max_size=30,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | hostile,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile, inner, max_size=3),
    max_leaves=6,
)


def whole(value: Any) -> Any:
    """Return a value whose text is as UTF-8 can say it; pairs of halves are made whole."""
    written = json.dumps(value, ensure_ascii=False)
    return json.loads(written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def cut(data: Any, text: str) -> list[str]:
    """Return a text in pieces, where they happen to fall."""
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=8)) if text else []
    edges = [0, *sorted(places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def spaced(data: Any, members: dict[str, Any]) -> str:
    return json.dumps(
        members,
        ensure_ascii=data.draw(st.booleans()),
        separators=data.draw(st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\n\t")])),
    )


@given(hostile, st.data())
def test_a_reply_is_the_same_in_any_pieces(text: str, data: Any) -> None:
    reader = AnswerReader()
    pieces = cut(data, spaced(data, {"reply": text}))
    read = [said for piece in pieces for said in reader.feed(piece)]
    assert whole(text) == "".join(read)
    "".join(read).encode("utf-8")
    assert (True, None) == (reader.is_reply, reader.call())


@given(hostile, st.data())
def test_a_reply_that_breaks_off_is_a_beginning_of_it(text: str, data: Any) -> None:
    written = spaced(data, {"reply": text})
    reader = AnswerReader()
    cut_off = written[: data.draw(st.integers(0, len(written)))]
    read = "".join(said for piece in cut(data, cut_off) for said in reader.feed(piece))
    assert whole(text).startswith(read)


@given(st.dictionaries(hostile, json_values, max_size=3), st.data())
def test_a_call_is_the_same_in_any_pieces(args: dict[str, Any], data: Any) -> None:
    reader = AnswerReader()
    written = spaced(data, {"name": "act", "arguments": args})
    assert [] == [said for piece in cut(data, written) for said in reader.feed(piece)]
    assert False is reader.is_reply
    call = reader.call()
    assert call is not None
    assert ("act", whole(args)) == (call["name"], call["args"])
    json.dumps(call, ensure_ascii=False).encode("utf-8")


@given(st.text(max_size=40))
def test_what_is_neither_is_neither(text: str) -> None:
    reader = AnswerReader()
    list(reader.feed(text))
    call = reader.call()
    assert call is None or "name" in json.loads(text)


def request(mode: str | None = None, allowed: list[str] | None = None, **more: Any) -> Request:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    def now() -> str:
        """The time."""
        return "noon"

    config = None if mode is None else {"functionCallingConfig": {"mode": mode}}
    if allowed and config:
        config["functionCallingConfig"]["allowedFunctionNames"] = allowed  # type: ignore[assignment]
    contents = empty_path().plus(_said("Hi."))
    return Request("smollm2", contents, tools=tool_objects([add, now]), tool_config=config, **more)


def _said(text: str) -> Content:
    return Content.view({"parts": [{"text": text}], "role": "user"}, frozen=True)


def options_of(schema: Any) -> list[Any]:
    return [
        option["properties"].get("name", {}).get("const", "reply") for option in schema["anyOf"]
    ]


@pytest.mark.parametrize(
    ("mode", "allowed", "expected"),
    [
        (None, None, ["add", "now", "reply"]),
        ("AUTO", None, ["add", "now", "reply"]),
        ("ANY", None, ["add", "now"]),
        ("ANY", ["now"], ["now"]),
        ("VALIDATED", ["now"], ["now", "reply"]),
    ],
)
def test_the_grammar_allows_what_the_rules_of_calling_allow(
    mode: str | None, allowed: list[str] | None, expected: list[str]
) -> None:
    assert expected == options_of(sampling_of(request(mode, allowed)).json_schema)


def test_without_functions_to_call_nothing_is_said_of_them() -> None:
    asked = request("NONE")
    assert None is sampling_of(asked).json_schema
    assert [("user", "Hi.")] == messages_of(asked)
    assert "system" == messages_of(request())[0][0]


def test_the_smallest_model_must_answer_when_it_has_results() -> None:
    result = {"functionResponse": {"name": "add", "response": {"result": 3}}}
    told = Content.view({"parts": [result], "role": "user"}, frozen=True)
    asked = request()._replace(contents=empty_path().plus(told))
    assert ["reply"] == options_of(sampling_of(asked).json_schema)
    assert "system" == messages_of(asked)[0][0]
    larger = asked._replace(model="larger.gguf")
    assert ["add", "now", "reply"] == options_of(sampling_of(larger).json_schema)
    forced = asked._replace(tool_config={"functionCallingConfig": {"mode": "ANY"}})
    assert ["add", "now"] == options_of(sampling_of(forced).json_schema)


def test_what_cannot_be_is_refused() -> None:
    declarations = request().tools[0]["functionDeclarations"]
    allowed = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["ad"]}}
    with pytest.raises(UnknownName, match="did you mean 'add'"):
        answer_schema(declarations, allowed)
    with pytest.raises(InvalidContent, match="the embedded model has no other tools"):
        messages_of(request()._replace(tools=({"googleSearch": {}},)))
    with pytest.raises(UsageError, match="response_schema"):
        sampling_of(request(generation_config={"responseMimeType": "application/json"}))


def test_the_model_reads_functions_calls_and_results_as_it_writes_them() -> None:
    declarations = request().tools[0]["functionDeclarations"]
    told = instruction(declarations)
    assert '"add"' in told
    assert '"Add two numbers."' in told
    call = {"name": "add", "args": {"a": 1, "b": 2}}
    reader = AnswerReader()
    list(reader.feed(call_text(call)))
    assert call == reader.call()
    assert 'Result of add: {"result": 3}' == result_text({"name": "add", "response": {"result": 3}})


def played(*pieces: Piece) -> list[Any]:
    chunks = chunks_for(request())
    return [chunk for piece in pieces for chunk in chunks.of(piece)]


@pytest.mark.parametrize(
    ("written", "finish", "reason", "parts"),
    [
        ('{"reply": "Hi."}', "stop", "STOP", [{"text": "Hi."}, {"text": ""}]),
        ('{"reply": "Hi', "length", "MAX_TOKENS", [{"text": "Hi"}, {"text": ""}]),
        (
            '{"name": "now", "arguments": {}}', "stop", "STOP",
            [{"functionCall": {"name": "now", "args": {}}}],
        ),
        ('{"name": "now", "argu', "length", "OTHER", [{"text": ""}]),
    ],
)  # fmt: skip
def test_an_answer_becomes_chunks(written: str, finish: Any, reason: str, parts: list[Any]) -> None:
    chunks = played(*(Piece(character) for character in written), Piece("", finish=finish))
    told = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    texts = "".join(part.get("text", "") for part in told)
    assert "".join(part.get("text", "") for part in parts) == texts
    assert [p for p in parts if "text" not in p] == [p for p in told if "text" not in p]
    assert reason == chunks[-1]["candidates"][0]["finishReason"]


def test_a_cancelled_answer_gives_nothing_more() -> None:
    assert [] == played(Piece('{"name"', finish="cancelled"))
