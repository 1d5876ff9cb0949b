"""One exchange of our HTTP client: read, left, dropped, cancelled, and answered early."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from gemini.wire_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Step,
    WireServer,
    chunked,
    event,
    reply,
    whole,
)
from multiturn import ConnectionFailed, Retry, StatusError, TimedOut
from multiturn.access import Secret
from multiturn.cancel import Cancel
from multiturn.http import Body, HttpHead, HttpRequest, nonblocking
from multiturn.http.client import Http
from ways import Way, in_thread, until

KEY = "AIzaSentinel-0123456789"
BEGUN = STREAM_HEAD + chunked(b"some")  # and the server waits for the next request


def request_to(url: str, body: Body = b"{}", seconds: float = 20) -> HttpRequest:
    headers = (("x-goog-api-key", Secret(KEY)),)
    return HttpRequest("POST", url + "/x", headers, body, time.monotonic() + seconds)


class Reading:
    """An exchange, read in either way."""

    def __init__(
        self, way: Way, client: Http, request: HttpRequest, cancel: Cancel | None = None
    ) -> None:
        self.cancel = cancel or Cancel()
        ask = client.exchange if way.name == "sync" else client.exchange_async
        self.exchange: Any = ask(request, self.cancel)

    async def next(self) -> Any:
        """Return what comes next, None at the end."""
        if hasattr(self.exchange, "__anext__"):
            return await anext(self.exchange, None)
        return next(self.exchange, None)

    async def rest(self) -> list[Any]:
        found = []
        while (item := await self.next()) is not None:
            found.append(item)
        return found

    async def close(self) -> None:
        if hasattr(self.exchange, "aclose"):
            await self.exchange.aclose()
        else:
            self.exchange.close()


# -- an exchange that ends early -------------------------------------------------------------


async def test_an_exchange_gives_the_head_the_body_and_then_nothing(way: Way) -> None:
    with WireServer(whole(b"body", 404, Note="a")) as server:
        client = Http()
        reading = Reading(way, client, request_to(server.url))
        head, body = await reading.rest()
        assert (404, "a", b"body") == (head.status, head.headers["note"], body)
        assert await reading.next() is None
        await reading.close()
        assert len(server._open) == 1


async def test_an_exchange_that_is_closed_in_the_middle_closes_its_connection(way: Way) -> None:
    with WireServer(BEGUN) as server:
        reading = Reading(way, Http(), request_to(server.url))
        assert 200 == (await reading.next()).status
        await reading.close()
        await way.idle()
        until(lambda: not server._open)
        assert await reading.next() is None
        await reading.close()


async def test_an_exchange_that_never_began_asks_nothing(way: Way) -> None:
    with WireServer(BEGUN) as server:
        reading = Reading(way, Http(), request_to(server.url))
        await reading.close()
        assert await reading.next() is None
        assert 0 == server.connections


async def test_a_dropped_exchange_closes_its_connection(way: Way) -> None:
    cancel = Cancel()  # whoever might interrupt it does not keep it
    with WireServer(BEGUN) as server:
        reading = Reading(way, Http(), request_to(server.url), cancel)
        await reading.next()
        gc.disable()
        try:
            del reading
            await way.idle()
            until(lambda: not server._open)
        finally:
            gc.enable()


def test_an_exchange_dropped_by_another_thread_closes_its_connection() -> None:
    async def scenario(server: WireServer) -> None:
        exchanges = [Http().exchange_async(request_to(server.url), Cancel())]
        await anext(exchanges[0])
        in_thread(exchanges.clear)
        while server._open:
            await asyncio.sleep(0.001)

    with WireServer(BEGUN) as server:
        asyncio.run(scenario(server))


def test_an_exchange_that_nobody_reads_to_its_end_is_closed_with_its_loop() -> None:
    async def begin(exchange: Any) -> None:
        await anext(exchange)

    async def go_on(exchange: Any) -> list[bytes]:
        return [piece async for piece in exchange]

    with WireServer(BEGUN) as server:
        client = Http()
        exchange = client.exchange_async(request_to(server.url), Cancel())
        asyncio.run(begin(exchange))
        until(lambda: not server._open)
        with pytest.raises(ConnectionFailed):
            asyncio.run(go_on(exchange))


def test_an_exchange_dropped_after_its_loop_was_closed_closes_its_connection() -> None:
    with WireServer(BEGUN) as server:
        loop, client = asyncio.new_event_loop(), Http()
        exchange = client.exchange_async(request_to(server.url), Cancel())
        loop.run_until_complete(anext(exchange))
        loop.close()
        del exchange
        until(lambda: not server._open)
        client.close()


# -- interrupted -----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [b"", BEGUN], ids=["before the head", "in the body"])
async def test_an_exchange_that_another_thread_interrupts_just_ends(way: Way, answer: Any) -> None:
    with WireServer(answer) as server:
        reading = Reading(way, Http(), request_to(server.url))

        def interrupt() -> None:
            until(lambda: len(server.requests) == 1)
            time.sleep(0.005)
            reading.cancel.set()

        thread = threading.Thread(target=interrupt)
        thread.start()
        await reading.rest()
        thread.join()
        await way.idle()
        until(lambda: not server._open)


async def test_an_interrupt_that_comes_late_does_not_end_the_next_exchange(way: Way) -> None:
    def steps(_: object) -> Iterator[Step]:
        yield STREAM_HEAD + chunked(b"some")
        answered.wait(30)
        yield LAST_CHUNK

    answered = threading.Event()
    with WireServer(whole(b"first"), steps) as server:
        client = Http()
        first = Reading(way, client, request_to(server.url))
        await first.next()
        (interrupt,) = first.cancel._callbacks
        await first.rest()
        second = Reading(way, client, request_to(server.url))
        await second.next()
        interrupt()
        await way.idle()
        answered.set()
        assert b"some" == b"".join(await second.rest())
        assert ([], 1) == (first.cancel._callbacks, server.connections)


async def _never(*_: object) -> Any:
    await asyncio.Event().wait()


def test_a_task_that_is_cancelled_as_its_call_is_interrupted_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        cancel = Cancel()
        exchange: Any = Http().exchange_async(request_to("http://127.0.0.1:9"), cancel)
        reading = asyncio.create_task(anext(exchange))
        await asyncio.sleep(0)
        cancel.set()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    monkeypatch.setattr(nonblocking, "connect", _never)
    asyncio.run(scenario())


def test_an_exchange_is_interrupted_while_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        cancel = Cancel()
        exchange: Any = Http().exchange_async(request_to("http://127.0.0.1:9"), cancel)
        reading = asyncio.create_task(anext(exchange, "ended"))
        await asyncio.sleep(0)
        await asyncio.to_thread(cancel.set)
        assert "ended" == await reading

    monkeypatch.setattr(nonblocking, "connect", _never)
    asyncio.run(scenario())


@pytest.mark.parametrize("ends", ["cancel", "aclose"])
def test_an_exchange_that_ends_as_its_connection_is_made_asks_nothing(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = nonblocking.connect

    async def scenario(server: WireServer) -> None:
        async def connected(*arguments: Any) -> Any:
            connection = await connect(*arguments)
            # Comes about between this task and the one that waits for it.
            if ends == "cancel":
                cancel.set()
            else:
                tasks.append(asyncio.create_task(exchange.aclose()))
            return connection

        tasks: list[Any] = []
        cancel = Cancel()
        exchange: Any = Http().exchange_async(request_to(server.url), cancel)
        monkeypatch.setattr(nonblocking, "connect", connected)
        if ends == "cancel":
            assert [] == [item async for item in exchange]
        else:
            with pytest.raises(ConnectionFailed, match="interrupted"):
                await anext(exchange)
        while server._open:
            await asyncio.sleep(0.001)
        assert [] == server.requests

    with WireServer(whole(b"")) as server:
        asyncio.run(asyncio.wait_for(scenario(server), 20))


@pytest.mark.parametrize("is_begun", [False, True])
def test_closing_an_exchange_ends_whoever_waits_for_it(is_begun: bool) -> None:
    async def scenario(server: WireServer) -> None:
        exchange: Any = Http().exchange_async(request_to(server.url), Cancel())
        if is_begun:
            assert [200, b"some"] == [(await anext(exchange)).status, await anext(exchange)]
        reading = asyncio.create_task(anext(exchange))
        await asyncio.sleep(0)
        await exchange.aclose()
        with pytest.raises(ConnectionFailed):
            await reading

    with WireServer(BEGUN) as server:
        asyncio.run(scenario(server))


@pytest.mark.parametrize("is_begun", [False, True])
def test_two_tasks_cannot_read_one_exchange_at_once(is_begun: bool) -> None:
    async def scenario(server: WireServer) -> None:
        exchange: Any = Http().exchange_async(request_to(server.url), Cancel())
        if is_begun:
            assert [200, b"some"] == [(await anext(exchange)).status, await anext(exchange)]
        first = asyncio.create_task(anext(exchange))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one task"):
            await anext(exchange)
        answered.set()
        assert (b"more" if is_begun else 200) == getattr(await first, "status", first.result())

    def steps(_: object) -> Iterator[Step]:
        yield STREAM_HEAD + chunked(b"some")
        answered.wait(30)
        yield chunked(b"more")

    answered = threading.Event()
    with WireServer(steps) as server:
        asyncio.run(scenario(server))


def test_a_connection_that_is_lost_before_it_is_used_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = nonblocking.connect

    async def slowly(*arguments: Any) -> Any:
        connection = await connect(*arguments)
        while connection.is_usable:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        return connection

    async def scenario(url: str) -> None:
        async for _ in Http().exchange_async(request_to(url), Cancel()):
            pass

    def serve() -> None:
        listener.accept()[0].close()

    monkeypatch.setattr(nonblocking, "connect", slowly)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ConnectionFailed):
            asyncio.run(scenario(f"http://127.0.0.1:{listener.getsockname()[1]}"))


def test_loops_of_several_threads_begin_at_the_same_time() -> None:
    client, is_asked = Http(), threading.Event()

    class Loop(asyncio.SelectorEventLoop):
        def is_closed(self) -> bool:
            if is_asked.is_set():  # by the main thread, which goes through all loops
                is_asked.clear()
                in_thread(lambda: third.run_until_complete(read()))
            return super().is_closed()

    async def read() -> None:
        assert 2 == len([_ async for _ in client.exchange_async(request_to(url), Cancel())])

    with WireServer(whole(b"body")) as server:
        url, first, third = server.url, Loop(), asyncio.new_event_loop()
        first.run_until_complete(read())
        is_asked.set()
        asyncio.run(read())
        for loop in (first, third):
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


# -- answered early, or slowly ---------------------------------------------------------------


class Hasty:
    """A server that answers the first connection's request before it has read it."""

    def __init__(self, answer: bytes, *, then_ends: bool) -> None:
        self._answer, self._then_ends = answer, then_ends
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._is_over = threading.Event()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

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

    def close(self) -> None:
        self._is_over.set()
        self._listener.close()


@pytest.mark.parametrize("then_ends", [False, True], ids=["stays", "ends"])
async def test_an_answer_is_read_although_not_all_was_sent(way: Way, then_ends: bool) -> None:
    hasty = Hasty(whole(b"too large", 413), then_ends=then_ends)
    with WireServer(b"") as server:
        model = server.model(access={"endpoint": hasty.url}, retry=Retry(attempts=1))
        with pytest.raises(StatusError, match="too large"):
            await way.send(model.start_chat(), "x" * 20_000_000, request_options={"timeout": 20})
        assert "Well." == (await way.send(model.start_chat(), "Hi")).text
    hasty.close()


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
