"""What is kept of sessions that were open lately, and when it is forgotten."""

from __future__ import annotations

import gc
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel
from multiturn.stores.protocol import StoredTurn
from multiturn.stores.recent import RecentTurns
from multiturn.stores.sql import SqlStore
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend
from ways import until


class Watched(SQLiteStore):
    """Knows how many turns were read."""

    read = 0

    def line(self, head: str, limit: int | None = None) -> list[StoredTurn]:
        rows = super().line(head, limit)
        self.read += len(rows)
        return rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path / "chats.db") as store:
        yield store


def opened(store: SqlStore, name: str = "ada") -> ChatSession:
    model = GenerativeModel(backend=ScriptedBackend("Yes.", repeat=True))
    return model.start_chat(session=name, store=store)


def texts(chat: ChatSession) -> list[str]:
    return [content.text for content in chat.history if content.role == "user"]


def test_a_session_that_is_opened_again_is_not_read_again(store: Watched) -> None:
    chat = opened(store)
    for text in "abc":
        chat.send_message(text)
    del chat
    assert ["a", "b", "c"] == texts(opened(store))
    assert 0 == store.read


def test_of_what_another_process_said_only_the_new_is_made(store: Watched) -> None:
    opened(store).send_message("a")
    first = opened(store).turns[0]
    with SQLiteStore(store.path) as other:
        opened(other).send_message("b")
    again = opened(store)
    assert ["a", "b"] == texts(again)
    assert again.turns[0] is first


def test_what_was_erased_is_not_remembered(store: Watched) -> None:
    chat = opened(store)
    for text in "ab":
        chat.send_message(text)
    with SQLiteStore(store.path) as other:
        other.erase(chat.turns[0].id)
    assert ["b"] == texts(opened(store))


def test_a_new_session_of_an_old_name_begins_empty(store: Watched) -> None:
    opened(store).send_message("a")
    store.delete("ada")
    assert [] == texts(opened(store))


def test_the_sessions_opened_longest_ago_are_forgotten_first(store: Watched) -> None:
    recent = RecentTurns(limit_turns=3)
    ada, bob, cyd = (store.open(name) for name in ("ada", "bob", "cyd"))
    for state, count in ((ada, 2), (bob, 1), (cyd, 3)):
        turns = recent.of(state)
        turns.update({f"{state.name}{i}": None for i in range(count)})
        assert turns is recent.of(state)
    assert {} == recent.of(ada)
    assert 3 == len(recent.of(cyd))


def test_of_sessions_without_a_turn_only_so_many_are_remembered(store: Watched) -> None:
    recent = RecentTurns(limit_sessions=2)
    ada, bob, cyd = (store.open(name) for name in ("ada", "bob", "cyd"))
    kept = [recent.of(state) for state in (ada, bob, cyd)]
    assert recent.of(cyd) is kept[2]
    assert recent.of(bob) is kept[1]
    assert recent.of(ada) is not kept[0]


def test_one_session_larger_than_the_limit_is_not_kept(store: Watched) -> None:
    recent: Any = RecentTurns(limit_turns=1)
    ada = store.open("ada")
    recent.of(ada).update({"a": None, "b": None})
    recent.of(ada)
    assert {} == recent.of(ada)


def test_a_child_may_look_though_a_thread_was_looking(store: Watched) -> None:
    """A lock that another thread holds at the fork is held for ever in the child."""
    state = store.open("ada")
    with store.recent._lock:
        child = os.fork()
        if child == 0:
            looking = threading.Thread(target=store.recent.of, args=(state,), daemon=True)
            looking.start()
            looking.join(60)
            os._exit(looking.is_alive())
    _, status = os.waitpid(child, 0)
    assert 0 == status


@pytest.fixture(params=["sqlite", "postgres"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], SqlStore]:
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "chats.db")
    server = request.getfixturevalue("postgres")
    from multiturn.stores.postgres import PostgresStore

    return lambda: PostgresStore(server.address, schema=f"t{uuid.uuid4().hex}")


def test_a_closed_store_that_nobody_holds_goes_at_once(make_store: Callable[[], SqlStore]) -> None:
    store = make_store()
    opened(store).send_message("a")
    gone = weakref.ref(store)
    gc.collect()
    gc.disable()  # it would find a cycle too, now or much later
    try:
        store.close()
        del store
        until(lambda: gone() is None)
    finally:
        gc.enable()


def test_a_store_that_nobody_holds_or_closed_goes_with_what_it_remembers(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    opened(store).send_message("a")
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None


def test_a_store_that_nobody_holds_or_closed_leaves_no_file_open(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    opened(store).send_message("a")
    assert [] != open_files_in(tmp_path)
    del store
    gc.collect()  # Python 3.13 warns of a connection that is collected open: an error here
    assert [] == open_files_in(tmp_path)


def open_files_in(folder: Path) -> list[Path]:
    folder_of_files = Path("/proc/self/fd")
    if not folder_of_files.is_dir():
        pytest.skip("only Linux tells which files a process has open")
    links = [link for link in folder_of_files.iterdir() if link.is_symlink()]
    return [file for link in links if (file := link.resolve()).is_relative_to(folder)]
