"""Block C: a server that stalls, anywhere; every call is over by its time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gemini.wire_server import (
    STREAM_HEAD,
    Pause,
    Step,
    WireServer,
    answers,
    chunked,
    event,
    head,
    reply,
    whole,
)
from multiturn import ConnectionFailed, TimedOut, TurnCancelled
from multiturn.backends.gemini import method_call
from ways import Way

LIMIT_SECONDS = 0.4
LONG = Pause(30)
LATE_SECONDS = 10  # far below LONG, far above what busy cores cost


def _drip(data: bytes) -> Iterator[Step]:
    """Send byte after byte, so that the server is never silent for long."""
    for i in range(len(data)):
        yield data[i : i + 1]
        yield Pause(0.03)


def _pings() -> Iterator[Step]:
    yield STREAM_HEAD
    while True:
        yield chunked(b": ping\n\n")
        yield Pause(0.03)


def _endless() -> Iterator[Step]:
    yield STREAM_HEAD
    while True:
        yield chunked(event(reply("and on ", None)))
        yield Pause(0.02)


WHOLE = whole(reply("Hello." * 200))
STALLS: dict[str, Any] = {
    "silent": lambda: [LONG],
    "within the head": lambda: [WHOLE[:20], LONG],
    "before the body": lambda: [WHOLE[: WHOLE.index(b"\r\n\r\n") + 4], LONG],
    "within the body": lambda: [WHOLE[:-10], LONG],
    "dripping head": lambda: _drip(WHOLE[:60] + b"x" * 1000),
    "dripping body": lambda: _drip(WHOLE),
    "within a stream": lambda: [STREAM_HEAD + chunked(event(reply("Hel", None))), LONG],
    "within an event": lambda: [STREAM_HEAD + chunked(event(reply("Hel", None))[:20]), LONG],
    "before the end": lambda: [STREAM_HEAD + chunked(event(reply("Hello."))), LONG],
    "pings only": _pings,
    "endless": _endless,
    "informational": lambda: [head(100) * 3, LONG],
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", STALLS)
async def test_a_call_is_over_by_its_time_limit(way: Way, name: str, stream: bool) -> None:
    with WireServer(lambda received: STALLS[name]()) as server:
        chat = server.model().start_chat()
        began = time.monotonic()
        options = {"timeout": LIMIT_SECONDS}
        with pytest.raises(TimedOut) as caught:
            await way.resolve(await way.send(chat, "Hi", stream=stream, request_options=options))
        assert LIMIT_SECONDS <= time.monotonic() - began < LIMIT_SECONDS + LATE_SECONDS
        assert isinstance(caught.value, TimeoutError)
        assert 1 == len(server.requests)
        assert [] == chat.history
        server.script = [answers("Well.")]
        assert "Well." == (await way.send(chat, "Hi")).text


async def test_silence_within_an_answer_has_a_limit_of_its_own_and_is_asked_again(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_call, "IDLE_SECONDS", 0.1)
    with WireServer([WHOLE[:-10], LONG], answers()) as server:
        assert "Hello." == (await way.send(server.model().start_chat(), "Hi")).text
        assert 2 == len(server.requests)


async def test_silence_within_a_stream_ends_it(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(method_call, "IDLE_SECONDS", 0.1)
    with WireServer([STREAM_HEAD + chunked(event(reply("Hel", None))), LONG]) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=True)
        with pytest.raises(TimedOut, match=r"nothing within 0\.1 s"):
            await way.resolve(response)
        assert 1 == len(server.requests)


@pytest.mark.parametrize("begun", [b"", STREAM_HEAD], ids=["silent", "behind the head"])
async def test_a_model_may_think_before_it_answers(
    way: Way, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(method_call, "IDLE_SECONDS", 0.1)
    rest = (STREAM_HEAD + chunked(event(reply("Hello."))) + chunked(b""))[len(begun) :]
    with WireServer([begun, Pause(0.5), rest] if begun else [Pause(0.5), rest]) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=True)
        await way.resolve(response)
        assert ("Hello.", 1) == (response.text, len(server.requests))


@pytest.mark.parametrize("seconds", [1e9, float("inf")])
async def test_a_time_limit_may_be_longer_than_a_system_can_wait(way: Way, seconds: float) -> None:
    with WireServer(answers()) as server:
        chat = server.model().start_chat()
        response = await way.send(chat, "Hi", request_options={"timeout": seconds})
        assert "Hello." == response.text


async def test_a_server_that_does_not_accept_is_given_up(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(method_call, "CONNECT_SECONDS", 0.15)
    with WireServer(b"") as server, socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(4):  # fill the queue, so that no further connection is made
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        model = server.model(access={"endpoint": f"http://127.0.0.1:{port}"})
        began = time.monotonic()
        with pytest.raises((TimedOut, ConnectionFailed), match=str(port)):
            await way.send(model.start_chat(), "Hi", request_options={"retry": False})
        assert time.monotonic() - began < 0.15 + LATE_SECONDS
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_another_thread_ends_a_blocked_call_at_once(way: Way, stream: bool) -> None:
    with WireServer(
        [STREAM_HEAD + chunked(event(reply("Hel", None))) if stream else b"", LONG]
    ) as server:
        chat = server.model().start_chat()
        began: list[float] = []

        def cancel() -> None:
            while not server.requests:
                time.sleep(0.002)
            time.sleep(0.05)
            began.append(time.monotonic())
            chat._gate.holder.cancel.set()  # type: ignore[union-attr]

        thread = threading.Thread(target=cancel)
        thread.start()
        with pytest.raises(TurnCancelled):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert time.monotonic() - began[0] < LATE_SECONDS
        thread.join()
        server.script = [answers("Well.")]
        assert "Well." == (await way.send(chat, "Hi")).text


def test_a_task_that_is_cancelled_ends_at_once_and_closes_its_connection() -> None:
    import asyncio

    async def scenario(server: WireServer) -> None:
        chat = server.model().start_chat()
        task = asyncio.create_task(chat.send_message_async("Hi"))
        while not server.requests:
            await asyncio.sleep(0.002)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < LATE_SECONDS
        assert [] == chat.history
        server.script = [answers("Well.")]
        assert "Well." == (await chat.send_message_async("Hi")).text

    with WireServer([LONG]) as server:
        asyncio.run(scenario(server))
        assert 2 == server.connections


async def test_a_dropped_stream_closes_its_connection(way: Way) -> None:
    with WireServer([STREAM_HEAD + chunked(event(reply("Hel", None))), LONG], answers()) as server:
        chat = server.model().start_chat()
        response = await way.send(chat, "Hi", stream=True)
        async for _ in way.read(response):
            break
        del response
        assert "Hello." == (await way.send(chat, "Hi")).text
        assert 2 == server.connections
