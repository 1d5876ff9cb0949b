"""``multiturn sessions prune``: deletes what is old, and says so first."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.kept import Run, changed, ended, names

from multiturn import GenerativeModel, SQLiteStore
from multiturn.testing import ScriptedBackend


def test_pruning_deletes_what_is_old_and_says_so_first(ask: Run, run: Run, file: Path) -> None:
    for name, days in (("old", 91), ("ada/old", 91), ("new", 89)):
        ask("one", "--session", name)
        changed(file, name, days)

    code, out, _ = run("sessions", "prune", "--older-than", "90d", "--dry-run")
    assert 0 == code
    assert "2 would be deleted" in out
    assert 2 == run("sessions", "prune", "--older-than", "90d")[0]
    assert ["ada/old", "new", "old"] == names(file)
    assert "deleted 1;" in run("sessions", "prune", "--older-than", "90d", "--prefix", "a", "-y")[1]
    assert "deleted 1;" in run("sessions", "prune", "--older-than", "90d", "--yes")[1]
    assert ["new"] == names(file)


def test_pruning_asks_nothing_where_there_is_nothing_to_delete(ask: Run, run: Run) -> None:
    ask("one", "--session", "a")

    told = (0, "no conversation is that old\n", "")
    assert told == run("sessions", "prune", "--older-than", "90d")
    assert told == run("sessions", "prune", "--older-than", "90d", "--dry-run")


def test_pruning_asks_about_nothing_that_stays(ask: Run, run: Run, file: Path) -> None:
    for answer in (OSError("on fire"), "Yes."):
        ask("one", "--session", "young", answer=answer)
    told = (0, "no conversation is that old\n", "")
    assert told == run("sessions", "prune", "--older-than", "90d")
    assert told == run("sessions", "prune", "--older-than", "90d", "--dry-run")

    ask("one", "--session", "old")
    changed(file, "old", 91)
    assert "delete it: nobody is there" in run("sessions", "prune", "--older-than", "90d")[2]
    assert run("sessions", "prune", "--older-than", "90d", "--dry-run")[1].endswith(
        "1 would be deleted\n"
    )

    chat = GenerativeModel(backend=ScriptedBackend(["one ", "two"])).start_chat(
        session="old", store=SQLiteStore(file)
    )
    response = chat.send_message("hi", stream=True)
    changed(file, "old", 91)
    assert told == run("sessions", "prune", "--older-than", "90d")
    response.resolve()


def test_pruning_deletes_old_journal_entries_of_conversations_that_stay(
    ask: Run, run: Run, file: Path
) -> None:
    for answer in (OSError("on fire"), "Yes."):
        ask("one", "--session", "a", answer=answer)
    ended(file, "a", 91)

    code, out, _ = run("sessions", "prune", "--older-than", "90d", "--dry-run")
    assert 0 == code
    assert "no conversation is that old\n0 would be deleted, and journal entries that old" in out
    assert "add --yes" in run("sessions", "prune", "--older-than", "90d")[2]
    assert ["failed"] == [attempt.outcome for attempt in SQLiteStore(file).attempts("a")]
    assert 0 == run("sessions", "prune", "--older-than", "90d", "--yes")[0]
    assert [] == SQLiteStore(file).attempts("a")
    assert 1 == SQLiteStore(file).sessions()[0].turns


@pytest.mark.parametrize("span", ["90", "d", "1.5d", "3 months", "-1d"])
def test_a_span_of_another_form_is_refused(run: Run, span: str) -> None:
    code, _, err = run("sessions", "prune", f"--older-than={span}")

    assert 2 == code
    assert "as 12h, 90d or 4w" in err


def test_a_span_beyond_all_measure_is_called_too_long(run: Run) -> None:
    code, _, err = run("sessions", "prune", "--older-than", "99999999999999d")
    assert 2 == code
    assert "99999999999999d is too long; at most 999999d" in err
