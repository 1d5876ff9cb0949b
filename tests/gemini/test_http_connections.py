"""Connections of our HTTP client: kept, used again, closed with their loop, never shared."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import Any

import pytest

from gemini.wire_server import (
    Close,
    Received,
    Reset,
    WireServer,
    answers,
    head,
    reply,
    whole,
)
from multiturn import ConnectionFailed, Retry
from multiturn.http.client import Http
from multiturn.http.pool import Pool
from ways import Way, until

NEVER = Retry(attempts=1)


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


def test_connections_survive_event_loops_and_are_closed_with_theirs() -> None:
    async def talk(chat: Any) -> None:
        for _ in range(2):
            await chat.send_message_async("Hi")

    with WireServer(answers()) as server:
        chat = server.model().start_chat()
        for loops in (1, 2, 3):
            asyncio.run(talk(chat))
            assert loops == server.connections
            until(lambda: not server._open)
        gc.collect()


def test_a_loop_that_is_closed_without_a_word_leaves_no_connection_for_long() -> None:
    with WireServer(answers()) as server:
        model = server.model()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(model.generate_content_async("Hi"))
        loop.close()
        asyncio.run(model.generate_content_async("Hi"))
        until(lambda: not server._open)


def test_a_client_that_is_dropped_in_its_loop_closes_its_connections() -> None:
    async def scenario(server: WireServer) -> None:
        await server.model(access={"http_client": Http()}).generate_content_async("Hi")
        gc.collect()
        while server._open:
            await asyncio.sleep(0.001)

    with WireServer(answers()) as server:
        asyncio.run(scenario(server))


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


async def test_a_server_that_closes_before_it_answers_is_named(way: Way) -> None:
    with WireServer([Close]) as server:
        with pytest.raises(ConnectionFailed) as caught:
            await way.send(server.model(retry=NEVER).start_chat(), "Hi")

        place = f"127.0.0.1:{server.port}"
        assert f"{place} closed the connection before it answered" == str(caught.value)
        assert place == caught.value.server
