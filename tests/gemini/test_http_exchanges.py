"""One exchange of our HTTP client: read, left, dropped and cancelled."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gemini.reading import BEGUN, Reading, request_to
from gemini.wire_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Step,
    WireServer,
    chunked,
    whole,
)
from multiturn import ConnectionFailed
from multiturn.cancel import Cancel
from multiturn.http import nonblocking
from multiturn.http.client import Http
from ways import Way, in_thread, until

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
