"""A file that may only be read: it is read, never wrongly, and nothing is made beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel
from multiturn.cli.main import main
from multiturn.stores import migrations
from multiturn.stores.errors import StoreBusy, StoreReadOnly
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend
from stores.test_killed import killed
from ways import Way, said

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are others there")
MODES = [("chats.db", 0o400), (".", 0o500)]
not_writable = pytest.mark.parametrize(("name", "mode"), MODES)


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of the user who runs the test, who is not the superuser: that one may do all."""
    folder = Path(tempfile.mkdtemp(prefix="multiturn-"))
    is_superuser = os.geteuid() == 0
    if is_superuser:
        nobody = 65534
        os.chown(folder, nobody, nobody)
        os.setresuid(nobody, nobody, 0)
    try:
        yield folder
    finally:
        if is_superuser:
            os.setresuid(0, 0, 0)
        folder.chmod(0o700)
        shutil.rmtree(folder)


def kept(folder: Path, *texts: str) -> Path:
    """Return a file with a conversation in which these were said."""
    with SQLiteStore(folder / "chats.db") as store:
        chat, _ = opened(store, *texts)
        for text in texts:
            chat.send_message(text)
    (folder / "chats.db-lock").unlink()
    return folder / "chats.db"


def opened(store: SQLiteStore, *answers: str) -> tuple[ChatSession, ScriptedBackend]:
    backend = ScriptedBackend(*answers)
    chat = GenerativeModel(backend=backend).start_chat(session="ada", store=store)
    return chat, backend


def there(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@not_writable
async def test_what_may_only_be_read_is_read_and_left_as_it_is(
    way: Way, own_folder: Path, name: str, mode: int
) -> None:
    path = kept(own_folder, "One", "Two")
    with SQLiteStore(path) as store:
        assert 2 == len(store.search("one"))
    (own_folder / "chats.db-lock").unlink()
    (own_folder / name).chmod(mode)
    before = there(own_folder)

    with SQLiteStore(path) as store:
        chat, backend = opened(store, "Never.")
        assert ["One", "One", "Two", "Two"] == said(chat)
        assert ["ada"] == [state.name for state in store.sessions()]
        assert "One" == store.search("one")[0].excerpt
        assert ([], None) == (store.check(), chat.pending)
        assert 4 == len(chat.fork().history)
        with pytest.raises(StoreReadOnly, match=r"may not be written to.*nothing can be added"):
            await way.send(chat, "Three")
        assert [] == backend.requests
        for write in (chat.rewind, chat.history.clear, lambda: store.delete("ada"), store.vacuum):
            with pytest.raises(StoreReadOnly):
                write()
        with pytest.raises(StoreReadOnly):
            GenerativeModel().start_chat(session="new", store=store)
        assert ["One", "One", "Two", "Two"] == said(chat)
    assert before == there(own_folder)


def test_what_is_not_indexed_is_not_searched_where_nothing_may_be_written(
    own_folder: Path,
) -> None:
    path = kept(own_folder, "One")
    own_folder.chmod(0o500)
    with SQLiteStore(path) as store, pytest.raises(StoreReadOnly, match="indexed already"):
        store.search("one")


def test_a_file_of_an_older_version_is_refused_with_what_to_do(own_folder: Path) -> None:
    path = kept(own_folder, "One")
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {migrations.NEWEST - 1}")
    database.close()
    own_folder.chmod(0o500)
    with pytest.raises(StoreReadOnly, match=r"an older multiturn .* open it once"):
        SQLiteStore(path).sessions()


def test_what_may_be_written_to_by_now_is(own_folder: Path) -> None:
    path = kept(own_folder, "One")
    own_folder.chmod(0o500)
    with SQLiteStore(path) as store:
        chat, _ = opened(store, "Two")
        assert ["One", "One"] == said(chat)
        own_folder.chmod(0o700)
        chat.send_message("Two")
        assert ["One", "One", "Two", "Two"] == said(chat)


@not_writable
def test_a_file_without_its_last_turns_is_refused(own_folder: Path, name: str, mode: int) -> None:
    (own_folder / "writer").mkdir()
    written, path = kept(own_folder / "writer", "One"), own_folder / "chats.db"
    with SQLiteStore(written) as store:
        store.open("last")
        for end in ("", "-wal"):  # as after kill -9
            shutil.copy(f"{written}{end}", f"{path}{end}")
    shutil.rmtree(written.parent)
    (own_folder / name).chmod(mode)
    before = there(own_folder)
    with pytest.raises(StoreReadOnly, match=r"stored last is in chats\.db-wal beside it"):
        SQLiteStore(path).sessions()
    assert before == there(own_folder)


@pytest.mark.parametrize("has_writer", [True, False])
def test_a_link_is_read_with_the_log_of_its_file(own_folder: Path, has_writer: bool) -> None:
    (own_folder / "files").mkdir()
    written, link = kept(own_folder / "files", "One"), own_folder / "linked.db"
    link.symlink_to(written)
    with SQLiteStore(written) as writer:
        writer.open("last")
        if not has_writer:  # as after kill -9
            Path(f"{written}-shm").unlink()
        written.chmod(0o400)
        written.parent.chmod(0o500)
        try:
            if has_writer:
                assert ["ada", "last"] == [state.name for state in SQLiteStore(link).sessions()]
            else:
                with pytest.raises(StoreReadOnly, match=r"linked\.db may not .* chats\.db-wal"):
                    SQLiteStore(link).sessions()
        finally:
            written.parent.chmod(0o700)
            written.chmod(0o600)


def test_what_its_writer_stores_meanwhile_is_seen(own_folder: Path) -> None:
    path = kept(own_folder, "One")
    with SQLiteStore(path) as writer:
        writer.open("first")
        with as_reader(path) as reader:
            assert ["ada", "first"] == [state.name for state in reader.sessions()]
            writer.open("second")
            assert ["ada", "first", "second"] == [state.name for state in reader.sessions()]


def test_a_file_that_was_still_is_read_anew_when_it_was_written_to(own_folder: Path) -> None:
    path = kept(own_folder, "One")
    with as_reader(path) as reader:
        assert ["ada"] == [state.name for state in reader.sessions()]
        with SQLiteStore(path) as writer:
            writer.open("first")
            assert ["ada", "first"] == [state.name for state in reader.sessions()]
        assert ["ada", "first"] == [state.name for state in reader.sessions()]


def test_what_was_read_while_somebody_wrote_is_not_believed(own_folder: Path) -> None:
    path = kept(own_folder, "One")
    with as_reader(path) as reader:
        assert reader._still is None
        seen: list[int] = []

        def interrupted(execute: Callable[..., Any]) -> int:
            (count,) = execute("SELECT count(*) FROM sessions").fetchone()
            if len(seen) < 2:
                with SQLiteStore(path) as writer:
                    writer.open(f"new {len(seen)}")
            seen.append(count)
            return int(count)

        assert 3 == reader._reading(interrupted)
        assert [1, 2, 3] == seen

        def for_ever(execute: Callable[..., Any]) -> None:
            os.utime(path)

        with pytest.raises(StoreBusy, match="again and again"):
            reader._reading(for_ever)


def as_reader(path: Path) -> SQLiteStore:
    """Return a store that may not write, in the process of one that may."""
    return _Reader(path)


class _Reader(SQLiteStore):
    def _may_write(self) -> bool:
        return False


@pytest.fixture
def died(tmp_path: Path) -> bytes:
    """A file in which a turn was under way when its process was killed."""
    path = tmp_path / "chats.db"
    killed(path)
    with SQLiteStore(path) as store:
        store.sessions()
    return path.read_bytes()  # the log is in it


def test_a_turn_that_died_is_shown_where_it_cannot_be_kept(died: bytes, own_folder: Path) -> None:
    path = own_folder / "chats.db"
    path.write_bytes(died)
    own_folder.chmod(0o500)
    with SQLiteStore(path) as store:
        model = GenerativeModel(backend=ScriptedBackend())
        chat = model.start_chat(session="ada", store=store, unfinished="keep")
        assert [] == said(chat)
        assert "half" == chat.journal[-1].partial_text
        assert chat.pending is not None
        with pytest.raises(StoreReadOnly):
            chat.pending.keep()


LOOKS = ("list", "show ada", "tree ada", "export ada", "check")


@pytest.fixture
def loaded(tmp_path: Path) -> None:
    """What the commands need is imported, which who may do little may not."""
    path = kept(tmp_path, "One")
    for command in LOOKS:
        main(["sessions", "--store", str(path), *command.split()])


@pytest.mark.usefixtures("loaded", "own_folder")
def test_the_terminal_shows_what_may_only_be_read(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = kept(own_folder, "One")
    own_folder.chmod(0o500)
    before = there(own_folder)
    capsys.readouterr()
    for command in LOOKS:
        assert 0 == main(["sessions", "--store", str(path), *command.split()]), command
        out = capsys.readouterr().out
        assert ("all is sound" if command == "check" else "One") in out
    for command in ("rm ada --yes", "rename ada bob", "prune --older-than 0d --yes"):
        assert 0 != main(["sessions", "--store", str(path), *command.split()]), command
        assert "may not be written to" in capsys.readouterr().err
    assert before == there(own_folder)
