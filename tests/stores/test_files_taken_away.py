"""The file of a store is removed or replaced while it is open: no turn vanishes with it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from multiturn import MemoryStore, SQLiteStore, StoreError, UsageError
from stores.opening import opened
from ways import Way, said


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


def take_away(path: Path) -> Path:
    """Move the file elsewhere, as somebody does who tidies up."""
    aside = path.with_name("aside.db")
    path.rename(aside)
    for beside in ("-wal", "-shm"):
        path.with_name(path.name + beside).rename(aside.with_name(aside.name + beside))
    return aside


async def test_a_turn_for_a_file_that_was_removed_is_an_error(way: Way, path: Path) -> None:
    with SQLiteStore(path) as store:
        chat = opened(store)
        await way.send(chat, "one")
        take_away(path)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"chats\.db was removed, or another file"):
                await way.send(chat, "two")
        assert not path.exists()


async def test_a_turn_whose_file_is_removed_while_it_is_asked_is_an_error(
    way: Way, path: Path
) -> None:
    with SQLiteStore(path) as store:
        chat = opened(store)
        await way.send(chat, "one")

        def removes(_: object) -> str:
            take_away(path)
            return "never stored"

        chat.model.backend._lines.appendleft(removes)  # type: ignore[attr-defined]
        with pytest.raises(StoreError, match="was removed"):
            await way.send(chat, "two")
    with SQLiteStore(path.with_name("aside.db")) as store:
        assert ["one", "to one"] == said(opened(store))


def test_a_file_in_its_place_is_not_written_to_and_one_put_back_is(path: Path) -> None:
    with SQLiteStore(path) as store:
        chat = opened(store)
        chat.send_message("one")
        aside = take_away(path)
        with SQLiteStore(path) as other:
            opened(other, "bob").send_message("theirs")
            with pytest.raises(StoreError, match="another file put in its place"):
                chat.send_message("two")
            assert ["bob"] == [state.name for state in other.sessions()]
        path.unlink()
        for beside in ("-wal", "-shm", ""):
            there = aside.with_name(aside.name + beside)
            if there.exists():
                there.rename(path.with_name(path.name + beside))
        chat.send_message("three")
        assert ["one", "to one", "three", "to three"] == said(chat)
        assert [] == store.check()


def test_after_close_a_store_goes_on_with_the_file_that_is_there(path: Path) -> None:
    with SQLiteStore(path) as store:
        opened(store).send_message("one")
        path.unlink()
        with pytest.raises(StoreError, match=r"close\(\) the store"):
            store.sessions()
        store.close()
        assert [] == store.sessions()


# -- pickles -------------------------------------------------------------------------------


def test_a_store_in_a_file_is_pickled_as_what_it_was_made_with(path: Path) -> None:
    with SQLiteStore(path, synchronous="NORMAL", busy_timeout_seconds=3, lease_seconds=5) as store:
        opened(store).send_message("one")
        with pickle.loads(pickle.dumps(store)) as again:
            assert (path, "NORMAL") == (again.path, again.synchronous)
            assert (3, 5) == (again.busy_timeout_seconds, again.lease_seconds)
            assert ["one", "to one"] == said(opened(again))


def test_a_store_in_memory_is_not_pickled() -> None:
    with pytest.raises(UsageError, match="a MemoryStore ends with its process"):
        pickle.dumps(MemoryStore())


def test_a_store_on_a_server_is_pickled_unless_its_password_would_be() -> None:
    from multiturn import PostgresStore

    store = PostgresStore("postgresql://ada@host/chats", schema="mine", reconnect_seconds=1)
    again = pickle.loads(pickle.dumps(store))
    assert (store.address, "mine", 1) == (again.address, again.schema, again.reconnect_seconds)
    with pytest.raises(UsageError, match="holds a password") as caught:
        pickle.dumps(PostgresStore("postgresql://ada:hunter2@host/chats"))
    assert "hunter2" not in str(caught.value)
