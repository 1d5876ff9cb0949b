"""PostgreSQL keeps the contract, whatever becomes of the connection or the server."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from multiturn import GenerativeModel
from multiturn.errors import InvalidContent, SessionBusy
from multiturn.stores.conformance import StoreContract, say, texts
from multiturn.stores.conversing import EMPTY, new_attempt, turn_after
from multiturn.stores.errors import SchemaTooNew, StoreUnreachable
from multiturn.stores.protocol import Store
from multiturn.testing import ScriptedBackend
from stores.cutting_proxy import CuttingProxy
from stores.postgres_server import Server
from stores.test_processes import NIGHTLY, run
from ways import said

pytest.importorskip("psycopg", reason="PostgresStore needs multiturn[postgres]")

from multiturn.stores import postgres as postgres_module
from multiturn.stores.postgres import PostgresStore
from multiturn.stores.postgres_connections import Connections

pytestmark = pytest.mark.timeout(3000 if NIGHTLY else 120)


@pytest.fixture
def schema() -> str:
    return f"t{uuid.uuid4().hex}"


@pytest.fixture
def make_store(postgres: Server, schema: str) -> Callable[[], PostgresStore]:
    return lambda: PostgresStore(postgres.address, schema=schema)


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, make_store: Callable[[], PostgresStore]) -> Iterator[Store]:
        with make_store() as store:
            yield store


def test_a_conversation_rests_in_postgres(make_store: Callable[[], PostgresStore]) -> None:
    with make_store() as store:
        model = GenerativeModel(backend=ScriptedBackend("one", "two", "three"))
        chat = model.start_chat(session="ada", store=store)
        for text in "ab":
            chat.send_message(text)
        chat.rewind()
        chat.redo()
        chat.fork("bob").send_message("c")
    with make_store() as store:
        again = model.start_chat(session="bob", store=store)
        assert ["a", "one", "b", "two", "c", "three"] == said(again)


def test_many_that_begin_at_once_make_the_tables_once(
    make_store: Callable[[], PostgresStore],
) -> None:
    errors: list[BaseException] = []

    def begin(i: int) -> None:
        try:
            with make_store() as store:
                say(store, store.open(f"s{i}"), "a")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors
    with make_store() as store:
        assert 8 == len(store.sessions())


def test_newer_tables_are_left_as_they_are(make_store: Callable[[], PostgresStore]) -> None:
    with make_store() as store:
        store.open("ada")
        store._alone(f"INSERT INTO {store.schema}.version VALUES (99)")
    with make_store() as store, pytest.raises(SchemaTooNew, match="99"):
        store.open("ada")


def test_connections_that_the_server_ends_are_replaced(
    make_store: Callable[[], PostgresStore],
) -> None:
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    with make_store() as store, make_store() as other:
        state = store.open("ada")
        for i in range(200 if NIGHTLY else 20):
            other._rows(kill, ())
            state = say(store, state, str(i))
        assert [str(i) for i in range(state.turns)] == texts(store, "ada")
        assert state.turns >= 20


def test_a_server_that_crashes_and_comes_back_has_each_turn_once(
    postgres: Server, schema: str, make_store: Callable[[], PostgresStore]
) -> None:
    acknowledged: list[str] = []
    done = threading.Event()

    def talk() -> None:
        # A busy machine takes its time to recover what all tests have written.
        with PostgresStore(postgres.address, schema=schema, reconnect_seconds=100) as store:
            state, i = store.open("ada"), 0
            while not done.is_set():
                state = say(store, state, str(i))
                acknowledged.append(str(i))
                i += 1

    thread = threading.Thread(target=talk)
    thread.start()
    for _ in range(50 if NIGHTLY else 1):
        before = len(acknowledged)
        while len(acknowledged) < before + 5:
            done.wait(0.005)
        postgres.stop()
        postgres.start()
    done.set()
    thread.join()
    with make_store() as store:
        assert acknowledged == texts(store, "ada")
        assert [] == store.check()


def test_a_server_that_is_away_is_named_without_the_password() -> None:
    store = PostgresStore("postgresql://ada:secret@127.0.0.1:1/x", reconnect_seconds=0.1)
    with store, pytest.raises(StoreUnreachable) as caught:
        store.open("ada")
    assert "secret" not in str(caught.value) + repr(store)
    assert "127.0.0.1:1" in str(caught.value)


def test_a_schema_is_a_plain_name(postgres: Server) -> None:
    with pytest.raises(InvalidContent, match="lower-case name"):
        PostgresStore(postgres.address, schema='x"; DROP')


def test_eight_processes_in_postgres_follow_each_other(postgres: Server) -> None:
    turns = 200 if NIGHTLY else 10
    assert {"turns": 8 * turns} == run("one_chat_crowd", postgres.address, 8, turns)


def test_writers_killed_lose_nothing_in_postgres(postgres: Server) -> None:
    times = 500 if NIGHTLY else 15
    assert times == run("kill", postgres.address, times, os.getpid())["killed"]


@pytest.fixture
def proxy(postgres: Server) -> Iterator[tuple[CuttingProxy, str]]:
    """A proxy before the server that cuts connections, and its address."""
    folder = Path(tempfile.mkdtemp(prefix="multiturn-px-"))
    proxy = CuttingProxy(folder, postgres.folder / ".s.PGSQL.5432")
    address = postgres.address.replace(str(postgres.folder), str(folder))
    try:
        yield proxy, f"{address}&sslmode=disable&gssencmode=disable"
    finally:
        proxy.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_connection_cut_while_searching_or_erasing_leaves_nothing_half_done(
    proxy: tuple[CuttingProxy, str], schema: str
) -> None:
    cutter, address = proxy
    cuts, expected = 0, []
    with PostgresStore(address, schema=schema, reconnect_seconds=60) as store:
        state = say(store, store.open("ada"), "start")
        for at in range(0, 60, 1 if NIGHTLY else 9):
            for delivers in (False, True):
                secret = say(store, state, "a secret")
                state = say(store, secret, f"{at} {delivers}")
                expected.append(f"{at} {delivers}")
                cutter.arm(at, delivers)
                assert 1 == len(store.search("secret"))
                store.erase(str(secret.head))
                assert 0 == store.prune(older_than_seconds=3600)
                cuts += cutter.has_cut
                cutter.arm(-1, False)
                assert [] == store.search("secret")
        assert ["start", *expected] == texts(store, "ada")
        assert [] == store.check()
    assert cuts >= 8


@contextmanager
def at_line(n: int, work: Callable[[], object]) -> Iterator[None]:
    """Have work done, as by another thread, before the n-th line of those that get connections."""
    lines = 0

    def each(frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        if frame.f_code in (PostgresStore._connected.__code__, PostgresStore._pool.__code__):
            is_free = not frame.f_locals["self"]._making.locked()
            lines += event == "line" and is_free
            if lines == n and event == "line" and is_free:
                sys.settrace(None)
                work()
        return each

    sys.settrace(each)
    try:
        yield
    finally:
        sys.settrace(None)


@pytest.mark.parametrize("n", range(1, 7))
def test_a_store_may_be_closed_while_another_thread_uses_it(
    make_store: Callable[[], PostgresStore], n: int
) -> None:
    with make_store() as store:
        store.open("ada")
        with at_line(n, store.close):
            assert store.state("bob") is None


@pytest.mark.parametrize("n", range(1, 7))
def test_threads_that_begin_at_once_share_their_connections(
    make_store: Callable[[], PostgresStore], n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def counted(*given: Any) -> Connections:
        made.append(Connections(*given))
        return made[-1]

    monkeypatch.setattr(postgres_module, "Connections", counted)
    with make_store() as store:
        with at_line(n, lambda: store.state("bob")):
            store.state("ada")
        assert 1 == len(made)


def test_a_child_after_fork_leaves_the_parents_connections_alone(
    make_store: Callable[[], PostgresStore],
) -> None:
    with make_store() as store:
        state = say(store, store.open("ada"), "a")
        store._making.acquire()  # as another thread does, which is not there in the child
        child = os.fork()
        if child == 0:
            code = 1
            with suppress(BaseException):
                code = int(store._connections is not None or texts(store, "ada") != ["a"])
            os._exit(code)
        store._making.release()
        assert 0 == os.waitpid(child, 0)[1]
        say(store, state, "b")
        assert ["a", "b"] == texts(store, "ada")


def test_a_turn_that_could_not_be_sent_is_not_in_doubt(
    proxy: tuple[CuttingProxy, str], schema: str
) -> None:
    cutter, address = proxy
    with PostgresStore(address, schema=schema, reconnect_seconds=0) as store:
        state = store.begin(store.open("ada"), new_attempt(), EMPTY)
        turn, blobs = turn_after(state, state.attempt, [])
        cutter.close()
        store.close()
        with pytest.raises(StoreUnreachable):
            store.commit(state, [turn], blobs)


def test_what_may_be_done_though_its_answer_was_lost_is_told_as_such(
    proxy: tuple[CuttingProxy, str], schema: str
) -> None:
    cutter, address = proxy
    told, done = [], 0
    with PostgresStore(address, schema=schema) as store:
        for at in range(60):
            store.open(f"ada {at}")
            cutter.arm(at, True)
            try:
                store.rename(f"ada {at}", f"bob {at}")
            except StoreUnreachable as error:
                told.append(str(error))
                cutter.arm(-1, False)
                done += store.state(f"bob {at}") is not None
            cutter.arm(-1, False)
    assert done >= 1
    assert [] == [text for text in told if "whether this was done: no answer came" not in text]


def test_a_lease_whose_answer_was_lost_is_alive(
    proxy: tuple[CuttingProxy, str], make_store: Callable[[], PostgresStore], schema: str
) -> None:
    cutter, address = proxy
    cuts = 0
    with PostgresStore(address, schema=schema) as store, make_store() as other:
        for at in range(6):
            state = store.open(f"ada {at}")
            cutter.arm(at, True)
            store.begin(state, new_attempt(), EMPTY)
            cuts += cutter.has_cut
            cutter.arm(-1, False)
            with pytest.raises(SessionBusy):
                other.begin(other.open(state.name), new_attempt(), EMPTY)
    assert cuts >= 2


def test_a_connection_cut_at_any_message_stores_each_turn_once(
    proxy: tuple[CuttingProxy, str], schema: str
) -> None:
    cutter, address = proxy
    cuts, at, stride = 0, 0, 1 if NIGHTLY else 5
    with PostgresStore(address, schema=schema) as store:
        first = state = say(store, store.open("ada"), "start")
        expected, missed = ["start"], 0
        while missed < 2:
            for delivers in (False, True):
                cutter.arm(at, delivers)
                text = f"{at} {delivers}"
                state = say(store, state, text)
                assert state.head is not None
                back = store.line(state.head, 2)[1].id
                store.move(store.move(state, back, (state.head,)), state.head)
                expected.append(text)
                missed = 0 if cutter.has_cut else missed + 1
                cuts += cutter.has_cut
            at += stride
        cutter.arm(-1, False)
        assert expected == texts(store, "ada")
        assert len(expected) == len(store.tree("ada"))
        assert [] == store.check()
        assert first.head != state.head
    assert cuts >= 40
