"""``multiturn sessions``: looks at conversations that are kept, and tidies them."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import pytest
from tests.cli.kept import Run, changed, names
from tests.cli.terminal import Terminal

from multiturn import GenerativeModel, SessionMissing, SQLiteStore
from multiturn.cli import moments
from multiturn.testing import ScriptedBackend

# -- looking ------------------------------------------------------------------------------


def test_nothing_kept_yet_is_told_and_makes_nothing(run: Run, file: Path) -> None:
    assert (0, "") == run("sessions")[:2]
    assert (0, "[]\n", "") == run("sessions", "--json")
    assert (2, "") == run("sessions", "show", "a")[:2]
    assert (0, "") == run("sessions", "search", "word")[:2]
    assert 0 == run("sessions", "check")[0]
    assert 0 == run("sessions", "vacuum")[0]
    assert 0 == run("sessions", "prune", "--older-than", "1d")[0]

    assert [] == list(file.parent.iterdir())


def test_the_list_has_names_turns_times_and_first_words_newest_first(
    ask: Run, run: Run, file: Path
) -> None:
    ask("What is\nTCP?", "--session", "net/tcp")
    ask("And UDP?", "--session", "net/tcp")
    ask("Hello", "--session", "greeting")
    changed(file, "net/tcp", 2.5)

    code, out, _ = run("sessions")
    assert 0 == code
    lines = [re.split(r"  +", line) for line in out.splitlines()]
    assert ["greeting", "1 turn", "just now", "Hello"] == lines[0]
    assert ["net/tcp", "2 turns", "2 days ago", "What is TCP?"] == lines[1]
    assert out == run("sessions", "list")[1]
    assert lines[1:] == [re.split(r"  +", run("sessions", "list", "--prefix", "net/")[1].strip())]


def test_the_list_is_json_for_programs(ask: Run, run: Run) -> None:
    ask("Hello", "--session", "a")

    for command in (["--json"], ["list", "--json"]):
        (row,) = json.loads(run("sessions", *command)[1])
        assert {"name": "a", "turns": 1, "begins": "Hello"}.items() <= row.items()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["changed_at"])


def test_a_conversation_is_shown_as_text_and_as_json(ask: Run, run: Run) -> None:
    ask("Hello", "--session", "a", answer="**Hi** \x1b[2J")

    shown = "# a\n\n## You\n\nHello\n\n## Model\n\n**Hi** ␛[2J\n"
    assert (0, shown, "") == run("sessions", "show", "a")
    told = json.loads(run("sessions", "show", "a", "--json")[1])
    assert ("a", 1, ["user", "model"]) == (
        told["name"], told["turns"], [content["role"] for content in told["history"]],
    )  # fmt: skip
    assert "**Hi** \x1b[2J" == told["history"][1]["parts"][0]["text"]


def test_a_conversation_is_drawn_as_markdown_in_a_terminal(
    ask: Run, file: Path, tmp_path: Path
) -> None:
    ask("Hello", "--session", "a", answer="**Hi**")

    arguments = ("show", "a", "--store", str(file))
    with Terminal(tmp_path, [], *arguments, command="sessions") as terminal:
        assert 0 == terminal.exit_code()
        assert "Hi" in terminal.text
        assert "**" not in terminal.text


def test_the_tree_has_what_was_taken_off_too(ask: Run, run: Run, file: Path) -> None:
    ask("one", "--session", "a")
    chat = GenerativeModel(backend=ScriptedBackend("x")).start_chat(
        session="a", store=SQLiteStore(file)
    )
    chat.edit("two")

    out = run("sessions", "tree", "a")[1]
    assert ["one", "two"] == [line.split()[-1] for line in out.splitlines()]


def test_what_was_said_is_found_again(ask: Run, run: Run) -> None:
    ask("Where is the blue door?", "--session", "house/doors", answer="In the hall.")
    ask("Where is the red door?", "--session", "maze")

    code, out, _ = run("sessions", "search", "BLUE", "door")
    assert 0 == code
    assert ["house/doors: You, just now", "  Where is the blue door?"] == out.splitlines()
    assert "maze" not in run("sessions", "search", "door", "--prefix", "house/")[1]
    hits = json.loads(run("sessions", "search", "door", "--json")[1])
    assert {"house/doors", "maze"} == {hit["session"] for hit in hits}
    assert 1 == len(json.loads(run("sessions", "search", "door", "--limit", "1", "--json")[1]))
    code, out, err = run("sessions", "search", "elephant")
    assert (0, "") == (code, out)
    assert "holds all of: elephant" in err


# -- changing -----------------------------------------------------------------------------


def test_an_unknown_name_suggests_the_nearest(ask: Run, run: Run) -> None:
    ask("one", "--session", "planning")

    for command in (["show"], ["tree"], ["rm", "--yes"], ["fork"], ["rename"]):
        more = ["new"] if command[0] in ("fork", "rename") else []
        code, out, err = run("sessions", *command, "plannign", *more)
        assert (2, "") == (code, out)
        assert "did you mean 'planning'?" in err
    assert "multiturn sessions lists them" in run("sessions", "show", "zzz")[2]


def test_deleting_suggests_only_a_name_that_is_very_near(ask: Run, run: Run) -> None:
    ask("one", "--session", "copied")

    assert "did you mean 'copied'?" in run("sessions", "show", "nope")[2]
    assert "multiturn sessions lists them" in run("sessions", "rm", "--yes", "nope")[2]
    assert "did you mean 'copied'?" in run("sessions", "rm", "--yes", "copid")[2]


def test_a_fork_begins_where_it_is_told(ask: Run, run: Run, file: Path) -> None:
    for question in ("one", "two", "three"):
        ask(question, "--session", "a")

    assert (0, "b begins with 2 turns of a\n", "") == run(
        "sessions", "fork", "a", "b", "--back", "1"
    )
    assert 0 == run("sessions", "fork", "a", "c", "--back", "3")[0]

    assert [3, 2, 0] == [state.turns for state in SQLiteStore(file).sessions()]
    assert "## You\n\ntwo" in run("sessions", "show", "b")[1]
    assert 2 == run("sessions", "fork", "a", "d", "--back", "4")[0]
    assert 2 == run("sessions", "fork", "a", "b")[0]
    assert ["a", "b", "c"] == names(file)


def test_renaming_moves_the_name_and_takes_no_other(ask: Run, run: Run, file: Path) -> None:
    ask("one", "--session", "a")
    ask("one", "--session", "b")

    assert 0 == run("sessions", "rename", "a", "c")[0]
    assert 2 == run("sessions", "rename", "b", "c")[0]
    assert 2 == run("sessions", "rename", "b", "")[0]
    assert ["b", "c"] == names(file)


def test_deleting_wants_a_yes_where_nobody_can_be_asked(ask: Run, run: Run, file: Path) -> None:
    ask("one", "--session", "a")
    ask("one", "--session", "b")

    code, _, err = run("sessions", "rm", "a", "b")
    assert 2 == code
    assert "add --yes" in err
    assert 2 == run("sessions", "rm", "--yes", "a", "nope")[0]
    assert ["a", "b"] == names(file)
    assert (0, "deleted a\ndeleted b\n", "") == run("sessions", "rm", "--yes", "a", "b", "a")
    assert [] == names(file)


@pytest.mark.parametrize(("typed", "left"), [("y\r", []), ("\r", ["a"]), ("\x04", ["a"])])
def test_deleting_asks_in_a_terminal(
    ask: Run, file: Path, tmp_path: Path, typed: str, left: list[str]
) -> None:
    ask("one", "--session", "a")

    arguments = ("rm", "a", "--store", str(file))
    with Terminal(tmp_path, [], *arguments, command="sessions") as terminal:
        terminal.wait_for("delete a (1 turn)? [y/N]")
        terminal.type(typed)
        assert 0 == terminal.exit_code()
    assert left == names(file)


def test_a_conversation_that_is_being_answered_is_not_deleted(
    ask: Run, run: Run, file: Path
) -> None:
    chat = GenerativeModel(backend=ScriptedBackend(["half ", "whole"])).start_chat(
        session="a", store=SQLiteStore(file)
    )
    response = chat.send_message("hi", stream=True)

    code, _, err = run("sessions", "rm", "--yes", "a")
    response.resolve()

    assert 2 == code
    assert "is being answered" in err
    assert ["a"] == names(file)


def test_a_conversation_that_is_being_answered_is_deleted_if_that_is_said(
    run: Run, file: Path
) -> None:
    model = GenerativeModel(backend=ScriptedBackend(["half ", "whole"]))
    response = model.start_chat(session="a", store=SQLiteStore(file)).send_message(
        "hi", stream=True
    )
    assert 0 == run("sessions", "rm", "--yes", "--even-if-busy", "a")[0]
    with pytest.raises(SessionMissing, match="there is no session 'a'"):
        response.resolve()
    assert [] == names(file)


def test_vacuum_gives_space_back(ask: Run, run: Run, file: Path) -> None:
    ask("long " * 200_000, "--session", "a")
    run("sessions", "rm", "--yes", "a")

    code, out, _ = run("sessions", "vacuum")

    assert 0 == code
    assert re.search(r"gave back .*: \d MB before, \d+ kB now\n", out)


def test_a_damaged_store_is_exit_code_1_with_the_findings(ask: Run, run: Run, file: Path) -> None:
    ask("one", "--session", "a")
    assert (0, f"all is sound in {file}\n", "") == run("sessions", "check")
    with sqlite3.connect(file) as database:
        changes = "CAST(replace(CAST(body AS TEXT), 'one', 'two') AS BLOB)"
        database.execute(f"UPDATE turns SET body = {changes}")
    database.close()

    code, out, err = run("sessions", "check")

    assert 1 == code
    assert re.fullmatch(r"turn [0-9a-f]{64} of session 'a' is not what was stored: .*\n", out)
    assert "is damaged" in err
    assert "--store" not in err
    err = run("sessions", "check", "--store", str(file))[2]
    assert f"multiturn sessions erase NAME TURN --store {file}" in err


def test_what_is_damaged_is_marked_and_the_rest_is_there(ask: Run, run: Run, file: Path) -> None:
    for message in ("one", "two", "three"):
        ask(message, "--session", "a")
    with sqlite3.connect(file) as database:
        changes = "CAST(replace(CAST(body AS TEXT), 'two', 'twO') AS BLOB)"
        database.execute(f"UPDATE turns SET body = {changes}")
    database.close()

    code, out, _ = run("sessions", "show", "a")
    assert 0 == code
    assert ["one", "twO", "three"] != re.findall("one|twO|three", out) == ["one", "three"]
    (digits,) = re.findall(r"## Turn ([0-9a-f]{8}) \(damaged\)", out)
    shown = json.loads(run("sessions", "show", "a", "--json")[1])
    assert 4 == len(shown["history"])
    assert digits == shown["damaged"][0][:8]
    assert f"| {digits} (damaged)" in run("sessions", "tree", "a")[1]
    assert 0 == run("sessions")[0]
    code, out, err = run("sessions", "export", "a")
    assert 0 == code
    assert "twO" not in out
    assert f"turn {shown['damaged'][0]} is damaged: left out" in err
    assert 0 == run("sessions", "fork", "a", "b", "--back", "2")[0]
    assert 0 == ask("again", "--session", "b")[0]
    code, _, err = ask("again", "--session", "a")
    assert 1 == code
    assert "multiturn sessions erase NAME TURN" in err

    code, _, err = run("sessions", "erase", "a", digits)
    assert (2, True) == (code, "add --yes" in err)
    assert 2 == run("sessions", "erase", "a", "00000000", "--yes")[0]
    code, _, err = run("sessions", "erase", "a", digits[:7], "--yes")
    assert (2, True) == (code, "at least 8 digits, as multiturn sessions tree a shows" in err)
    assert (0, f"erased {digits}; a goes on without it\n") == run(
        "sessions", "erase", "a", digits.upper(), "--yes"
    )[:2]
    assert 0 == run("sessions", "check")[0]
    assert 0 == ask("again", "--session", "a")[0]


def test_a_first_turn_that_is_damaged_keeps_nobody_from_the_list(
    ask: Run, run: Run, file: Path
) -> None:
    ask("one", "--session", "a")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE turns SET body = x'00'")
    database.close()
    code, out, _ = run("sessions")
    assert 0 == code
    assert "(damaged)" in out


def test_more_than_is_shown_is_told(ask: Run, run: Run) -> None:
    for _ in range(3):
        ask("needle", "--session", "a", answer="no")
    assert "there are more; --limit 4" in run("sessions", "search", "needle", "--limit", "2")[2]
    assert "" == run("sessions", "search", "needle", "--limit", "3")[2]


def test_a_place_whose_folder_is_not_there_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    code, _, err = run("sessions", "--store", str(tmp_path / "nope" / "x.db"))
    assert 2 == code
    assert f"the folder {tmp_path / 'nope'} does not exist" in err


def test_a_file_of_another_program_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("a letter to Ada, long enough to be one" * 20)

    code, _, err = run("sessions", "--store", str(tmp_path / "x.db"))

    assert 1 == code
    assert 1 == len(err.splitlines())


# -- words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "just now"), (59, "just now"), (60, "1 minute ago"), (3599, "59 minutes ago"),
        (3600, "1 hour ago"), (86399, "23 hours ago"), (86400, "1 day ago"),
        (30 * 86400 - 1, "29 days ago"), (30 * 86400, "2001-08-10"),
    ],
)  # fmt: skip
def test_a_moment_is_told_as_people_say_it(
    monkeypatch: pytest.MonkeyPatch, seconds: float, told: str
) -> None:
    now = 1_000_000_000.0
    assert told == moments.ago(now - seconds, now)


@pytest.mark.parametrize(
    "action",
    [
        *("list", "show", "tree", "search", "export", "import", "fork", "rename", "rm"),
        *("prune", "check", "vacuum"),
    ],
)
def test_every_action_has_help_with_an_example(run: Run, action: str) -> None:
    code, out, _ = run("sessions", action, "--help")

    assert 0 == code
    assert f"\n  multiturn sessions {action}" in out
