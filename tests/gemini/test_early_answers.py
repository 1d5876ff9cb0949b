"""Exchanges of our HTTP client that are answered early, or read slowly."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing

import pytest

from gemini.reading import BEGUN, KEY, Reading, request_to
from gemini.wire_server import (
    STREAM_HEAD,
    Step,
    WireServer,
    chunked,
    event,
    head,
    reply,
    whole,
)
from multiturn import ConnectionFailed, Retry, StatusError, TimedOut
from multiturn.http import HttpHead
from multiturn.http.client import Http
from ways import Way

# A test that waits so long fails.
LONG_SECONDS = 10

# -- answered early, or slowly ---------------------------------------------------------------


class Early:
    """A server that answers before it has read the request."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._is_over = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self._is_over.set()
        self._listener.close()


class Hasty(Early):
    """A server that answers the first connection's request before it has read it."""

    def __init__(self, answer: bytes, *, then_ends: bool) -> None:
        self._then_ends = then_ends
        super().__init__(answer)

    def _serve(self) -> None:
        first, _ = self._listener.accept()
        with first:
            first.recv(1000)
            first.sendall(self._answer)
            if self._then_ends:
                first.shutdown(socket.SHUT_WR)
                while first.recv(1 << 20):
                    pass
            with WireServer(whole(reply("Well."))) as server:
                second, _ = self._listener.accept()
                with second:
                    server._serve(second, 2)
            self._is_over.wait(60)


@pytest.mark.parametrize("then_ends", [False, True], ids=["stays", "ends"])
async def test_an_answer_is_read_although_not_all_was_sent(way: Way, then_ends: bool) -> None:
    hasty = Hasty(whole(b"too large", 413), then_ends=then_ends)
    with WireServer(b"") as server:
        model = server.model(access={"endpoint": hasty.url}, retry=Retry(attempts=1))
        with pytest.raises(StatusError, match="too large"):
            await way.send(model.start_chat(), "x" * 20_000_000, request_options={"timeout": 20})
        assert "Well." == (await way.send(model.start_chat(), "Hi")).text
    hasty.close()


class Ending(Early):
    """A server that reads a little of the request, answers, and ends its half of the line."""

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(self._answer)
            connection.shutdown(socket.SHUT_WR)
            self._is_over.wait(60)


UNSENT = b"x" * 20_000_000


async def test_the_end_of_an_answer_without_a_length_is_seen_while_the_request_is_sent(
    way: Way,
) -> None:
    with closing(Ending(head(413) + b"too large")) as server:
        answer = await Reading(way, Http(), request_to(server.url, UNSENT, LONG_SECONDS)).rest()
    assert [HttpHead(413, {}), b"too large"] == answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(b"", "before it answered"), (whole(b"too large", 413)[:-1], "cut after 8 bytes")],
    ids=["nothing", "cut"],
)
async def test_a_server_that_ends_while_the_request_is_sent_is_not_waited_for(
    way: Way, answer: bytes, problem: str
) -> None:
    with closing(Ending(answer)) as server, pytest.raises(ConnectionFailed, match=problem):
        await Reading(way, Http(), request_to(server.url, UNSENT, LONG_SECONDS)).rest()


async def test_a_request_that_cannot_be_sent_shows_no_key(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TimedOut) as caught:
            await Reading(way, Http(), request_to(url, b"x" * 20_000_000, 0.2)).rest()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    values = [value for frame in shown.stack for value in (frame.locals or {}).values()]
    assert values
    assert not any(KEY in value for value in values)


async def test_a_long_body_in_many_pieces_arrives_as_it_was(way: Way) -> None:
    pieces = [bytes([65 + i % 26]) * (i * 37 % 5000) for i in range(2500)]
    pieces.insert(3, b"L" * 1_000_000)
    with WireServer(whole(b"ok")) as server:
        head, body = await Reading(way, Http(), request_to(server.url, pieces)).rest()
        assert (HttpHead, b"ok") == (type(head), body)
        assert b"".join(pieces) == server.requests[0].body


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


async def test_a_slow_reader_has_no_longer_than_the_time_limit(way: Way) -> None:
    sent, is_read = threading.Event(), threading.Event()

    def steps(_: object) -> Iterator[Step]:
        yield BEGUN
        while not is_read.wait(0.005):
            yield chunked(b"more")
            sent.set()

    async def read_slowly(reading: Reading) -> None:
        while await reading.next() is not None and time.monotonic() < deadline:
            sent.clear()
            while not sent.is_set():
                await way.idle()
            await way.idle()  # so that something is there whenever it looks

    deadline = time.monotonic() + 10
    with WireServer(steps) as server:
        with pytest.raises(TimedOut, match="time limit"):
            await read_slowly(Reading(way, Http(), request_to(server.url, seconds=0.2)))
        is_read.set()


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
