"""Conversations out of the store and into it, on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.talker import talk

from multiturn import SQLiteStore
from multiturn.cli.main import main
from multiturn.export import NAMES
from multiturn.testing import ScriptedBackend


@pytest.fixture(autouse=True)
def planning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> SQLiteStore:
    """A store with one conversation in it."""
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("MULTITURN_STORE", str(tmp_path / "chats.db"))
    monkeypatch.chdir(tmp_path)
    backend = ScriptedBackend("Red.", "Blue.")
    for question in ("Name a colour.", "And another?"):
        assert 0 == talk(["chat", "--session", "planning", question], backend)
    capsys.readouterr()
    return SQLiteStore(tmp_path / "chats.db")


def carry(*arguments: str) -> int:
    return main(["sessions", *arguments])


def shown(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert 0 == carry("show", name)
    return capsys.readouterr().out.partition("\n")[2]


@pytest.mark.parametrize("format", NAMES)
def test_what_is_exported_in_any_format_is_imported_again(
    format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == carry("export", "planning", "--format", format, "-o", "talk.file")
    assert f"wrote planning to talk.file, as {format}\n" == capsys.readouterr().out

    assert 0 == carry("import", "talk.file", "--as", "again")
    assert "again: 2 turns\n" == capsys.readouterr().out
    assert shown("planning", capsys) == shown("again", capsys)


def test_without_a_format_nothing_is_lost_and_the_ending_of_a_file_counts(
    planning: SQLiteStore,
) -> None:
    for file in ("a.json", "a.md", "a.jsonl"):
        assert 0 == carry("export", "planning", "-o", file)

    assert "multiturn.conversation" == json.loads(Path("a.json").read_text())["format"]
    assert Path("a.md").read_text().startswith("# Conversation with scripted")
    assert 4 == len(Path("a.jsonl").read_text().splitlines())
    assert 0 == carry("import", "a.json")
    assert ["planning", "planning (2)"] == [state.name for state in planning.sessions()]
    assert 0 == carry("check")


def test_an_export_to_a_pipe_is_the_bytes_alone_and_is_read_from_one() -> None:
    command = [sys.executable, "-m", "multiturn", "sessions"]
    out = subprocess.run([*command, "export", "planning"], capture_output=True, check=True)
    back = subprocess.run(
        [*command, "import", "-", "--as", "again"],
        input=out.stdout, capture_output=True, check=True,
    )  # fmt: skip

    assert b"" == out.stderr
    assert "planning" == json.loads(out.stdout)["name"]
    assert b"again: 2 turns\n" == back.stdout


def test_importing_from_a_pipe_wants_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == carry("import", "-")
    assert "nothing is piped in" in capsys.readouterr().err


def test_every_format_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == carry("export", "--help")
    out = capsys.readouterr().out
    assert [] == [name for name in NAMES if name not in out]


def test_what_a_format_has_no_place_for_is_told(
    planning: SQLiteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    state = planning.state("planning")
    assert state is not None
    planning.move(state, planning.line(str(state.head))[1].id)

    assert 0 == carry("export", "planning", "--format", "openai", "-o", "x.json")
    assert "multiturn: not in openai: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "plannign"], "did you mean 'planning'?"),
        (["export", "planning", "--format", "opnai"], "did you mean 'openai'?"),
        (["export", "planning", "-o", "there.json"], "add --overwrite"),
        (["export", "planning", "-o", "."], ". is a folder; name a file in it"),
        (["export", "planning", "-o", "no/x.json"], "the folder no does not exist"),
        (["import", "nowhere.json"], "nowhere.json does not exist"),
        (["import", "there.json"], "there.json is no conversation in any of the formats"),
        (["import", "there.json", "--format", "openai"], "openai: $"),
        (["import", "nothing.json"], "a conversation in which something was said"),
        (["import", "empty.md"], "empty.md is no conversation in any of the formats"),
        (["import", "notes.md"], "expected headings with who speaks"),
        (["import", "two.json", "--as", "x"], "choose one with --conversation: 'A', 'B'"),
        (["import", "two.json", "--conversation", "C"], "A"),
        (["import", "one.json", "--as", "planning"], "exists already"),
    ],
)
def test_what_cannot_be_carried_is_told_and_changes_nothing(
    arguments: list[str], told: str, planning: SQLiteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("there.json").write_text("{}")
    Path("nothing.json").write_text("[]")
    Path("empty.md").write_text("")
    Path("notes.md").write_text("# Conversation with m\n\n## You\n\nHello\n")
    assert 0 == carry("export", "planning", "-o", "one.json")
    assert 0 == carry("export", "planning", "--format", "chatgpt", "-o", "chatgpt.json")
    one = json.loads(Path("chatgpt.json").read_text())[0]
    Path("two.json").write_text(json.dumps([{**one, "title": title} for title in ("A", "B")]))
    capsys.readouterr()

    assert 2 == carry(*arguments)

    assert told in capsys.readouterr().err
    assert "{}" == Path("there.json").read_text()
    assert ["planning"] == [state.name for state in planning.sessions()]


def test_all_conversations_of_a_file_are_imported_by_their_titles(
    planning: SQLiteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == carry("export", "planning", "--format", "chatgpt", "-o", "chatgpt.json")
    one = json.loads(Path("chatgpt.json").read_text())[0]
    Path("two.json").write_text(json.dumps([{**one, "title": title} for title in ("A", "B")]))

    assert 0 == carry("import", "two.json")
    assert 0 == carry("import", "two.json", "--conversation", "B", "--as", "just b")

    assert ["A", "B", "just b", "planning"] == [state.name for state in planning.sessions()]


def test_an_import_says_what_the_model_was_told_first(capsys: pytest.CaptureFixture[str]) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
    ]
    Path("hi.json").write_text(json.dumps(messages))

    assert 0 == carry("import", "hi.json")

    out, err = capsys.readouterr()
    assert "Hi: 1 turn\n" == out
    assert "--system “Be brief.”" in err
