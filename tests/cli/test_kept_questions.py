"""Questions on the command line that go on with a conversation, in a file or on a server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.kept import Run, changed
from tests.cli.talker import talk

from multiturn import SQLiteStore
from multiturn.cli.place import user_file
from multiturn.testing import ScriptedBackend
from stores.postgres_server import server


def test_a_question_goes_on_where_the_last_process_was(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = ScriptedBackend("Red.", "Blue.")

    assert 0 == talk(["chat", "--session", "colours", "Name a colour."], backend)
    assert 0 == talk(["chat", "--session", "colours", "And then?"], backend)

    assert ("Red.\nBlue.\n", "") == capsys.readouterr()
    said = [content.text for content in backend.requests[1].contents]
    assert ["Name a colour.", "Red.", "And then?"] == said
    assert 0o600 == file.stat().st_mode & 0o777


def test_continue_takes_the_conversation_that_was_changed_last(ask: Run, file: Path) -> None:
    ask("one", "--session", "old")
    ask("two", "--session", "older")
    changed(file, "older", 2)
    changed(file, "old", 1)

    assert 0 == ask("three", "-c")[0]

    assert 2 == SQLiteStore(file).sessions("old")[0].turns


def test_without_a_name_nothing_is_kept(ask: Run, file: Path) -> None:
    assert 0 == ask("hi")[0]

    assert not file.exists()


def test_continuing_what_is_not_there_says_how_to_begin(ask: Run, file: Path) -> None:
    code, out, err = ask("hi", "--continue")

    assert (2, "") == (code, out)
    assert "begin one: multiturn chat --session NAME" in err
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--session", ""], "a session needs a name"),
        (["--session", "a", "-c"], "not allowed with"),
        (["--session", "a", "--store", "mysql://host/x"], "begins with postgresql://"),
        (["--session", "a", "--store", "postgresql://u:s%zz@h/x"], "cannot be read as postgresql"),
        (["--session", "a", "--model", "scriptde"], "did you mean 'scripted'?"),
    ],
)
def test_a_wrong_name_or_place_is_told_before_anything_is_made(
    ask: Run, file: Path, arguments: list[str], told: str
) -> None:
    code, out, err = ask("hi", *arguments)

    assert (2, "") == (code, out)
    assert told in err
    assert [] == [f.name for f in file.parent.iterdir() if f.stat().st_size]


def test_a_store_in_a_folder_that_does_not_exist_says_so(ask: Run, tmp_path: Path) -> None:
    code, _, err = ask("hi", "--session", "a", "--store", str(tmp_path / "nowhere" / "x.db"))

    assert 1 == code
    assert "nowhere does not exist" in err


def test_the_file_of_the_user_is_made_with_its_folder(
    ask: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MULTITURN_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("HOME", str(tmp_path))

    assert 0 == ask("hi", "--session", "a")[0]

    assert user_file().is_file()
    assert tmp_path in user_file().parents
    assert 0o700 == user_file().parent.stat().st_mode & 0o777


def test_a_failed_question_stays_in_the_journal_and_out_of_the_conversation(
    ask: Run, run: Run, file: Path
) -> None:
    ask("one", "--session", "a")
    assert 1 == ask("two", "--session", "a", answer=OSError("on fire"))[0]

    assert 1 == SQLiteStore(file).sessions()[0].turns
    assert ["failed"] == [attempt.outcome for attempt in SQLiteStore(file).attempts("a")]


# -- PostgreSQL ---------------------------------------------------------------------------


@pytest.fixture
def postgres() -> Iterator[str]:
    with server() as cluster:
        yield cluster.address


def test_a_database_server_keeps_conversations_as_a_file_does(
    ask: Run, run: Run, postgres: str, file: Path
) -> None:
    place = ("--store", postgres)
    assert 0 == ask("Where is the door?", "--session", "a", *place, answer="Here.")[0]

    assert "Where is the door?" in run("sessions", *place)[1]
    assert "## Model\n\nHere." in run("sessions", "show", "a", *place)[1]
    assert "door" in run("sessions", "search", "door", *place)[1]
    assert 0 == run("sessions", "check", *place)[0]
    assert 0 == run("sessions", "rm", "--yes", "a", *place)[0]
    assert 0 == run("sessions", "vacuum", *place)[0]
    assert not file.exists()


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="PostgresStore needs multiturn[postgres]")
    program = (
        "import sys; from multiturn.stores.postgres import PostgresStore;"
        "PostgresStore.__init__.__kwdefaults__['reconnect_seconds'] = 1;"
        "from multiturn.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["sessions", "--store", "postgresql://u:secret@127.0.0.1:1/x"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    code, err = done.returncode, done.stderr

    assert 1 == code
    assert 1 == len(err.splitlines())
    assert "secret" not in err
