"""What our HTTP client refuses: bombs, endless answers, what is no HTTP, smuggled headers."""

from __future__ import annotations

import gzip
import resource
import traceback
import zlib
from collections.abc import Iterator

import pytest

from gemini.wire_server import (
    Close,
    Received,
    WireServer,
    answers,
    chunked,
    event,
    head,
    reply,
    whole,
)
from multiturn import ConnectionFailed, InvalidContent, MalformedReply, Retry, StatusError
from multiturn.access import Secret
from multiturn.http.message import request_head
from ways import Way

NEVER = Retry(attempts=1)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_packed_answers_are_unpacked(way: Way, stream: bool) -> None:
    body = event(reply("Hello.")) if stream else whole(reply("Hello.")).split(b"\r\n\r\n")[1]
    with WireServer(whole(gzip.compress(body), **{"Content-Encoding": "gzip"})) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=stream)
        await way.resolve(response)
        assert "Hello." == response.text
        assert ("identity" if stream else "gzip") == server.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (gzip.compress(b'{"a": 1}')[:-9], "cut"),
        (b"not gzip at all", "broken"),
        (gzip.compress(b"x")[:10] + b"\xff" * 40, "broken"),
    ],
    ids=["cut", "not gzip", "garbled"],
)
async def test_broken_packing_is_an_error(way: Way, packed: bytes, message: str) -> None:
    with (
        WireServer(whole(packed, **{"Content-Encoding": "gzip"})) as server,
        pytest.raises(MalformedReply, match=message),
    ):
        await way.send(server.model().start_chat(), "Hi")


async def test_a_packing_that_nobody_asked_for_is_an_error(way: Way) -> None:
    with (
        WireServer(whole(b"x", **{"Content-Encoding": "br"})) as server,
        pytest.raises(MalformedReply, match="br"),
    ):
        await way.send(server.model().start_chat(), "Hi")


def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(1000)) + packer.flush()


BOMB = _bomb()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_bomb_is_an_error_within_64_mib(way: Way, stream: bool) -> None:
    with WireServer(whole(BOMB, **{"Content-Encoding": "gzip"})) as server:
        chat = server.model().start_chat()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(MalformedReply, match="200 times"):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 64 * 1024  # KiB on Linux


async def test_a_body_beyond_the_limit_is_an_error(way: Way) -> None:
    def endless(_: Received) -> Iterator[bytes]:
        yield head(Transfer_Encoding="chunked")
        while True:
            yield chunked(b" " * 1_000_000)

    with WireServer(endless) as server, pytest.raises(MalformedReply, match="64 MiB"):
        await way.send(server.model().start_chat(), "Hi")


async def test_a_head_beyond_the_limit_is_an_error(way: Way) -> None:
    def endless(_: Received) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n"
        while True:
            yield b"X-Fill: " + b"x" * 50_000 + b"\r\n"

    with WireServer(endless) as server, pytest.raises(MalformedReply, match="head"):
        await way.send(server.model().start_chat(), "Hi")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        head(Content_Length="2", Transfer_Encoding="chunked") + b"{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        head(Content_Length="-1"),
        head(Content_Length="+2") + b"{}",
        head(Transfer_Encoding="chunked") + b"zz\r\n{}",
        head(Transfer_Encoding="gzip") + b"x",
        head(Transfer_Encoding="chunked") + b"2\r\n{}XX0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        head(101, Upgrade="x", Connection="upgrade"),
    ],
)
async def test_what_is_no_http_is_an_error(way: Way, answer: bytes) -> None:
    with WireServer([answer, Close]) as server:
        chat = server.model(retry=NEVER).start_chat()
        with pytest.raises((MalformedReply, ConnectionFailed)):
            await way.send(chat, "Hi")
        assert [] == chat.history


async def test_a_redirect_is_never_followed(way: Way) -> None:
    with WireServer(answers("Stolen.")) as other:
        for code in (301, 302, 303, 307, 308):
            answer = whole(b"", code, Location=f"{other.url}/v1beta/models/x:generateContent")
            with WireServer(answer) as server:
                with pytest.raises(StatusError, match="redirect") as caught:
                    await way.send(server.model().start_chat(), "Hi")
                assert code == caught.value.code
        assert 0 == other.connections


async def test_a_header_cannot_smuggle_another(way: Way) -> None:
    with WireServer(answers()) as server:
        for value in ("a\r\nx-evil: 1", "a\nb", "a\0b", "ü"):
            options = {"metadata": [("x-note", value)]}
            with pytest.raises(InvalidContent) as caught:
                await way.send(server.model().start_chat(), "Hi", request_options=options)
            assert value not in str(caught.value)
        assert 0 == len(server.requests)


@pytest.mark.parametrize(("target", "note"), [("/x", "a\r\nb"), ("/é", "a")])
def test_a_request_that_cannot_be_written_shows_no_key(target: str, note: str) -> None:
    key = "AIzaSentinel-0123456789"
    with pytest.raises(InvalidContent) as caught:
        request_head("POST", target, "host", (("x-goog-api-key", Secret(key)), ("x-note", note)))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    inner = [frame for frame in shown.stack if frame.filename.endswith("message.py")]
    assert inner
    assert not any(key in value for frame in inner for value in (frame.locals or {}).values())
