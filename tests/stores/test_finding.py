"""Searching where a database lacks FTS5, numbers turns in another order, or is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from multiturn.stores.conformance import EMPTY, new_attempt, say, turn_after
from multiturn.stores.errors import SearchUnavailable, StoreCorrupt
from multiturn.stores.reading import Execute
from multiturn.stores.sqlite import SQLiteStore
from stores.opening import opened
from stores.postgres_server import Server


def test_without_fts5_all_but_searching_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        plain = SQLiteStore.index.prepare

        def prepare(execute: object) -> None:
            def without(statement: str, *values: object) -> object:
                raise sqlite3.OperationalError("no such module: fts5")

            plain(without)

        monkeypatch.setattr(store.index, "prepare", prepare)
        turn = say(store, store.open("ada"), "a").head
        with pytest.raises(SearchUnavailable, match="without FTS5"):
            store.search("a")
        store.erase(str(turn))
        store.vacuum()
        store.delete("ada")


def test_a_turn_numbered_before_and_stored_after_others_is_found(postgres: Server) -> None:
    from multiturn.stores.postgres import PostgresStore

    with (
        PostgresStore(postgres.address, schema="late") as store,
        PostgresStore(postgres.address, schema="late") as other,
    ):
        state, attempt = store.open("slow"), new_attempt()
        state = store.begin(state, attempt, EMPTY)
        contents = [{"role": "user", "parts": [{"text": "needle, slowly"}]}]
        turn, blobs = turn_after(state, attempt, contents)

        def say_slowly(execute: Execute) -> None:
            store._insert(execute, state, turn, 0, blobs)  # numbered, and not yet there
            say(other, other.open("quick"), "needle")
            assert ["quick"] == [found.session for found in other.search("needle")]
            assert ["quick"] == [found.session for found in other.search("needle")]
            execute("UPDATE sessions SET head = (SELECT max(number) FROM turns) WHERE key = ?",
                    (state.key,))  # fmt: skip

        store._transaction(say_slowly)
        assert {"quick", "slow"} == {found.session for found in other.search("needle")}
        assert {"quick", "slow"} == {found.session for found in other.search("needle")}
        assert [(2, 2)] == store._rows("SELECT settled, seen FROM indexing", ())


def test_a_damaged_record_is_no_obstacle_to_finding_others(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        state = say(store, store.open("ada"), "needle")
        say(store, state, "needle")
        store._alone("UPDATE turns SET body = CAST('no record' AS BLOB) WHERE depth = 0")
        assert 1 == len(store.search("needle"))
        with pytest.raises(StoreCorrupt):
            _ = opened(store).history
