"""Calls on PostgreSQL that another transaction was faster than: done again, or refused by name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from multiturn.stores.conformance import new_attempt, say
from multiturn.stores.errors import Conflict, SessionExists, StoreBusy
from multiturn.stores.holder import under_way
from multiturn.stores.protocol import SessionState, StoredTurn, WholeSession
from multiturn.stores.record import recorded, turn_id
from stores.postgres_server import Server

pytest.importorskip("psycopg", reason="PostgresStore needs multiturn[postgres]")

import psycopg

from multiturn.stores.postgres import PostgresStore

T = TypeVar("T")


@pytest.fixture(params=["read committed", "serializable"])
def address(request: pytest.FixtureRequest, postgres: Server) -> str:
    """The server, where transactions are as far apart as its owner has chosen."""
    level = request.param.replace(" ", r"\ ")
    return f"{postgres.address}&options={quote(f'-cdefault_transaction_isolation={level}')}"


@pytest.fixture
def store(address: str) -> Iterator[PostgresStore]:
    with PostgresStore(address, schema=f"t{uuid.uuid4().hex}") as store:
        for name in ("ada", "bob"):
            say(store, store.open(name), "a")
        yield store


class Faster:
    """Another transaction, which ends when a call on the store has come to wait for it."""

    def __init__(self, address: str, store: PostgresStore) -> None:
        self._address, self._store = address, store

    def before(self, statement: str, *values: Any, call: Callable[[], T]) -> T:
        with (
            psycopg.connect(self._address) as other,
            psycopg.connect(self._address, autocommit=True) as watch,
            ThreadPoolExecutor(1) as pool,
        ):
            done: Any = other.execute(statement.replace("$", self._store.schema), values)
            assert 1 == done.rowcount
            future = pool.submit(call)
            waiting = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
            while not watch.execute(waiting, [other.info.backend_pid]).fetchone():
                assert not future.done(), future.exception()
                time.sleep(0.002)
            other.commit()
            return future.result()


@pytest.fixture
def faster(address: str, store: PostgresStore) -> Faster:
    return Faster(address, store)


def names(store: PostgresStore) -> list[str]:
    return [state.name for state in store.sessions()]


RENAME_BOB = "UPDATE $.sessions SET name = 'cyd' WHERE name = 'bob'"
CREATE_CYD = (
    "INSERT INTO $.sessions (name, version, redo, changed_at) VALUES ('cyd', 0, '', 0) "
    "ON CONFLICT (name) DO NOTHING"
)


def test_of_two_that_rename_to_one_name_the_second_is_told(
    store: PostgresStore, faster: Faster
) -> None:
    with pytest.raises(SessionExists, match="'cyd'"):
        faster.before(RENAME_BOB, call=lambda: store.rename("ada", "cyd"))
    assert ["ada", "cyd"] == names(store)


def test_of_two_that_create_one_name_the_second_is_told(
    store: PostgresStore, faster: Faster
) -> None:
    with pytest.raises(SessionExists, match="'cyd'"):
        faster.before(CREATE_CYD, call=lambda: store.create("cyd", None))
    restored, create_dee = whole("restored"), CREATE_CYD.replace("cyd", "dee")
    with pytest.raises(SessionExists, match="'dee'"):
        faster.before(create_dee, call=lambda: store.restore("dee", restored))
    assert ["ada", "bob", "cyd", "dee"] == names(store)


def test_a_session_that_another_changes_meanwhile_is_deleted(
    store: PostgresStore, faster: Faster
) -> None:
    changed = "UPDATE $.sessions SET version = version + 1 WHERE name = 'ada'"
    faster.before(changed, call=lambda: store.delete("ada"))
    assert ["bob"] == names(store)


def test_a_session_is_deleted_once_though_what_it_left_waits_for_another(
    store: PostgresStore, faster: Faster
) -> None:
    faster.before("UPDATE $.indexing SET mark = mark", call=lambda: store.delete("ada"))
    assert ["bob"] == names(store)
    assert [] == store.check()
    assert [(1,)] == store._rows("SELECT count(*) FROM turns", ())


def test_a_turn_that_another_restores_meanwhile_is_a_conflict(
    store: PostgresStore, faster: Faster
) -> None:
    restored = whole("restored")
    key, body = bytes.fromhex(restored.turns[0].id), restored.turns[0].body
    inserted = "INSERT INTO $.turns (id, depth, place, body) VALUES (%s, 0, 1, %s)"
    with pytest.raises(Conflict, match="turns of this identity"):
        faster.before(inserted, key, body, call=lambda: store.restore("cyd", restored))
    assert ["ada", "bob"] == names(store)


def test_who_loses_for_too_long_is_told_to_call_again(store: PostgresStore, faster: Faster) -> None:
    store.reconnect_seconds = 0
    with pytest.raises(StoreBusy, match="call again"):
        faster.before(RENAME_BOB, call=lambda: store.rename("ada", "cyd"))
    assert ["ada", "cyd"] == names(store)


def whole(text: str) -> WholeSession:
    record = recorded({"contents": [{"role": "user", "parts": [{"text": text}]}]})
    turn = StoredTurn(turn_id(None, record.body), None, 1, 1, record.body, ())
    return WholeSession([turn], turn.id, (), [], {}, {}, 2)


def dead(store: PostgresStore, name: str) -> SessionState:
    """Return a session in which a turn broke off without a note of its end."""
    contents = {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}
    state = store.begin(store.open(name), new_attempt(), recorded(contents))
    under_way.pop(state.attempt)
    return state


def test_what_is_taken_over_is_noted_once_though_something_is_erased_meanwhile(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, erased = dead(store, "ada"), store.open("bob").head
    assert erased is not None
    take_over, transaction = store._take_over, store._transaction
    noted: list[list[str]] = []

    def erasing(*given: Any) -> None:
        take_over(*given)
        monkeypatch.setattr(store, "_take_over", take_over)
        store.erase(erased)

    def watched(*given: Any, **named: Any) -> Any:
        outcome = transaction(*given, **named)
        noted.append([row[0] for row in store._rows(ATTEMPTS, ())])
        return outcome

    monkeypatch.setattr(store, "_take_over", erasing)
    monkeypatch.setattr(store, "_transaction", watched)
    begun = store.begin(state, new_attempt(), recorded({"contents": []}))
    assert all(len(set(ids)) == len(ids) for ids in noted), noted
    assert sorted([state.attempt, begun.attempt]) == sorted(noted[-1])
    assert begun.attempt == store.open("ada").attempt


ATTEMPTS = (
    "SELECT encode(id, 'hex') FROM attempts "
    "UNION ALL SELECT attempt FROM sessions WHERE attempt <> ''"
)
