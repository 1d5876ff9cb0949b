"""Block E: what comes from outside, broken in every way; each reader gives a result or its error.

By day a few thousand inputs of one seed; by night many more, of a seed that the failure names.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from conftest import EFFORT
from gemini.wire_server import chunked, event, reply, whole
from multiturn import BackendError, UsageError
from multiturn.backends.gemini import errors as gemini_errors
from multiturn.backends.gemini import reply as gemini_reply
from multiturn.backends.gemini.request import unchecked_body
from multiturn.backends.openai import errors as openai_errors
from multiturn.backends.openai import reply as openai_reply
from multiturn.cli.arguments import parser
from multiturn.history import head_from
from multiturn.http.message import ResponseReader
from multiturn.messages.content import Content
from multiturn.request import Request
from multiturn.stores import record
from multiturn.stores.errors import StoreCorrupt
from multiturn.to_content import to_contents

IS_NIGHT = EFFORT == "nightly"
COUNT = 100_000 if IS_NIGHT else 600
SEED = random.randrange(2**32) if IS_NIGHT else 1
HERE = Path(__file__).parent
TOKENS = [
    b"data: ", b"data:", b"\r\n\r\n", b"\n", b"\r", b": ping\n", b"[DONE]", b"null", b"true", b"-0",
    b"1e999", b"NaN", b'""', b"{}", b"[]", b"[[[[", b"}}", b'\\ud800', b"\xff", b"\xef\xbb\xbf",
    b"\x00", "\u2028🌍".encode(), b"9" * 40, b'"text":', b'"parts":', b'"functionCall":',
    b'"error":{"code":503}', b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"0\r\n\r\n", b"ffffffff\r\n",
]  # fmt: skip


def _mutated(source: random.Random, corpus: list[bytes]) -> bytes:
    """Return one of a corpus with a few things cut, doubled, changed, put in or spliced."""
    data = bytearray(source.choice(corpus))
    for _ in range(source.randint(1, 6)):
        at = source.randint(0, len(data))
        upto = min(len(data), at + source.randint(0, 20))
        match source.randrange(7):
            case 0:
                del data[at:upto]
            case 1:
                data[at:at] = data[at:upto]
            case 2 if at < len(data):
                data[at] = source.randrange(256)
            case 3 | 4:
                data[at:at] = source.choice(TOKENS)
            case 5:
                del data[at:]
            case _:
                other = source.choice(corpus)
                data[at:upto] = other[source.randint(0, len(other)) :][:200]
    return bytes(data)


def _inputs(corpus: list[bytes]) -> Iterator[tuple[str, random.Random, bytes]]:
    for number in range(COUNT):
        source = random.Random(f"{SEED} {number}")
        yield f"seed {SEED}, number {number}", source, _mutated(source, corpus)


def _cut(source: random.Random, data: bytes) -> list[bytes]:
    points = sorted({0, len(data), *(source.randint(0, len(data)) for _ in range(4))})
    return [data[begin:end] for begin, end in pairwise(points)]


def _outcome(read: Callable[[list[bytes]], Any], pieces: list[bytes]) -> tuple[Any, str]:
    """Return what a reader gives, and the error that it is allowed to raise."""
    given: list[Any] = []
    try:
        for one in read(pieces):
            given.append(json.loads(json.dumps(one)))
    except BackendError as error:
        return given, f"{type(error).__name__} {error}"
    return given, ""


CHUNKS = [
    reply("Hällo ✓ 🌍", None), reply("."), {"usageMetadata": {"totalTokenCount": 3}},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": [1]}}}]}}]},
    {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "x"}]}},
]  # fmt: skip
GEMINI = [b"".join(map(event, CHUNKS[:n])) for n in range(1, 6)] + [json.dumps(CHUNKS).encode()]
OPENAI = [path.read_bytes() for path in sorted((HERE / "openai" / "wire").glob("*.sse"))]


def _gemini(pieces: list[bytes]) -> Iterator[Any]:
    reader = gemini_reply.ReplyReader(True, gemini_errors.error_in)
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()


def _openai(pieces: list[bytes]) -> Iterator[Any]:
    reader = openai_reply.ReplyReader(True, openai_errors.error_in, ("weather", "time"))
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()


@pytest.mark.parametrize(("read", "corpus"), [(_gemini, GEMINI), (_openai, OPENAI)])
def test_a_stream_gives_chunks_or_an_error_wherever_it_is_cut(
    read: Callable[[list[bytes]], Any], corpus: list[bytes]
) -> None:
    for name, source, data in _inputs(corpus):
        assert _outcome(read, [data]) == _outcome(read, _cut(source, data)), (name, data)


HTTP = [
    whole({"a": 1}),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc") + b"0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b"no", 503, **{"Retry-After": "1"}),
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil closed",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
]


def _http(pieces: list[bytes]) -> Iterator[Any]:
    reader = ResponseReader()
    for piece in pieces:
        reader.feed(piece)
    reader.end("the server")
    assert reader.head is not None
    assert isinstance(reader.take(), bytes)
    yield reader.head.status


def test_what_arrives_on_a_connection_is_an_answer_or_an_error() -> None:
    for name, source, data in _inputs(HTTP):
        for pieces in ([data], _cut(source, data)):
            try:
                _outcome(_http, pieces)
            except BaseException as error:
                raise AssertionError((name, data)) from error


@pytest.mark.parametrize("read", [gemini_errors.error_from, openai_errors.error_from])
def test_the_body_of_an_error_gives_an_error(read: Callable[..., BackendError]) -> None:
    problem = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "No.", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "22.5s"},
        {"@type": "x", "violations": [{"quotaId": "GenerateRequestsPerDay"}]}]}  # fmt: skip
    corpus = [json.dumps({"error": problem}).encode(), json.dumps([{"error": problem}]).encode(),
              b'{"error":"boom"}', b"<html><h1>502</h1></html>", b""]  # fmt: skip
    for name, source, data in _inputs(corpus):
        headers = {
            "retry-after": source.choice(
                ["5", "x", "-1", "nan", "Wed, 21 Oct 2015", data.decode("latin-1")]
            )
        }
        error = read(source.choice([400, 429, 500, 503]), headers, data)
        assert isinstance(error, BackendError), name
        assert str(error), name


PICTURE = {"inline_data": {"mime_type": "image/png", "data": "QQ=="}}
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
RESULT = {"function_response": {"name": "f", "response": {"result": [1, None]}}}
HISTORY = [
    {"role": "user", "parts": [{"text": "Hi"}, PICTURE]},
    {"role": "model", "parts": [{"text": "Hm", "thought": True}, CALL]},
    {"role": "function", "parts": [RESULT]},
    {"role": "model", "parts": ["Done", {"fileData": {"fileUri": "files/a"}}, {"novel": {"x": 1}}]},
]
VALUES: list[Any] = [
    None, True, 0, -1.5, 1e300, "", "user", "model", "\ud800", [], {}, [[]], {"text": 1},
]  # fmt: skip


def _broken(source: random.Random, value: Any) -> Any:
    """Return a value of JSON in which something is replaced, left out, doubled or renamed."""
    if source.random() < 0.12:
        return source.choice([*VALUES, *HISTORY])
    if isinstance(value, dict):
        made = {k: _broken(source, v) for k, v in value.items() if source.random() > 0.04}
        if source.random() < 0.05:
            made[source.choice(["text", "parts", "role", "functionCall", "x", "data"])] = 5
        return made
    if isinstance(value, list):
        made_list = [_broken(source, v) for v in value if source.random() > 0.05]
        return made_list * source.choice([1, 1, 1, 1, 2])
    return value


def test_any_history_is_taken_in_and_sent_or_refused() -> None:
    for number in range(COUNT):
        name, source = f"seed {SEED}, number {number}", random.Random(f"{SEED} {number}")
        given = _broken(source, HISTORY)
        before = repr(given)
        try:
            contents = to_contents(given, path="$.history", role="user")
            head = head_from(contents)
            if head is not None:
                path = head.path.plus(Content(role="user", parts=["And?"]).frozen())
                assert json.loads(unchecked_body(Request(model="gemini-4", contents=path)))[
                    "contents"
                ]
        except UsageError:
            pass
        except BaseException as error:
            raise AssertionError((name, before)) from error
        assert before == repr(given), name


def test_a_stored_record_is_read_or_called_corrupt() -> None:
    blob = {"inlineData": {"mimeType": "image/png", "data": "QUJD" * 1000}}
    written = [
        record.recorded({"contents": HISTORY}),
        record.recorded({"contents": [{"parts": [blob]}]}),
    ]
    blobs = {name: data for one in written for name, data in one.blobs.items()}
    for name, _, data in _inputs([one.body for one in written]):
        try:
            found = record.read(data, lambda names: {n: blobs[n] for n in names})
            assert isinstance(found, dict), name
        except StoreCorrupt:
            pass
        except BaseException as error:
            raise AssertionError((name, data)) from error


WORDS = [
    "chat", "models", "pull", "doctor", "sessions", "--model", "--temperature", "0.5", "--seed",
    "-1", "--file", "x", "--system", "--session", "--help", "--", "-", "", "🌍", "nan", "1e999",
    "--max-output-tokens", "--continue", "\ud800", "--no-such", "a" * 5000,
]  # fmt: skip


def test_any_words_are_a_command_or_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    understands, ends = parser(), set()
    for number in range(COUNT // 10):
        source = random.Random(f"{SEED} {number}")
        words = source.choices(WORDS, k=source.randint(0, 6))
        try:
            understands.parse_args(words)
        except SystemExit as end:
            ends.add(end.code)
        except UnicodeEncodeError:  # of the test's own capture, for half a surrogate pair
            assert "\ud800" in words
        capsys.readouterr()
    assert {0, 2} == ends
