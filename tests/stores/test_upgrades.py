"""A store that any version wrote opens in this one, with all that was said.

``files/`` holds one store for each version of the tables, written by the release that
brought it; ``python tests/stores/test_upgrades.py`` writes the newest.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from multiturn.stores import migrations, sqlite
from multiturn.stores.conformance import EMPTY, HARD_TEXTS, new_attempt, say, texts
from multiturn.stores.errors import SchemaTooNew
from multiturn.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from stores.postgres_server import Server

PROCESSES = 12 if os.environ.get("MULTITURN_TEST_EFFORT") == "nightly" else 6
FILES = Path(__file__).parent / "files"


def write(path: Path) -> None:
    """Write a store with a session, a fork, a turn that came to nothing, one that is erased."""
    with SQLiteStore(path) as store:
        state = store.open("ada")
        for text in HARD_TEXTS[:-1]:
            state = say(store, state, text)
        say(store, store.create("bob", state.head), "only here")
        store.settle(store.begin(state, new_attempt(), EMPTY), "failed", EMPTY)
        erased = say(store, store.open("eve"), "secret")
        say(store, erased, "after it")
        store.search("after")
        store.erase(str(erased.head))
    for leftover in path.parent.glob(f"{path.name}-*"):
        leftover.unlink()


@pytest.mark.parametrize("version", range(1, migrations.NEWEST + 1))
def test_a_store_of_every_version_opens_whole(version: int, tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    shutil.copy(FILES / f"version_{version}.db", path)
    with SQLiteStore(path) as store:
        assert [*HARD_TEXTS[:-1]] == texts(store, "ada")
        assert [*HARD_TEXTS[:-1], "only here"] == texts(store, "bob")
        assert ["failed"] == [attempt.outcome for attempt in store.attempts("ada")]
        assert [] == store.check()
        assert version < 2 or ["after it"] == texts(store, "eve")
        say(store, store.open("ada"), "said today")
        assert ["ada"] == [found.session for found in store.search("said today")]
        assert ["bob"] == [found.session for found in store.search("only here")]
        assert [] == store.search("secret")
        assert "said today" == texts(store, "ada")[-1]


def upgrade(address: str, who: int) -> None:
    """What each of many processes does that begin at once."""
    make = SQLiteStore
    if address.startswith("postgresql"):
        from multiturn.stores.postgres import PostgresStore

        address, _, schema = address.partition("#")
        make = partial(PostgresStore, schema=schema)  # type: ignore[assignment]
    with make(address) as store:
        say(store, store.open(f"s{who}"), f"process {who}")
        assert len(store.search("process")) >= 1
        assert [*HARD_TEXTS[:-1], "only here"] == texts(store, "bob")


def start_together(address: str) -> list[int]:
    """Run ``upgrade`` in many processes; return how they ended."""
    command = [sys.executable, __file__, "upgrade", address]
    begun = [
        subprocess.Popen([*command, str(who)], stdin=subprocess.PIPE) for who in range(PROCESSES)
    ]
    for process in begun:  # each waits for the end of what it reads
        assert process.stdin is not None
        process.stdin.close()
    return [process.wait() for process in begun]


def test_many_processes_that_find_an_old_file_at_once_bring_it_up_to_date_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "chats.db"
    shutil.copy(FILES / "version_1.db", path)
    assert [0] * PROCESSES == start_together(str(path))
    with SQLiteStore(path) as store:
        assert PROCESSES == len(store.search("process", limit=100))
        assert [] == store.check()


def copy_version_1(execute: Any, types: dict[str, str]) -> None:
    """Make tables of version 1 by its own statements, with the rows of its file."""
    migrations.migrate(execute, types, 0)
    with closing(sqlite3.connect(f"file:{FILES / 'version_1.db'}?immutable=1", uri=True)) as old:
        for table in ("sessions", "turns", "attempts", "blobs", "uses"):
            rows = old.execute(f"SELECT * FROM {table}")
            names = ", ".join(column[0] for column in rows.description)
            marks = ", ".join("?" * len(rows.description))
            for row in rows:
                execute(
                    f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({marks})", row
                )
    for table, column in (("sessions", "key"), ("turns", "number")):
        execute(
            f"SELECT setval(pg_get_serial_sequence((SELECT min(tableoid) FROM {table})"
            f"::regclass::text, '{column}'), (SELECT max({column}) FROM {table}))"
        )


def test_many_processes_that_find_old_tables_in_postgres_bring_them_up_to_date_once(
    postgres: Server,
) -> None:
    from multiturn.stores import postgres as module
    from multiturn.stores.postgres_connections import Connection

    schema = f"t{uuid.uuid4().hex}"
    store = module.PostgresStore(postgres.address, schema=schema)
    with store, Connection.connect(postgres.address) as connection:
        execute = store._executing(connection)
        execute(f"CREATE SCHEMA {schema}")
        execute(f"CREATE TABLE {schema}.version (version INTEGER)")
        execute(f"INSERT INTO {schema}.version VALUES (1)")
        copy_version_1(execute, module._TYPES)
    assert [0] * PROCESSES == start_together(f"{postgres.address}#{schema}")
    with module.PostgresStore(postgres.address, schema=schema) as store:
        assert ["failed"] == [attempt.outcome for attempt in store.attempts("ada")]
        assert PROCESSES == len(store.search("process", limit=100))
        assert ["bob"] == [found.session for found in store.search("only here")]
        rows = store._rows(f"SELECT version FROM {schema}.version ORDER BY version", ())
        assert [*range(1, migrations.NEWEST + 1)] == [version for (version,) in rows]
        assert [] == store.check()


def test_a_reader_of_version_1_refuses_a_newer_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chats.db"
    shutil.copy(FILES / f"version_{migrations.NEWEST}.db", path)
    monkeypatch.setattr(sqlite, "NEWEST", 1)
    before = path.read_bytes()
    with SQLiteStore(path) as store, pytest.raises(SchemaTooNew) as caught:
        store.open("ada")
    assert (migrations.NEWEST, 1) == (caught.value.found, caught.value.known)
    assert before == path.read_bytes()


if __name__ == "__main__":
    if sys.argv[1:2] == ["upgrade"]:
        sys.stdin.read()
        upgrade(sys.argv[2], int(sys.argv[3]))
        sys.exit()
    write(Path(sys.argv[1] if sys.argv[1:] else FILES / f"version_{migrations.NEWEST}.db"))
