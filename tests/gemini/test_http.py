"""Our HTTP client: connections kept, closed, forked, tunnelled and trusted; limits that hold."""

from __future__ import annotations

import asyncio
import gc
import gzip
import os
import resource
import threading
import time
import traceback
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gemini.wire_server import (
    STREAM_HEAD,
    Close,
    Received,
    Reset,
    Step,
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
from multiturn.cancel import Cancel
from multiturn.http import HttpHead, HttpRequest
from multiturn.http.client import Http
from multiturn.http.message import request_head
from multiturn.http.pool import Pool
from multiturn.http.route import Origin, proxy_for, split
from ways import Way

NEVER = Retry(attempts=1)


def get(client: Http, url: str, seconds: float = 5) -> tuple[int, bytes]:
    request = HttpRequest("GET", url, (), b"", time.monotonic() + seconds)
    first, *pieces = client.exchange(request, Cancel())
    assert isinstance(first, HttpHead)
    return first.status, b"".join(piece for piece in pieces if isinstance(piece, bytes))


# -- connections -----------------------------------------------------------------------------


async def test_one_connection_serves_one_conversation(way: Way) -> None:
    with WireServer(answers()) as server:
        chat = server.model().start_chat()
        for stream in (False, True, False, True):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert (4, 1) == (len(server.requests), server.connections)


async def test_an_idle_connection_that_the_server_closed_is_not_noticed(way: Way) -> None:
    last = [whole(reply("Once.")), Close]
    with WireServer(last, last, answers()) as server:
        chat = server.model(retry=NEVER).start_chat()
        for _ in range(4):
            await way.send(chat, "Hi")
            await way.idle()
        assert 8 == len(chat.history)


async def test_a_connection_that_breaks_as_it_is_used_again_costs_nothing(way: Way) -> None:
    with WireServer(answers(), [Reset], answers()) as server:
        chat = server.model(retry=NEVER).start_chat()
        await way.send(chat, "Hi")
        await way.send(chat, "Hi")
        assert 3 == len(server.requests)
        assert 4 == len(chat.history)


async def test_a_new_connection_that_breaks_is_an_error(way: Way) -> None:
    with WireServer([Reset]) as server:
        with pytest.raises(ConnectionFailed):
            await way.send(server.model(retry=NEVER).start_chat(), "Hi")
        assert 1 == len(server.requests)


async def test_what_follows_an_answer_is_not_taken_for_the_next(way: Way) -> None:
    with WireServer([whole(reply("One.")) + whole(reply("Forged."))], answers("Two.")) as server:
        chat = server.model().start_chat()
        await way.send(chat, "Hi")
        assert "Two." == (await way.send(chat, "Hi")).text
        assert 2 == server.connections


async def test_informational_answers_are_passed_over(way: Way) -> None:
    with WireServer([head(100) + head(103, Link="</x>") + whole(reply("Yes."))]) as server:
        assert "Yes." == (await way.send(server.model().start_chat(), "Hi")).text


async def test_the_reason_for_closing_early_is_read_although_not_all_was_sent(way: Way) -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(whole(b"too large", 413))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):
                pass

    threading.Thread(target=serve, daemon=True).start()
    with WireServer(b"") as server:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        model = server.model(access={"endpoint": url})
        with pytest.raises(StatusError, match="too large"):
            await way.send(model.start_chat(), "x" * 5_000_000)
    listener.close()


def test_connections_survive_event_loops_and_are_closed_with_theirs() -> None:
    async def talk(chat: Any) -> None:
        for _ in range(2):
            await chat.send_message_async("Hi")

    with WireServer(answers()) as server:
        chat = server.model().start_chat()
        for loops in (1, 2, 3):
            asyncio.run(talk(chat))
            assert loops == server.connections
            _until(lambda: not server._open)
        gc.collect()


def test_a_loop_that_is_closed_without_a_word_leaves_no_connection_for_long() -> None:
    with WireServer(answers()) as server:
        model = server.model()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(model.generate_content_async("Hi"))
        loop.close()
        asyncio.run(model.generate_content_async("Hi"))
        _until(lambda: not server._open)


def test_many_conversations_share_a_loop() -> None:
    async def all_of_them(server: WireServer) -> None:
        model = server.model()
        chats = [model.start_chat() for _ in range(150)]
        for _ in range(3):
            await asyncio.gather(*(chat.send_message_async("Hi") for chat in chats))

    with WireServer(answers()) as server:
        asyncio.run(all_of_them(server))
        assert 450 == len(server.requests)
        assert server.connections <= 150


def test_many_threads_share_a_client() -> None:
    with WireServer(lambda received: whole(reply(_last_text(received)))) as server:
        model, wrong = server.model(), []

        def talk(number: int) -> None:
            chat = model.start_chat()
            for i in range(25):
                if chat.send_message(f"{number}/{i}").text != f"{number}/{i}":
                    wrong.append((number, i))

        threads = [threading.Thread(target=talk, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ([], 200) == (wrong, len(server.requests))
        assert server.connections <= 8


def _last_text(received: Received) -> str:
    return str(received.json["contents"][-1]["parts"][0]["text"])


def _until(condition: Any, seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_uses_none_of_its_parents_connections() -> None:
    children = 100 if os.environ.get("MULTITURN_TEST_EFFORT") == "nightly" else 25
    with WireServer(lambda received: whole(reply(_last_text(received)))) as server:
        model = server.model()
        chat = model.start_chat()
        chat.send_message("warm")
        pids = []
        for number in range(children):
            pid = os.fork()
            if pid == 0:
                try:
                    answered = chat.send_message(f"child {number}").text
                    os._exit(0 if answered == f"child {number}" else 1)
                except BaseException:
                    os._exit(2)
            pids.append(pid)
            assert f"parent {number}" == model.generate_content(f"parent {number}").text
        assert [0] * children == [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids]
        shared = {r.connection for r in server.requests if "child" in _last_text(r)} & {
            r.connection for r in server.requests if "child" not in _last_text(r)
        }
        assert set() == shared


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_leaves_the_connections_of_its_parents_loop_alone() -> None:
    async def parent(server: WireServer) -> None:
        model = server.model()
        await model.generate_content_async("warm")
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if model.generate_content("child").text == "child" else 1)
            except BaseException:
                os._exit(2)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert "still" == (await model.generate_content_async("still")).text
        assert [1, 2, 1] == [r.connection for r in server.requests]

    with WireServer(lambda received: whole(reply(_last_text(received)))) as server:
        asyncio.run(parent(server))


# -- limits ----------------------------------------------------------------------------------


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


async def test_a_slow_reader_makes_the_server_wait(way: Way) -> None:
    many = STREAM_HEAD + chunked(event(reply("x" * 100_000, None))) * 100
    end = chunked(event(reply("."))) + b"0\r\n\r\n"
    with WireServer([many, end]) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=True)
        count = 0
        async for chunk in way.read(response):
            count += len(chunk.text)
            if count < 1_000_000:
                await way.idle()
        assert 10_000_001 == count


async def test_the_first_chunk_is_there_as_soon_as_it_was_sent(way: Way) -> None:
    is_read = threading.Event()
    in_time: list[bool] = []

    def steps(received: object) -> Iterator[Step]:
        yield STREAM_HEAD + chunked(event(reply("a", None)))
        in_time.append(is_read.wait(30))
        yield chunked(event(reply("b"))) + b"0\r\n\r\n"

    with WireServer(steps) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=True)
        async for chunk in way.read(response):
            if chunk.text == "a":
                is_read.set()
        assert ("ab", [True]) == (response.text, in_time)


# -- the way there ---------------------------------------------------------------------------

PROXIES = [
    ("https://api.example/", {"HTTPS_PROXY": "http://p:1"}, "p"),
    ("https://api.example/", {"https_proxy": "http://q:1", "HTTPS_PROXY": "http://p:1"}, "q"),
    ("https://api.example/", {"ALL_PROXY": "p:1"}, "p"),
    ("https://api.example/", {"HTTP_PROXY": "http://p:1"}, None),
    ("http://api.example/", {"HTTP_PROXY": "http://p:1"}, "p"),
    ("http://api.example/", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": "*"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": "api.example"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": ".example"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "no_proxy": "x, example"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": "pi.example"}, "p"),
    ("http://api.example:8/", {"http_proxy": "http://p:1", "NO_PROXY": "api.example:8"}, None),
    ("http://api.example:8/", {"http_proxy": "http://p:1", "NO_PROXY": "api.example:9"}, "p"),
    ("http://10.1.2.3/", {"http_proxy": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
    ("http://11.1.2.3/", {"http_proxy": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "p"),
    ("http://127.0.0.1:5/", {"http_proxy": "http://p:1"}, None),
    ("http://localhost:5/", {"http_proxy": "http://p:1"}, None),
    ("http://[::1]:5/", {"http_proxy": "http://p:1"}, None),
]


@pytest.mark.parametrize(("url", "environment", "expected"), PROXIES)
def test_the_environment_names_the_proxy(
    url: str, environment: dict[str, str], expected: str | None
) -> None:
    proxy = proxy_for(split(url)[0], environment)
    assert expected == (proxy.host if proxy else None)


def test_a_proxy_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidContent) as caught:
        proxy_for(Origin("https", "x", 443), {"https_proxy": "socks5://me:pass-word@p:1"})
    assert "pass-word" not in str(caught.value)


async def test_a_proxy_is_asked_for_the_whole_address(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer(answers()) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{proxy.port}")
        model = proxy.model(access={"endpoint": "http://gemini.example"})
        assert "Hello." == (await way.send(model.start_chat(), "Hi")).text
        received = proxy.requests[0]
        assert received.target.startswith("http://gemini.example/v1beta/models/")
        assert "gemini.example" == received.headers["host"]
        assert "Basic bWU6cGFzcw==" == received.headers["proxy-authorization"]


async def test_a_proxy_that_refuses_is_named(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer(whole(b"", 407)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        model = proxy.model(access={"endpoint": "https://gemini.example"})
        with pytest.raises(ConnectionFailed, match=r"proxy .*407"):
            await way.send(model.start_chat(), "Hi")
        assert ["CONNECT"] == [received.method for received in proxy.requests]
        assert "x-goog-api-key" not in proxy.requests[0].headers


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http://", "x", "http://a:b@c/", "http://x:99999/", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidContent):
        split(url)


def test_an_address_of_version_six_keeps_its_brackets() -> None:
    assert "[::1]:8080" == split("http://[::1]:8080/x")[0].authority
    assert ("/", "x") == (split("http://x")[1], split("http://x:80")[0].authority)


# -- clients of the user's own ---------------------------------------------------------------


class Own:
    """The smallest client there can be."""

    def exchange(self, request: HttpRequest, cancel: Cancel) -> Iterator[HttpHead | bytes]:
        yield HttpHead(200, {})
        yield whole(reply("Mine.")).split(b"\r\n\r\n", 1)[1]

    async def exchange_async(
        self, request: HttpRequest, cancel: Cancel
    ) -> AsyncIterator[HttpHead | bytes]:
        for item in self.exchange(request, cancel):
            yield item


async def test_a_client_of_ones_own_carries_the_requests(way: Way) -> None:
    with WireServer(b"") as server:
        model = server.model(access={"http_client": Own()})
        assert "Mine." == (await way.send(model.start_chat(), "Hi")).text
        assert 0 == server.connections


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_of_httpx_carries_the_requests_and_stays_open(
    way: Way, stream: bool
) -> None:
    httpx = pytest.importorskip("httpx2", reason="httpx2 is not installed")
    kind = httpx.Client if way.name == "sync" else httpx.AsyncClient
    client = kind(trust_env=False)
    with WireServer(answers()) as server:
        chat = server.model(access={"http_client": client}, retry=NEVER).start_chat()
        for _ in range(2):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert 4 == len(chat.history)
        assert not client.is_closed
        assert "k-of-the-tests" == server.requests[0].headers["x-goog-api-key"]
        server.script = [whole(b"", 307, Location="http://127.0.0.1:9/")]
        with pytest.raises(StatusError, match="redirect"):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        server.script = [[Reset]]
        with pytest.raises(ConnectionFailed):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
    if way.name == "sync":
        client.close()
    else:
        await client.aclose()


def test_what_is_no_client_is_refused() -> None:
    with WireServer(b"") as server, pytest.raises(InvalidContent, match="http_client"):
        server.model(access={"http_client": object()}).generate_content("Hi")


def test_a_pool_closes_what_waited_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle:
        is_usable, closed = True, False

        def close(self) -> None:
            self.closed = True

        forget = close

    pool: Pool[Any] = Pool()
    route: Any = ("route",)
    old, new = Idle(), Idle()
    pool.put(route, old)
    monkeypatch.setattr("multiturn.http.pool.KEEP_SECONDS", 0.0)
    pool.put(route, new)
    assert old.closed
    assert pool.take(route) is None
    assert new.closed
