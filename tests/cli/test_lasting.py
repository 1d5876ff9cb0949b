"""A conversation that lasts, talked in at a terminal: resumed, renamed, forked, and killed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.lasting import file, names, said, store, wait_until
from tests.cli.talker import talk
from tests.cli.terminal import TALKER, Terminal

from multiturn import GenerativeModel, SQLiteStore
from multiturn.cli.main import main
from multiturn.testing import ScriptedBackend

CTRL_C, CTRL_D = "\x03", "\x04"


def killed_in_mid_answer(folder: Path, script: list[Any], shown: str, *, noted: str) -> None:
    """Kill a conversation while its answer arrives, once the store has what arrived."""
    with Terminal(folder, script, "--session", "planning") as terminal:
        terminal.wait_for_prompt()
        terminal.type("Name a thing.\r")
        terminal.wait_for(shown)
        known = store(folder)
        wait_until(lambda: noted.encode() in known.attempts("planning")[0].body)
        os.kill(terminal.process.pid, signal.SIGKILL)
        assert -signal.SIGKILL == terminal.exit_code()


def test_a_conversation_is_resumed_with_its_last_exchange(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["**One.**", "Two."], "--session", "ada/planning") as terminal:
        terminal.wait_for("a new conversation, kept as ada/planning in")
        terminal.wait_for_prompt()
        terminal.say("first", "One.")
        terminal.say("second", "Two.")
        terminal.type(CTRL_D)
        assert 0 == terminal.exit_code()
        assert "multiturn chat --session ada/planning goes on with it" in terminal.text
    for option in (["--session", "ada/planning"], ["-c"]):
        with Terminal(tmp_path, ["Three."], *option) as terminal:
            terminal.wait_for("ada/planning, 2 turns, changed just now\nYou\nsecond\nModel\nTwo.\n")
            terminal.wait_for_prompt()
            assert "One." not in terminal.text
            terminal.say("/history", "You\nfirst\nModel\nOne.")


def test_after_kill_9_in_mid_answer_it_is_asked_again(tmp_path: Path) -> None:
    script = [["Half an ", 1.1, "answer", 60, "."]]
    killed_in_mid_answer(tmp_path, script, "Half an answer", noted="answer")

    with Terminal(tmp_path, ["Whole.", "Next."], "--session", "planning") as terminal:
        terminal.wait_for("in flight when the last process ended: “Name a thing.”")
        terminal.wait_for("“Half an answer”")
        terminal.wait_for("/keep keeps what had")
        terminal.wait_for_prompt()
        terminal.say("/resume", "Whole.")
        terminal.say("/resume", "nothing was in flight")
        terminal.say("more", "Next.")
        terminal.say("/history", "You\nName a thing.\nModel\nWhole.\nYou\nmore\nModel\nNext.\n")


def test_after_kill_9_what_had_arrived_is_kept(tmp_path: Path) -> None:
    script = [["Half an ", 1.1, "answer", 60, "."]]
    killed_in_mid_answer(tmp_path, script, "Half an answer", noted="answer")

    with Terminal(tmp_path, ["Next."], "--session", "planning") as terminal:
        terminal.wait_for_prompt()
        terminal.say("/keep", "kept as far as it came")
        terminal.say("more", "Next.")
        terminal.say("/history", "Half an answer\nYou\nmore\nModel\nNext.")


def test_ctrl_c_while_it_is_asked_again_loses_nothing_of_it(tmp_path: Path) -> None:
    script = [["Half an ", 1.1, "answer", 60, "."]]
    killed_in_mid_answer(tmp_path, script, "Half an answer", noted="answer")

    with Terminal(tmp_path, [["Less", 60, "."], ["Least", 60, "."]], "-c") as terminal:
        terminal.wait_for_prompt()
        terminal.type("/resume\r")
        terminal.wait_for("Less")
        terminal.type("\x03")
        terminal.wait_for("stopped")
        terminal.wait_for_prompt()
        terminal.type("/resume\r")
        terminal.wait_for("Least")
        terminal.type("\x03")
        terminal.wait_for_prompt()
        terminal.type(CTRL_D)
        assert 0 == terminal.exit_code()
    with Terminal(tmp_path, ["Next."], "-c") as terminal:
        terminal.wait_for("“Half an answer”")
        terminal.wait_for_prompt()
        terminal.say("/keep", "kept as far as it came")
        terminal.say("more", "Next.")
        terminal.say("/history", "Half an answer\nYou\nmore\nModel\nNext.")
        assert "Name a thing.\nModel (interrupted)\nHalf an answer\n" in terminal.text
    with Terminal(tmp_path, [], "show", "planning", command="sessions") as terminal:
        assert 0 == terminal.exit_code()
        assert "Model (interrupted)" in terminal.text


def test_after_kill_9_the_turn_is_let_go(tmp_path: Path) -> None:
    killed_in_mid_answer(tmp_path, [["Half", 60, "."]], "Half", noted="Name a thing.")

    with Terminal(tmp_path, ["Next."], "--session", "planning") as terminal:
        terminal.wait_for("no answer had arrived")
        terminal.wait_for_prompt()
        assert "/keep" not in terminal.text
        terminal.say("/keep", "nothing to keep")
        terminal.say("/drop", "let go of “Name a thing.”")
        terminal.say("/drop", "nothing was in flight")
        terminal.say("/journal", "1  interrupted  Name a thing.")
        terminal.say("more", "Next.")


def test_a_stopped_question_stands_in_the_journal_in_one_line(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["Half", 60, "."], "Next."], "--session", "planning") as terminal:
        terminal.wait_for_prompt()
        terminal.type("one\r")
        terminal.wait_for("Half")
        terminal.type("\x03")
        terminal.wait_for("nothing was added to the conversation")
        terminal.wait_for_prompt()
        terminal.say("/journal", "1  interrupted  one\nplanning>")


def test_after_kill_9_the_list_and_what_is_shown_say_that_a_question_is_unfinished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_in_mid_answer(tmp_path, [["Half", 60, "."]], "Half", noted="Name a thing.")
    place = ["--store", str(file(tmp_path))]

    assert [0, 0] == [
        main(["sessions", "list", *place]),
        main(["sessions", "show", "planning", *place]),
    ]
    out, err = capsys.readouterr()
    assert "(unfinished)" in out.splitlines()[0]
    assert "in flight when the last process ended: “Name a thing.”" in err
    assert "multiturn chat --session planning goes on with it" in err
    for command in (["list"], ["show", "planning"]):
        assert 0 == main(["sessions", *command, "--json", *place])
        told = json.loads(capsys.readouterr().out)
        assert True is (told if isinstance(told, dict) else told[0])["unfinished"]


def test_a_question_after_kill_9_says_what_it_takes_the_place_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    killed_in_mid_answer(tmp_path, [["Half", 60, "."]], "Half", noted="Name a thing.")

    place = ["--session", "planning", "--store", str(file(tmp_path))]
    assert 0 == talk(["chat", *place, "And then?"], ScriptedBackend("Next."))

    out, err = capsys.readouterr()
    assert "Next.\n" == out
    assert "in flight when the last process ended: “Name a thing.”" in err
    assert "takes its place" in err


def test_an_answer_whose_reader_goes_away_is_no_turn_and_in_the_journal(tmp_path: Path) -> None:
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(TALKER))} chat --session a hi"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} --store {shlex.quote(str(tmp_path / 'chats.db'))} | head -1"],
        env={**os.environ, "SCRIPT": json.dumps([["one\n", *["more\n" * 50] * 300]])},
        stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip

    assert (b"one\n", b"") == (done.stdout, done.stderr)
    known = SQLiteStore(tmp_path / "chats.db")
    assert [0] == [state.turns for state in known.sessions()]
    assert ["abandoned"] == [attempt.outcome for attempt in known.attempts("a")]


def test_kill_9_of_the_embedded_model_in_mid_answer_loses_no_turn(
    tmp_path: Path, weights_path: Path
) -> None:
    command = [sys.executable, "-m", "multiturn", "chat", "--session", "a", "-t", "0"]
    command += ["--store", str(tmp_path / "chats.db"), "--max-tokens"]
    subprocess.run([*command, "8", "Name a colour."], check=True, stdin=subprocess.DEVNULL)
    with subprocess.Popen(
        [*command, "2000", "Count to a thousand."],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.kill()
    again = subprocess.run(
        [*command, "8", "Name an animal."],
        check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip

    assert "“Count to a thousand.”" in again.stderr
    known = SQLiteStore(tmp_path / "chats.db")
    assert [2] == [state.turns for state in known.sessions()]
    assert [] == known.check()


def test_a_turn_that_waits_for_functions_is_told_and_can_be_let_go(tmp_path: Path) -> None:
    from multiturn.errors import ApprovalNeeded
    from multiturn.testing import function_calls
    from multiturn.tools.functions import requires_approval

    def buy(what: str) -> str:
        """Buy something."""
        return what

    model = GenerativeModel(
        backend=ScriptedBackend(function_calls(("buy", {"what": "a boat"}))),
        tools=[requires_approval(buy)],
    )
    chat = model.start_chat(
        session="shop", store=store(tmp_path), enable_automatic_function_calling=True
    )
    with pytest.raises(ApprovalNeeded):
        chat.send_message("Buy a boat.")

    with Terminal(tmp_path, ["Fine."], "--session", "shop") as terminal:
        terminal.wait_for("waits for somebody's approval of buy: “Buy a boat.”")
        terminal.wait_for_prompt()
        terminal.say("/resume", "only a program that has them can run")
        terminal.say("/drop", "let go of")
        terminal.say("hi", "Fine.")


def test_one_goes_from_session_to_session(tmp_path: Path) -> None:
    said(tmp_path, "one", "first", "second")
    said(tmp_path, "two", "other")
    with Terminal(tmp_path, ["Yes."], "--session", "one", columns=100) as terminal:
        terminal.wait_for_prompt()
        terminal.say("/session two", "two, 1 turn, changed just now\nYou\nother")
        terminal.say("and?", "Yes.")
        terminal.say(
            "/sessions", "* two  2 turns  just now  other\n  one  2 turns  just now  first"
        )
        terminal.say("/session one", "one, 2 turns")
        terminal.say("/fork aside", "you are in conversation 3 (aside), a fork of 1, 2 turns")
        terminal.say("/sessions as", "* aside  2 turns")
        terminal.say("/sessions zz", "no conversation has a name that begins with 'zz'")
        terminal.say("/session", "you are in aside, kept in")
        terminal.say("/fork back", "conversation 1 (one), 2 turns")
        terminal.type("/session tw\t")
        terminal.wait_for("one> /session two")
    assert ["aside", "one", "two"] == names(tmp_path)


def test_a_message_that_failed_keeps_the_name(tmp_path: Path) -> None:
    with Terminal(tmp_path, [{"fail": "gone"}], "--session", "new") as terminal:
        terminal.wait_for_prompt()
        terminal.say("precious words", "nothing was added to the conversation")
        terminal.type(CTRL_D)
        assert 0 == terminal.exit_code()

    assert ["new"] == names(tmp_path)


def test_ctrl_c_in_a_session_stops_the_answer_and_keeps_what_was_said(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["Half", 60, "."], "Whole."], "--session", "a") as terminal:
        terminal.wait_for_prompt()
        terminal.type("one\r")
        terminal.wait_for("Half")
        terminal.type(CTRL_C)
        terminal.wait_for("nothing was added to the conversation")
        terminal.wait_for_prompt()
        terminal.say("two", "Whole.")
        terminal.say("/history", "You\ntwo\nModel\nWhole.\na>")


def test_what_another_process_said_meanwhile_is_gone_on_from_and_told(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["One.", "Two."], "--session", "a", columns=120) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "One.")
        said(tmp_path, "a", "from elsewhere")
        terminal.say("second", "something was said here by another process")
        terminal.say("/history", "You\nfrom elsewhere\nModel\nSo be it.\nYou\nsecond\nModel\nTwo.")
        said(tmp_path, "a", "from elsewhere")
        terminal.say("/rewind", "session 'a' was changed by another meanwhile")
        assert "chat.history" not in terminal.text


def test_one_waits_for_the_answer_of_another_process(tmp_path: Path) -> None:
    backend = ScriptedBackend(["half ", "whole"])
    chat = GenerativeModel(backend=backend).start_chat(session="a", store=store(tmp_path))
    response = chat.send_message("from elsewhere", stream=True)
    with Terminal(tmp_path, ["Two."], "--session", "a") as terminal:
        terminal.wait_for_prompt()
        terminal.type("mine\r")
        terminal.wait_for("another process is being answered")
        response.resolve()
        terminal.wait_for("Two.")
        terminal.wait_for_prompt()
        terminal.say("/history", "from elsewhere\nModel\nhalf whole\nYou\nmine\nModel\nTwo.")


def test_back_forth_again_and_differently(tmp_path: Path) -> None:
    for arguments in ([], ["--session", "a"]):
        with Terminal(tmp_path, ["A1", "A2", "A3", "A4"], *arguments, lines=50) as terminal:
            terminal.wait_for_prompt()
            terminal.say("/redo", "nothing to redo")
            terminal.say("/retry", "nothing to ask again")
            terminal.say("/edit", "as in: /edit")
            terminal.say("/tree", "nothing has been said yet")
            terminal.say("one", "A1")
            terminal.say("two", "A2")
            terminal.say("/rewind", "took off 1 turn, from “two” on; 1 turn left, /redo returns")
            terminal.say("/redo", "2 turns again, the last is “two”")
            terminal.say("/retry", "A3")
            terminal.say("/edit three", "A4")
            terminal.say("/history", "You\none\nModel\nA1\nYou\nthree\nModel\nA4\n")
            terminal.say("/tree", "* ")
            tree = terminal.text.rsplit("/tree\n", 1)[1].split("\n")[:-1]
            assert ["one", "two", "two", "three"] == [line.split()[-1] for line in tree]
