"""The Gemini codec: what is sent for a conversation; any bytes give chunks or one error."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import EFFORT
from gemini.canned import Canned
from gemini.wire_server import event, parts, reply
from multiturn import BackendError, InvalidContent, MalformedReply, MultiturnError
from multiturn.backends import wire_json
from multiturn.backends.gemini.errors import error_from, error_in
from multiturn.backends.gemini.reply import ReplyReader
from multiturn.backends.gemini.request import unchecked_body
from multiturn.backends.sse import SseDecoder
from multiturn.history import empty_path, head_from
from multiturn.messages.content import Content
from multiturn.request import Request
from ways import Way


def sent(contents: list[dict[str, Any]], model: str = "gemini-2.5-pro", **members: Any) -> Any:
    """Return the body for a history whose last content is the new one."""
    listed = [Content.view(content, frozen=True) for content in contents]
    head = head_from(listed[:-1])
    path = (head.path if head else empty_path()).plus(listed[-1])
    return json.loads(unchecked_body(Request(model=model, contents=path, **members)))


def user(*listed: Any) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": p} if isinstance(p, str) else p for p in listed]}


def said(*listed: Any) -> dict[str, Any]:
    return {**user(*listed), "role": "model"}


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}}, **more}


def result(name: str) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"result": 1}}}


def test_every_member_of_a_request_is_in_its_place() -> None:
    body = sent(
        [user("Hi")],
        system_instruction=Content.view({"role": "system", "parts": [{"text": "Be brief."}]}),
        generation_config={"temperature": 0.5},
        safety_settings=({"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"},),
        tools=({"googleSearch": {}},),
        tool_config={"functionCallingConfig": {"mode": "NONE"}},
        more={"serviceTier": "flex", "labels": {"team": "a"}},
    )
    assert {
        "contents": [user("Hi")],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0.5},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "tools": [{"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "NONE"}},
        "serviceTier": "flex",
        "labels": {"team": "a"},
    } == body


def test_what_lies_in_a_cache_is_not_sent_again() -> None:
    body = sent(
        [user("Hi")],
        system_instruction=Content.view({"parts": [{"text": "Be brief."}]}),
        tools=({"googleSearch": {}},),
        tool_config={"functionCallingConfig": {"mode": "NONE"}},
        more={"cachedContent": "cachedContents/x"},
    )
    assert {"contents": [user("Hi")], "cachedContent": "cachedContents/x"} == body


@pytest.mark.parametrize("role", [None, "", "user", "function", "tool", "system"])
def test_whoever_is_not_the_model_is_the_user(role: str | None) -> None:
    content: dict[str, Any] = {"parts": [{"text": "Hi"}]}
    if role is not None:
        content["role"] = role
    assert [user("Hi")] == sent([content])["contents"]


def test_results_of_one_step_are_one_content_however_they_were_kept() -> None:
    history = [user("Hi"), said(call("f"), call("g")), user(result("f")), user(result("g"))]
    assert [*history[:2], user(result("f"), result("g"))] == sent(history)["contents"]


def test_results_that_look_like_our_bytes_are_not_taken_apart() -> None:
    tricky = {
        "x": [{"parts": [], "role": "user"}, {"parts": [{"role": "user"}]}, '], "role":"user"}']
    }
    results = [
        {
            "functionResponse": {
                "name": name,
                "response": tricky,
                "id": '], "role":"user"},{"parts":[',
            }
        }
        for name in "fg"
    ]
    history = [user("Hi"), said(call("f"), call("g")), user(results[0]), user(results[1])]
    assert results == sent(history)["contents"][2]["parts"]


def test_thoughts_stay_here_unless_they_are_signed() -> None:
    thought, signed = (
        {"text": "Hm", "thought": True},
        {"text": "Hm", "thought": True, "thoughtSignature": "QQ=="},
    )
    history = [user("Hi"), said(thought, signed, "Yes"), user("And?")]
    assert [signed, {"text": "Yes"}] == sent(history)["contents"][1]["parts"]
    assert [{"text": ""}] == sent([user("Hi"), said(thought), user("And?")])["contents"][1]["parts"]


@pytest.mark.parametrize(
    ("model", "wants"),
    [
        ("gemini-3.8-flash", True),
        ("models/gemini-4-argon", True),
        ("models/gemini-flash-latest", True),
        ("publishers/google/models/gemini-3-pro", True),
        ("gemini-2.5-pro", False),
        ("models/gemini-1.5-flash-002", False),
        ("gemma-3-27b-it", False),
        ("tunedModels/mine", False),
    ],
)
def test_foreign_calls_get_the_placeholder_where_signatures_are_checked(
    model: str, wants: bool
) -> None:
    history = [user("Hi"), said("Wait.", call("f"), call("g")), user(result("f"), result("g"))]
    signature = {"thoughtSignature": "skip_thought_signature_validator"} if wants else {}
    expected = [{"text": "Wait."}, call("f", **signature), call("g")]
    assert expected == sent(history, model)["contents"][1]["parts"]
    assert [{"text": "Wait."}, call("f"), call("g")] == history[1]["parts"]


def test_a_signature_that_came_after_its_call_goes_back_with_it() -> None:
    late = [call("f"), call("g"), {"text": "", "thoughtSignature": "QQ=="}]
    history = [user("Hi"), said(*late), user(result("f"), result("g"))]
    assert [call("f", thoughtSignature="QQ=="), call("g")] == sent(history, "gemini-3-pro")[
        "contents"
    ][1]["parts"]
    assert late == sent(history, "gemini-2.5-pro")["contents"][1]["parts"]


def test_a_signed_call_goes_back_as_it_came() -> None:
    signed = [call("f", thoughtSignature="QQ=="), call("g")]
    history = [user("Hi"), said(*signed), user(result("f"), result("g"))]
    assert signed == sent(history, "gemini-3-pro")["contents"][1]["parts"]


@pytest.mark.parametrize("value", ["\ud83d", float("nan"), {1, 2}])
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(InvalidContent, match=r"\$\.parts\[1\]"):
        sent([user("Hi", {"text": value})])


def test_the_same_conversation_gives_the_same_bytes_in_one_piece_or_turn_by_turn() -> None:
    contents = [user("a"), said("b"), user("c"), said("d"), user("e")]
    whole = sent(contents)
    assert whole == {"contents": contents}


async def test_a_continued_answer_is_one_answer(way: Way) -> None:
    def hop(text: str, usage: int, **members: Any) -> dict[str, Any]:
        chunk = reply(text, "CONTINUATION" if members else "STOP")
        chunk["candidates"][0].update(members)
        counts = {
            "promptTokenCount": 5,
            "candidatesTokenCount": usage,
            "totalTokenCount": 5 + usage,
        }
        return {**chunk, "usageMetadata": counts}

    def encoded(chunk: dict[str, Any], stream: bool) -> bytes:
        return event(chunk) if stream else json.dumps(chunk).encode()

    for stream in (False, True):
        client = Canned(
            encoded(hop("one ", 10, continuationToken="dG9rMQ=="), stream),
            encoded(hop("", 20, continuationToken="dG9rMg=="), stream),
            encoded(hop("two", 30), stream),
        )
        response = await way.send(client.model().start_chat(), "Hi", stream=stream)
        await way.resolve(response)
        assert "one two" == response.text
        assert "STOP" == response.candidates[0].finish_reason.name
        assert (15, 60, 75) == (
            response.usage_metadata.prompt_token_count,
            response.usage_metadata.candidates_token_count,
            response.usage_metadata.total_token_count,
        )
        bodies = [json.loads(request.body) for request in client.requests]
        assert [None, "dG9rMQ==", "dG9rMg=="] == [b.pop("continuationToken", None) for b in bodies]
        assert bodies[0] == bodies[1] == bodies[2]


async def test_a_server_that_never_comes_to_an_end_is_stopped(way: Way) -> None:
    chunk = reply("on ", "CONTINUATION")
    chunk["candidates"][0]["continuationToken"] = "dG9r"
    client = Canned(json.dumps(chunk).encode())
    with pytest.raises(MalformedReply, match="same token"):
        await way.send(client.model().start_chat(), "Hi")
    assert 2 == len(client.requests)


async def test_counting_sends_what_would_be_sent(way: Way) -> None:
    client = Canned(b'{"totalTokens": 7}')
    model = client.model("gemini-x", system_instruction="Be brief.")
    assert 7 == (await way.count(model, "Hi")).total_tokens
    assert client.requests[0].url.endswith("/v1beta/models/gemini-x:countTokens")
    assert {
        "generateContentRequest": {
            "model": "models/gemini-x",
            "contents": [user("Hi")],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
        }
    } == json.loads(client.requests[0].body)


async def test_nothing_that_came_is_lost_on_the_way(way: Way) -> None:
    members = {
        "modelVersion": "m-1",
        "responseId": "r-1",
        "novelty": {"a": [1]},
        "usageMetadata": {"totalTokenCount": 9, "serviceTier": "standard"},
    }
    first = reply("a", None)
    first["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["x"]}
    last = parts([{"text": "b"}], "STOP", **members)
    last["candidates"][0].update(
        avgLogprobs=-0.5, citationMetadata={"citationSources": [{"uri": "u"}]}
    )
    client = Canned(event(first) + event(last))
    response = await way.send(client.model().start_chat(), "Hi", stream=True)
    await way.resolve(response)
    whole = (
        type(response).to_dict(response)
        if hasattr(type(response), "to_dict")
        else response.to_dict()
    )
    text = json.dumps(whole)
    for word in ("web_search_queries", "m-1", "r-1", "novelty", "-0.5"):
        assert word in text


# -- block E: any bytes at all ---------------------------------------------------------------

FUZZ = settings(max_examples=50_000 if EFFORT == "nightly" else 300)

EVENTS = st.lists(
    st.one_of(
        st.text(max_size=20).map(lambda t: event(reply(t, None))),
        st.sampled_from(
            [b": x\n\n", b"data:\n\n", b"data\n", b"\r", b"\n", b"\xef\xbb\xbf", b"event: a\r\n",
             b"data: {\n", b"data: }\n\n", b"\xff", b"{}", b"data: [DONE]\n\n", b"data: null\n\n"]
        ),
        st.binary(max_size=12),
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


def _read(data: bytes, cuts: list[int]) -> tuple[list[Any], str]:
    """Return the chunks, and the kind of the error that ended them."""
    reader = ReplyReader(True, error_in)
    chunks: list[Any] = []
    points = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    try:
        for begin, end in pairwise(points):
            chunks.extend(reader.feed(data[begin:end]))
        chunks.extend(reader.end())
    except BackendError as error:
        return chunks, f"{type(error).__name__}: {error}"
    return chunks, ""


@FUZZ
@given(EVENTS, st.lists(st.integers(0, 10_000), max_size=8))
def test_where_the_wire_cuts_a_stream_changes_nothing(data: bytes, cuts: list[int]) -> None:
    assert _read(data, []) == _read(data, cuts)


@FUZZ
@given(st.binary(max_size=200))
def test_every_cut_of_the_decoder_gives_the_same_events(data: bytes) -> None:
    whole = SseDecoder()
    expected = [*whole.feed(data), *whole.end()]
    single = SseDecoder()
    assert expected == [e for b in data for e in single.feed(bytes([b]))] + single.end()
    assert whole.stray == single.stray


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["candidates", "content", "parts", "text", "role", "error", "index",
                         "usageMetadata", "finishReason", "functionCall", "name", "x"]),
        inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@FUZZ
@given(JSON)
def test_any_json_gives_a_reply_or_an_error_of_ours(value: Any) -> None:
    from multiturn.reply import Reply
    from multiturn.turn import judged

    reader, whole = ReplyReader(False, error_in), Reply()
    try:
        list(reader.feed(json.dumps(value).encode()))
        for chunk in reader.end():
            whole.add(chunk)
        judged(whole)
    except MultiturnError:
        return


@FUZZ
@given(st.integers(100, 599), st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_error_body_gives_an_error_with_its_status(code: int, body: bytes) -> None:
    error = error_from(code, {"retry-after": body.decode("latin-1")}, body)
    assert code == error.code
    assert str(error)


@FUZZ
@given(st.binary(max_size=300))
def test_any_bytes_are_json_or_an_error_of_ours(data: bytes) -> None:
    try:
        value = wire_json.parsed(data)
    except MalformedReply:
        return
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=5),
        "thought": st.booleans(),
        "thoughtSignature": st.just("QQ=="),
        "functionCall": st.just({"name": "f", "args": {"x": 1}}),
        "functionResponse": st.just({"name": "f", "response": {"y": ["]", '], "role":"user"}']}}),
        "hologram": st.just({"z": None}),
    },
)


@FUZZ
@given(
    st.lists(
        st.fixed_dictionaries(
            {"parts": st.lists(PARTS, max_size=4)},
            optional={"role": st.sampled_from(["user", "model", "function"])},
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["gemini-2.5-pro", "gemini-3-pro"]),
)
def test_any_history_is_sent_as_valid_contents_and_left_alone(contents: Any, model: str) -> None:
    before = json.dumps(contents)
    body = sent(contents, model)
    assert before == json.dumps(contents)
    for content in body["contents"]:
        assert content["role"] in ("user", "model")
        assert content["parts"]
    given_texts = [
        p["text"] for c in contents for p in c["parts"] if "text" in p and not p.get("thought")
    ]
    sent_texts = [
        p["text"]
        for c in body["contents"]
        for p in c["parts"]
        if "text" in p and not p.get("thought")
    ]
    assert [t for t in given_texts if t] == [t for t in sent_texts if t]
