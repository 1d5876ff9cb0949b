"""What a conversation does while PostgreSQL is away, frozen, slow, or lets nobody in."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel
from multiturn.stores.errors import (
    OutcomeUnknown,
    StoreBusy,
    StoreError,
    StoreUnreachable,
    StoreUnusable,
)
from multiturn.testing import ScriptedBackend
from stores.postgres_server import Server

pytest.importorskip("psycopg", reason="PostgresStore needs multiturn[postgres]")

import psycopg
from psycopg.conninfo import make_conninfo

from multiturn.stores.postgres import PostgresStore

pytestmark = pytest.mark.timeout(120)

# Nobody in these tests waits so long, unless a limit does not hold.
LONG = 100.0
OUT_OF_TIME = (StoreUnreachable, StoreBusy)


@pytest.fixture
def schema() -> str:
    return f"t{uuid.uuid4().hex}"


@pytest.fixture
def patient(postgres: Server, schema: str) -> Iterator[PostgresStore]:
    """A store whose own patience ends no test."""
    with PostgresStore(postgres.address, schema=schema, reconnect_seconds=LONG) as store:
        yield store


def model() -> GenerativeModel:
    answer = ScriptedBackend(lambda request: request.contents[-1].text.upper(), repeat=True)
    return GenerativeModel(backend=answer)


def requests(chat: ChatSession) -> int:
    backend: Any = chat.model.backend
    return len(backend.requests)


@contextmanager
def locked(postgres: Server, store: PostgresStore) -> Iterator[Callable[[], None]]:
    """Have all sessions locked by another, until what is given is called."""
    with psycopg.connect(postgres.address) as other:
        other.execute(f"LOCK TABLE {store.schema}.sessions IN ACCESS EXCLUSIVE MODE")
        yield other.rollback


def test_a_process_with_many_open_files_keeps_its_connections(
    postgres: Server, patient: PostgresStore
) -> None:
    patient.open("ada")
    patient.close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2000 if limits[1] == resource.RLIM_INFINITY else min(2000, limits[1])
    assert most > 1200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, limits[0]), limits[1]))
    files = [os.dup(0) for _ in range(1100)]  # beyond what select() takes
    try:
        for _ in range(2):
            assert "ada" == patient.open("ada").name
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# -- away ---------------------------------------------------------------------------------


def test_a_store_is_usable_as_soon_as_its_server_is_back(postgres: Server, schema: str) -> None:
    with PostgresStore(postgres.address, schema=schema, reconnect_seconds=0.3) as store:
        chat = model().start_chat(session="ada", store=store)
        chat.send_message("one")
        with postgres.away():
            for _ in range(3):
                with pytest.raises(StoreUnreachable, match=r"No such file|refused") as caught:
                    chat.send_message("lost")
                assert "StoreUnreachable" == caught.type.__name__
        assert "TWO" == chat.send_message("two").text
        assert ["one", "two"] == [turn.contents[0].text for turn in chat.turns]
        assert 2 == requests(chat)


@pytest.mark.parametrize("how", ["away", "frozen"])
def test_a_messages_limit_holds_while_the_server_is(
    postgres: Server, patient: PostgresStore, how: str
) -> None:
    chats = [model().start_chat(session=f"{n}", store=patient) for n in range(5)]
    for chat in chats:
        chat.send_message("one")
    unread = [model().start_chat(session=f"{n}", store=patient) for n in range(5)]
    limit = {"timeout": 0.4}

    async def all_at_once() -> list[BaseException | object]:
        sends = [c.send_message_async("lost", request_options=limit) for c in [*chats, *unread]]
        return await asyncio.gather(*sends, return_exceptions=True)

    began = time.monotonic()
    with getattr(postgres, how)():
        with pytest.raises(OUT_OF_TIME):
            chats[0].send_message("lost", request_options=limit)
        raised = asyncio.run(all_at_once())
    assert 10 == len([error for error in raised if isinstance(error, OUT_OF_TIME)]), raised
    assert time.monotonic() - began < LONG / 2
    assert [1] * 5 + [0] * 5 == [requests(chat) for chat in [*chats, *unread]]
    assert "TWO" == chats[0].send_message("two").text
    assert [] == patient.check()


def test_a_task_that_is_cancelled_waits_no_longer_for_a_server_that_is_away(
    postgres: Server, patient: PostgresStore
) -> None:
    chat = model().start_chat(session="ada", store=patient)
    chat.send_message("one")

    async def main() -> None:
        async with asyncio.timeout(0.2):
            await chat.send_message_async("lost")

    began = time.monotonic()
    with postgres.away(), pytest.raises(TimeoutError):
        asyncio.run(main())
    assert time.monotonic() - began < LONG / 2
    assert "TWO" == chat.send_message("two").text


def test_a_server_that_freezes_while_a_turn_is_stored_leaves_it_once_or_not_at_all(
    postgres: Server, schema: str
) -> None:
    freezing = postgres.frozen()

    def answer(_: object) -> str:
        freezing.__enter__()
        return "paid for"

    with PostgresStore(postgres.address, schema=schema, reconnect_seconds=0.5) as store:
        backend = ScriptedBackend(answer, "again")
        chat = GenerativeModel(backend=backend).start_chat(session="ada", store=store)
        try:
            with pytest.raises(OutcomeUnknown):
                chat.send_message("hi")
        finally:
            freezing.__exit__(None, None, None)
        assert "again" == chat.send_message("go on").text
        assert chat.turns[-1].contents[-1].text == "again"
        assert len(chat.turns) in (1, 2)
        assert [] == store.check()


def test_an_answer_that_could_not_be_sent_to_a_server_that_is_away_is_not_in_doubt(
    postgres: Server, schema: str
) -> None:
    def answer(_: object) -> str:
        postgres.stop()
        return "paid for"

    with PostgresStore(postgres.address, schema=schema, reconnect_seconds=0.1) as store:
        backend = ScriptedBackend(answer, "again")
        chat = GenerativeModel(backend=backend).start_chat(session="ada", store=store)
        try:
            with pytest.raises(StoreUnreachable):
                chat.send_message("hi")
        finally:
            postgres.start()
        assert "again" == chat.send_message("go on").text
        assert 1 == len(chat.turns)


def test_a_server_that_is_slow_and_lives_is_waited_for(postgres: Server, schema: str) -> None:
    with PostgresStore(postgres.address, schema=schema, reconnect_seconds=0.3) as store:
        chat = model().start_chat(session="ada", store=store)
        with locked(postgres, store) as unlock:
            threading.Timer(1.5, unlock).start()
            assert "HI" == chat.send_message("hi").text


# -- in an event loop ---------------------------------------------------------------------

WAYS: dict[str, Callable[[ChatSession], Awaitable[Any]]] = {
    "send": lambda chat: chat.send_message_async("b"),
    "stream": lambda chat: chat.send_message_async("b", stream=True),
    "edit": lambda chat: chat.edit_async("b"),
    "retry": lambda chat: chat.retry_async(),
    "resume": lambda chat: chat.resume_async(),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_loop_goes_on_while_a_freshly_opened_session_waits_for_the_database(
    postgres: Server, patient: PostgresStore, way: str
) -> None:
    model().start_chat(session="ada", store=patient).send_message("a")

    async def main() -> None:
        chat = await model().start_chat_async(
            session="ada", store=patient, request_options={"timeout": 20}
        )
        with locked(postgres, patient) as unlock:
            task = asyncio.ensure_future(WAYS[way](chat))
            done, _ = await asyncio.wait([task], timeout=0.05)
            assert not done
            unlock()  # nobody else would: a loop that is blocked is blocked for ever
            if way == "resume":
                with pytest.raises(Exception, match="nothing to resume"):
                    await task
                return
            response = await task
            await response.resolve()
            assert response.text in ("A", "B")

    asyncio.run(main())


def test_the_loop_goes_on_while_a_session_is_opened(
    postgres: Server, patient: PostgresStore
) -> None:
    patient.open("ada")

    async def main() -> ChatSession:
        with locked(postgres, patient) as unlock:
            task = asyncio.ensure_future(model().start_chat_async(session="ada", store=patient))
            done, _ = await asyncio.wait([task], timeout=0.05)
            assert not done
            unlock()
            return await task

    assert [] == asyncio.run(main()).history


def test_a_conversation_in_memory_is_begun_in_a_loop_too() -> None:
    chat = asyncio.run(model().start_chat_async(history=["a"]))
    assert ["a"] == [content.text for content in chat.history]


def test_a_session_that_waits_keeps_no_other_waiting(
    postgres: Server, patient: PostgresStore
) -> None:
    chats = [model().start_chat(session=f"{n}", store=patient) for n in range(2)]
    for chat in chats:
        chat.send_message("a")

    async def main() -> None:
        with psycopg.connect(postgres.address) as other:
            other.execute(f"SELECT 1 FROM {patient.schema}.sessions WHERE name = '0' FOR UPDATE")
            waits = asyncio.ensure_future(chats[0].send_message_async("b"))
            await asyncio.sleep(0.01)
            assert "B" == (await chats[1].send_message_async("b")).text
            assert not waits.done()
            other.rollback()
            assert "B" == (await waits).text

    asyncio.run(main())


# -- what is wrong with the address -------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "text", "advice"),
    [
        ({"dbname": "nosuch"}, 'database "nosuch" does not exist', "create the database"),
        ({"user": "nobody"}, 'role "nobody" does not exist', "name another user"),
    ],
)
def test_what_will_not_pass_is_said_at_once_in_the_servers_words(
    postgres: Server, wrong: dict[str, Any], text: str, advice: str
) -> None:
    address = make_conninfo(postgres.address, password="secret", **wrong)
    store = PostgresStore(address, reconnect_seconds=LONG)
    began = time.monotonic()
    with store, pytest.raises(StoreUnusable, match=text) as caught:
        store.open("ada")
    assert advice in str(caught.value)
    assert "secret" not in str(caught.value)
    assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("postgresql://ada:secret@127.0.0.1:1/x", "Connection refused"),
        ("postgresql://ada:secret@no-such-host.invalid/x", "no-such-host.invalid"),
    ],
)
def test_what_may_pass_is_said_in_the_words_of_libpq(address: str, text: str) -> None:
    store = PostgresStore(address, reconnect_seconds=0)
    with store, pytest.raises(StoreUnreachable, match=text) as caught:
        store.open("ada")
    assert "secret" not in str(caught.value)


def test_all_connections_in_use_are_told_as_such(postgres: Server, schema: str) -> None:
    address = postgres.address
    with PostgresStore(address, schema=schema, max_connections=1, reconnect_seconds=0.1) as store:
        store.open("ada")

        def nested(_: object) -> None:
            with pytest.raises(StoreError, match="max_connections"):
                store.sessions()

        store._transaction(nested)
        assert ["ada"] == [state.name for state in store.sessions()]


def test_a_rollback_that_a_broken_connection_could_not_do_is_not_printed(
    postgres: Server, schema: str
) -> None:
    script = """
import sys
from multiturn.stores.postgres import PostgresStore
def work(connection):
    with connection.transaction():
        connection.pgconn.send_query(b"SELECT pg_sleep(1)")  # struck before its answer
        raise KeyboardInterrupt
with PostgresStore(sys.argv[1], schema=sys.argv[2]) as store:
    try:
        store._connected(work)
    except KeyboardInterrupt:
        print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, postgres.address, schema],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("interrupted\n", "") == (done.stdout, done.stderr)
