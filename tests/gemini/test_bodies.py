"""Block D: bodies of every kind, legal and broken, each with what must become of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gemini.canned import Canned
from gemini.wire_server import WireServer, answers, error, event, parts, reply, whole
from multiturn import BrokenResponseError, MalformedReply, StatusError, StopCandidateException
from multiturn import google_errors as google
from multiturn.backends import sse
from multiturn.backends.gemini import reply as gemini_reply
from ways import Way

A, B = reply("In pié", None), reply("ces ✓ 🌍", "STOP")
TEXT = "In piéces ✓ 🌍"


def js(value: Any, **options: Any) -> bytes:
    return json.dumps(value, **options).encode()


def utf8(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def framed(before: bytes = b"data: ", after: bytes = b"\r\n\r\n", encode: Any = js) -> bytes:
    return b"".join(before + encode(chunk) + after for chunk in (A, B))


def pretty(value: Any) -> bytes:
    return b"\n".join(b"data: " + line for line in js(value, indent=2).splitlines()) + b"\n\n"


LEGAL_STREAMS: dict[str, bytes] = {
    "as the API sends it": framed(),
    "lines end in LF": framed(after=b"\n\n"),
    "lines end in CR": framed(after=b"\r\r"),
    "line ends are mixed": b"data: " + js(A) + b"\r\n\n" + b"data: " + js(B) + b"\n\r\n",
    "no space": framed(before=b"data:"),
    "two spaces": framed(before=b"data:  "),
    "UTF-8": framed(encode=utf8),
    "byte order mark": b"\xef\xbb\xbf" + framed(),
    "comments": framed(before=b": ping\n\n: ping\ndata: "),
    "comment without text": framed(before=b":\ndata: "),
    "event lines": framed(before=b"event: message\ndata: "),
    "id lines": framed(before=b"id: 7\ndata: "),
    "retry lines": framed(before=b"retry: 100\ndata: "),
    "fields without a colon": framed(before=b"event\nid\ndata: "),
    "multi-line data": pretty(A) + pretty(B),
    "multi-line data, CR LF": (pretty(A) + pretty(B)).replace(b"\n", b"\r\n"),
    "multi-line data, CR": (pretty(A) + pretty(B)).replace(b"\n", b"\r"),
    "empty lines before": b"\n\n\r\n" + framed(),
    "empty lines between": framed(after=b"\r\n\r\n\r\n\n"),
    "an event without data": framed(before=b"event: ping\n\ndata: "),
    "an empty event": framed(before=b"data:\n\ndata: "),
    "a blank event": framed(before=b"data:    \n\ndata: "),
    "spaces to keep the line open": framed(before=b"data: " + b" " * 4000),
    "DONE at the end": framed() + b"data: [DONE]\n\n",
    "no blank line at the end": framed()[:-2],
    "no line end at the end": framed()[:-4],
    "one line of JSON in an array": b"data: " + js(A) + b"\n\ndata: " + js(B),
    "a JSON array": js([A, B]),
    "a JSON array as the API writes it": b"[" + js(A) + b"\n,\r\n" + js(B) + b"]",
    "a JSON array, indented": js([A, B], indent=2),
    "one JSON object": js(reply(TEXT)),
    "one JSON object, indented": js(reply(TEXT), indent=2),
    "unknown members": framed(encode=lambda c: js({**c, "novelty": {"x": [1]}})),
    "null members": framed(
        encode=lambda c: js({**c, "promptFeedback": None, "usageMetadata": None})
    ),
    "an empty chunk": framed() + event({}),
    "usage after the end": framed() + event({"usageMetadata": {"totalTokenCount": 3}}),
    "no candidates after the end": framed() + event({"candidates": []}),
    "an empty text at the end": event(A) + event(reply(TEXT[6:], None)) + event(reply("")),
    "the reason alone at the end": (
        event(A) + event(reply(TEXT[6:], None)) + event({"candidates": [{"finishReason": "STOP"}]})
    ),
    "content without parts at the end": (
        event(A)
        + event(reply(TEXT[6:], None))
        + event({"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]})
    ),
    "the reason in every chunk": event(reply(TEXT[:6])) + event(B),
    "no role": framed(encode=lambda c: js(c).replace(b', "role": "model"', b"")),
    "a foreign role": framed(encode=lambda c: js(c).replace(b'"model"', b'"system"')),
    "no index": framed(encode=lambda c: js(c).replace(b'"index": 0, ', b"")),
    "text and null beside it": framed(
        encode=lambda c: js(c).replace(b'{"text"', b'{"functionCall": null, "text"')
    ),
}


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
@pytest.mark.parametrize("name", LEGAL_STREAMS)
async def test_a_legal_stream_is_read_whole(way: Way, name: str, size: int) -> None:
    client = Canned(LEGAL_STREAMS[name], js(reply("Well.")), size=size)
    chat = client.model().start_chat()
    response = await way.send(chat, "Hi", stream=True)
    await way.resolve(response)
    assert TEXT == response.text
    assert [{"role": "model", "parts": [{"text": TEXT}]}] == [
        {name: content.json_object[name] for name in ("role", "parts")}
        for content in chat.history[1:]
    ]
    await way.send(chat, "And?")
    sent = json.loads(client.requests[-1].body)["contents"]
    assert {"role": "model", "parts": [{"text": TEXT}]} == sent[1]


ODD_CHARACTERS = {
    f"U+{ord(c):04X}": c
    for c in "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e\x1f\x00\x7f\ufeff\ufffe\U0010ffff\u202e"
}


@pytest.mark.parametrize("encode", [js, utf8], ids=["escaped", "as it is"])
@pytest.mark.parametrize("name", ODD_CHARACTERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_every_character_arrives_and_is_sent_back(
    way: Way, name: str, encode: Any, stream: bool
) -> None:
    text = f"a{ODD_CHARACTERS[name]}b"
    body = encode(reply(text))
    client = Canned(b"data: " + body + b"\n\n" if stream else body, js(reply("Well.")), size=3)
    chat = client.model().start_chat()
    response = await way.send(chat, "Hi", stream=stream)
    await way.resolve(response)
    assert text == response.text
    await way.send(chat, "And?")
    assert text == json.loads(client.requests[-1].body)["contents"][1]["parts"][0]["text"]


DEEP = b'{"a":' * 250 + b"1" + b"}" * 250
VERY_DEEP = b"[" * 100_000 + b"]" * 100_000
BROKEN: dict[str, bytes] = {
    "a page": b"<html><body>Please log in</body></html>",
    "plain text": b"Service is sleeping",
    "cut JSON": js(A)[:-5],
    "two objects": js(A) + js(B),
    "single quotes": js(A).replace(b'"', b"'"),
    "NaN": js({**A, "x": 1}).replace(b": 1", b": NaN"),
    "Infinity": js({**A, "x": 1}).replace(b": 1", b": -Infinity"),
    "a number too large": js({**A, "x": 1}).replace(b'"x": 1', b'"x": 1e999'),
    "an integer of 5,000 digits": js({**A, "x": 1}).replace(b'"x": 1', b'"x": ' + b"1" * 5000),
    "Latin-1": utf8(A).decode().encode("latin-1", "replace").replace(b"\\", b"\xe9"),
    "a stray byte": utf8(A).replace("é".encode(), b"\xff"),
    "overlong UTF-8": utf8(A).replace("é".encode(), b"\xc0\xaf"),
    "a surrogate in UTF-8": utf8(A).replace("é".encode(), b"\xed\xa0\x80"),
    "half an emoji": js(reply("x")).replace(b'"x"', b'"\\ud83d"'),
    "the other half": js(reply("x")).replace(b'"x"', b'"\\uDE00x"'),
    "UTF-16": json.dumps(A).encode("utf-16"),
    "nested too deeply": DEEP,
    "nested much too deeply": VERY_DEEP,
    "a number": b"5",
    "a string": b'"hello"',
    "null": b"null",
    "a list of numbers": b"[1, 2]",
    "a list in a list": js([[A]]),
    "candidates are an object": js({"candidates": A}),
    "candidates are a text": js({"candidates": "x"}),
    "a candidate is a number": js({"candidates": [1]}),
    "content is a list": js({"candidates": [{"content": [1]}]}),
    "content is a text": js({"candidates": [{"content": "x"}]}),
    "parts are an object": js({"candidates": [{"content": {"parts": {"text": "x"}}}]}),
    "a part is a text": js({"candidates": [{"content": {"parts": ["x"]}}]}),
    "text is a number": js(parts([{"text": 5}])),
    "text is a list": js(parts([{"text": ["x"]}])),
    "a call is a text": js(parts([{"functionCall": "f"}])),
    "a call without a name": js(parts([{"functionCall": {"args": {}}}])),
    "arguments are a list": js(parts([{"functionCall": {"name": "f", "args": [1]}}])),
    "arguments are a text": js(parts([{"functionCall": {"name": "f", "args": "{}"}}])),
    "inline data are a text": js(parts([{"inlineData": "x"}])),
    "a signature is a number": js(parts([{"text": "x", "thoughtSignature": 5}])),
    "thought is a text": js(parts([{"text": "x", "thought": "yes"}])),
    "a role is a number": js(A).replace(b'"model"', b"5"),
    "an index is a text": js(A).replace(b'"index": 0', b'"index": "x"'),
    "a reason is a list": js({"candidates": [{"finishReason": ["STOP"]}]}),
    "usage is a list": js({**A, "usageMetadata": [1]}),
    "feedback is a text": js({"promptFeedback": "x"}),
}


@pytest.mark.parametrize("frame", ["whole", "streamed", "stray"])
@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_body_is_an_error_of_its_own(way: Way, name: str, frame: str) -> None:
    body = BROKEN[name]
    if frame == "streamed":
        body = b"data: " + body.replace(b"\r", b"").replace(b"\n", b"\ndata: ") + b"\n\n"
    client = Canned(body, js(reply("Well.")))
    chat = client.model().start_chat()
    with pytest.raises(MalformedReply) as caught:
        await way.resolve(await way.send(chat, "Hi", stream=frame != "whole"))
    assert "gemini" == caught.value.backend
    assert len(str(caught.value)) < 300
    assert [] == chat.history
    assert "Well." == (await way.send(chat, "Hi")).text


async def test_an_empty_answer_is_an_error_of_its_own(way: Way) -> None:
    chat = Canned(b"").model().start_chat()
    with pytest.raises(MalformedReply, match="empty"):
        await way.send(chat, "Hi")
    with pytest.raises(BrokenResponseError):
        await way.resolve(await way.send(chat, "Hi", stream=True))


ERRORS_IN_STREAMS: dict[str, bytes] = {
    "an event": event(A) + event(error(503, "UNAVAILABLE")),
    "without a frame": event(A) + js(error(503, "UNAVAILABLE")),
    "without a frame, indented": event(A) + js(error(503, "UNAVAILABLE"), indent=2),
    "an element of an array": js([A, error(503, "UNAVAILABLE")]),
}


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("name", ERRORS_IN_STREAMS)
async def test_an_error_within_a_stream_is_raised(way: Way, name: str, size: int) -> None:
    chat = Canned(ERRORS_IN_STREAMS[name], size=size).model().start_chat()
    response = await way.send(chat, "Hi", stream=True)
    with pytest.raises(google.ServiceUnavailable, match=r"No\."):
        await way.resolve(response)
    assert [] == chat.history


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "boom"}',
        b'{"error": {"message": "boom"}}',
        b'{"error": {"code": "x", "message": "boom", "details": 5, "status": 7}}',
        b'[{"error": {"message": "boom"}}]',
        b'{"message": "boom"}',
        b"boom",
        b"<p>boom</p>",
    ],
)
async def test_an_error_of_any_form_says_what_the_server_said(way: Way, body: bytes) -> None:
    chat = Canned(body, status=500).model().start_chat()
    with pytest.raises(google.InternalServerError) as caught:
        await way.send(chat, "Hi")
    assert "boom" == caught.value.message
    assert "500 boom" == str(caught.value)
    assert [] == caught.value.details


async def test_the_name_of_a_request_is_kept(way: Way) -> None:
    client = Canned(js(error(400, "INVALID_ARGUMENT")), status=400, **{"x-request-id": "r-7"})
    with pytest.raises(StatusError) as caught:
        await way.send(client.model().start_chat(), "Hi")
    assert ("r-7", "INVALID_ARGUMENT", 400) == (
        caught.value.request_id,
        caught.value.status,
        caught.value.code,
    )


async def test_an_unknown_reason_is_kept_and_not_taken_for_a_good_one(way: Way) -> None:
    chat = Canned(js(reply("x", "BRAND_NEW"))).model().start_chat()
    with pytest.raises(StopCandidateException) as caught:
        await way.send(chat, "Hi")
    assert "BRAND_NEW" == getattr(caught.value.candidate.finish_reason, "name", "")


async def test_an_unknown_kind_of_part_goes_round(way: Way) -> None:
    novel = {"hologram": {"angle": 3}, "thoughtSignature": "QQ=="}
    client = Canned(js(parts([novel])), js(reply("Well.")))
    chat = client.model().start_chat()
    await way.send(chat, "Hi")
    await way.send(chat, "And?")
    assert [novel] == json.loads(client.requests[-1].body)["contents"][1]["parts"]


# -- limits ----------------------------------------------------------------------------------


async def test_an_event_may_be_large_but_not_too_large(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = event(reply("x" * 500_000))
    assert 500_000 == len((await _streamed(way, Canned(body, size=65_536))).text)
    monkeypatch.setattr(sse, "EVENT_BYTES", 400_000)
    with pytest.raises(MalformedReply, match="event"):
        await _streamed(way, Canned(body, size=65_536))


async def test_an_answer_may_not_be_longer_than_the_limit(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemini_reply, "BODY_BYTES", 1000)
    with pytest.raises(MalformedReply, match="longer"):
        await way.send(Canned(js(reply("x" * 1000))).model().start_chat(), "Hi")


async def _streamed(way: Way, client: Canned) -> Any:
    response = await way.send(client.model().start_chat(), "Hi", stream=True)
    await way.resolve(response)
    return response


def test_half_a_megabyte_in_small_pieces_is_read_in_no_time() -> None:
    import time

    decoder, body = sse.SseDecoder(), event(reply("x" * 512 * 1024))
    began = time.process_time()
    events = [e for i in range(0, len(body), 100) for e in decoder.feed(body[i : i + 100])]
    assert 1 == len(events)
    assert time.process_time() - began < 0.1


async def test_an_error_that_is_kept_keeps_no_copy_of_the_history(way: Way) -> None:
    with WireServer(whole(error(400)), answers()) as server:
        chat = server.model().start_chat(history=["q" * 100_000])
        with pytest.raises(StatusError) as kept:
            await way.send(chat, "Hi")
        [folded] = chat.turns[-1]._branch.folds.values()
        buffer = folded.buffer
        buffer += b"a buffer that is held elsewhere cannot grow"
        assert kept.value.__traceback__ is not None
        assert "Hello." == (await way.send(chat, "Hi")).text
