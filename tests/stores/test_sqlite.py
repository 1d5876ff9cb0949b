"""What a file may be, and what becomes of it."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from multiturn.errors import InvalidContent
from multiturn.stores import migrations
from multiturn.stores.conformance import say, texts
from multiturn.stores.errors import (
    ForeignFile,
    SchemaTooNew,
    StoreBusy,
    StoreCorrupt,
)
from multiturn.stores.limit import wait_seconds
from multiturn.stores.sqlite import APPLICATION_ID, SQLiteStore
from multiturn.stores.write_lock import WriteLock
from stores.opening import opened
from ways import Way

# Nobody in these tests waits so long, unless a limit does not hold.
LONG = 60.0


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        say(store, store.open("ada"), "a")
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    names = {"chats.db", "chats.db-wal", "chats.db-shm", "chats.db-lock"}
    assert dict.fromkeys(names, 0o600) == modes


def test_a_file_has_the_settings_that_it_promises(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        say(store, store.open("ada"), "a")
        database = store._database
        assert database is not None
        found = {
            name: database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in (
                "journal_mode", "synchronous", "trusted_schema", "foreign_keys",
                "application_id", "user_version",
            )
        }  # fmt: skip
    assert {
        "journal_mode": "wal",
        "synchronous": 2,
        "trusted_schema": 0,
        "foreign_keys": 1,
        "application_id": APPLICATION_ID,
        "user_version": migrations.NEWEST,
    } == found


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(ForeignFile, match="another program"):
        SQLiteStore(path).open("ada")
    assert before == path.read_bytes()
    assert ["other.db"] == [found.name for found in tmp_path.iterdir()]


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada, " * 500)
    with pytest.raises(ForeignFile, match="no SQLite database"):
        SQLiteStore(path).sessions()
    assert "Dear Ada, " * 500 == path.read_text()
    with pytest.raises(ForeignFile, match=r"is a folder; name a file in it, as .*chats.db"):
        SQLiteStore(tmp_path).sessions()
    with pytest.raises(ForeignFile, match="does not exist"):
        SQLiteStore(tmp_path / "no" / "chats.db").sessions()


def test_a_newer_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path) as store:
        store.open("ada")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew) as caught:
        SQLiteStore(path).open("ada")
    assert (99, migrations.NEWEST) == (caught.value.found, caught.value.known)
    assert before == path.read_bytes()


def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path) as store:
        state = store.open("ada")
        for i in range(50):
            state = say(store, state, f"{i} " * 300)
    whole = bytearray(path.read_bytes())
    whole[4096 : len(whole) - 4096] = b"\xa5" * (len(whole) - 8192)
    path.write_bytes(whole)
    with pytest.raises(StoreCorrupt, match="recover"):
        SQLiteStore(path).sessions()
    assert bytes(whole) == path.read_bytes()


def test_a_changed_turn_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path) as store:
        for text in "abc":
            state = say(store, store.open("ada"), text)
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE turns SET body = CAST(replace(CAST(body AS TEXT), '\"b\"', '\"x\"') AS BLOB)"
        )
    database.close()
    with SQLiteStore(path) as store:
        (finding,) = store.check()
        assert "is not what was stored" in finding
        assert state.head is not None
        from multiturn import GenerativeModel

        chat = GenerativeModel().start_chat(session="ada", store=store)
        with pytest.raises(StoreCorrupt, match=finding.split()[1]):
            _ = chat.history


def test_a_writer_waits_for_another_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path, busy_timeout_seconds=0.05) as store:
        store.open("ada")
        other = WriteLock(tmp_path / "chats.db", 1)
        other.take()
        with pytest.raises(StoreBusy, match=r"chats\.db for 0\.\d seconds"):
            store.open("bob")
        other.release()
        store.open("bob")


def test_a_link_and_its_file_share_a_lock(tmp_path: Path) -> None:
    path, link = tmp_path / "chats.db", tmp_path / "linked.db"
    link.symlink_to(path)
    with SQLiteStore(link, busy_timeout_seconds=0.05) as store:
        store.open("ada")
        other = WriteLock(path, 1)
        other.take()
        with pytest.raises(StoreBusy, match=r"linked\.db"):
            store.open("bob")
        other.release()
        assert str(link) == store.address
        names = {"chats.db", "chats.db-wal", "chats.db-shm", "chats.db-lock", "linked.db"}
        assert names == {found.name for found in tmp_path.iterdir()}


def _locked_by_us(path: Path) -> Callable[[], object]:
    other = WriteLock(path, 1)
    other.take()
    return other.close


def _locked_by_another_program(path: Path) -> Callable[[], object]:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("BEGIN IMMEDIATE")
    return database.close


@pytest.mark.parametrize("locked", [_locked_by_us, _locked_by_another_program])
async def test_a_messages_limit_holds_while_others_write(
    way: Way, tmp_path: Path, locked: Callable[[Path], Callable[[], object]]
) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path, busy_timeout_seconds=LONG) as store:
        chat = opened(store)
        await way.send(chat, "one")
        unlock, began = locked(path), time.monotonic()
        with pytest.raises(StoreBusy):
            await way.send(chat, "two", request_options={"timeout": 0.1})
        assert time.monotonic() - began < LONG / 2
        unlock()
        assert "to three" == (await way.send(chat, "three")).text


async def test_an_answer_that_was_paid_for_is_stored_whatever_the_limit(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float | None] = []
    take = WriteLock.take

    def looked_at(lock: WriteLock) -> None:
        limits.append(wait_seconds(LONG))
        take(lock)

    def answer(_: object) -> str:
        monkeypatch.setattr(WriteLock, "take", looked_at)
        return "paid for"

    with SQLiteStore(tmp_path / "chats.db") as store:
        chat = opened(store)
        chat.model.backend._lines.appendleft(answer)  # type: ignore[attr-defined]
        await way.send(chat, "one", request_options={"timeout": LONG / 2})
        monkeypatch.undo()
    assert [LONG] == limits


def test_many_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def begin(i: int) -> None:
        try:
            with SQLiteStore(tmp_path / "chats.db") as store:
                say(store, store.open(f"s{i}"), "a")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors
    with SQLiteStore(tmp_path / "chats.db") as store:
        assert 12 == len(store.sessions())


class _Slow(SQLiteStore):
    """A store that another one overtakes between two reads of its first look at the file."""

    def _prepare(self, database: sqlite3.Connection) -> None:
        with SQLiteStore(self.path) as other:
            begun = threading.Thread(target=other.open, args=("ada",))

            class Overtaken:
                def execute(self, sql: str) -> Any:
                    result = database.execute(sql)
                    if sql == "PRAGMA user_version" and begun.ident is None:
                        begun.start()
                        begun.join(0.2)  # until it is done, or waits for us to be
                    return result

                def __getattr__(self, name: str) -> Any:
                    return getattr(database, name)

            super()._prepare(cast("sqlite3.Connection", Overtaken()))
            begun.join()


def test_a_file_that_another_makes_while_we_look_at_it_is_ours(tmp_path: Path) -> None:
    with _Slow(tmp_path / "chats.db") as store:
        assert ["ada"] == [session.name for session in store.sessions()]


def test_a_child_after_fork_uses_the_store_and_leaves_the_parents_alone(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        state = say(store, store.open("ada"), "a")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                say(store, store.open("child"), "b")
                store.close()
                code = 0
            finally:
                os._exit(code)
        say(store, state, "c")
        assert 0 == os.waitpid(pid, 0)[1]
        say(store, store.open("ada"), "d")
        assert ["a", "c", "d"] == texts(store, "ada")
        assert ["b"] == texts(store, "child")
        assert [] == store.check()


def test_options_that_mean_nothing_are_refused() -> None:
    for path in ("", ":memory:"):
        with pytest.raises(InvalidContent, match="MemoryStore"):
            SQLiteStore(path)
    with pytest.raises(InvalidContent, match="'FULL' or 'NORMAL'"):
        SQLiteStore("x", synchronous="OFF")  # type: ignore[arg-type]
