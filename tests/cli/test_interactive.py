"""A conversation in a terminal, typed key by key and read off the screen."""

from __future__ import annotations

import os
import re
import signal
import stat
from pathlib import Path

import pytest
from tests.cli.terminal import Terminal

from multiturn.export import read

UP = "\x1b[A"
ALT_ENTER = "\x1b\r"
CTRL_C, CTRL_D = "\x03", "\x04"


def test_a_conversation_is_greeted_answered_and_left_with_ctrl_d(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["Hello ", "there."]]) as terminal:
        terminal.wait_for_prompt()
        assert "talking to scripted" in terminal.text
        assert "/help" in terminal.text
        terminal.say("hi", "Hello there.")
        terminal.type(CTRL_D)

        assert 0 == terminal.exit_code()
        assert ["> hi", "Hello there.", ">"] == terminal.text.split("\n")[-3:]


def test_exit_leaves(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("/exit\r")

        assert 0 == terminal.exit_code()


def test_ctrl_c_stops_the_answer_and_keeps_the_session(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["Half an ", 60, "answer"], "Whole."]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("one\r")
        terminal.wait_for("Half an")
        terminal.type(CTRL_C)
        terminal.wait_for("nothing was added to the conversation")
        terminal.wait_for_prompt()
        assert "Half an\nstopped\n" in terminal.text
        terminal.say("two", "Whole.")
        terminal.say("/journal", "answered")
        terminal.say("/history", "Model")

        assert re.search(r"1  (interrupted|cancelled) +one\n", terminal.text)
        assert re.search(r"2  answered +two\n", terminal.text)
        assert "You\ntwo\nModel\nWhole.\n>" in terminal.text


def test_ctrl_c_behind_a_line_that_is_about_to_be_answered_stops_its_answer(
    tmp_path: Path,
) -> None:
    with Terminal(tmp_path, [["Once ", 60, "upon"], "Whole."]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("one\r" + CTRL_C + "two")
        terminal.wait_for("> one\nstopped\nnothing was added to the conversation\n> two")
        terminal.type(CTRL_C)
        terminal.wait_for("> two\n>")
        before = terminal.modes()
        terminal.type("three\r")
        terminal.wait_for("Once")
        terminal.type(CTRL_C)
        terminal.wait_for_prompt()

        assert before == terminal.modes()


@pytest.mark.parametrize("is_answering", [True, False])
def test_sigterm_leaves_the_terminal_as_it_was(is_answering: bool, tmp_path: Path) -> None:
    with Terminal(tmp_path, [["Half an ", 60, "answer"]]) as terminal:
        before = terminal.modes()
        terminal.wait_for_prompt()
        if is_answering:
            terminal.type("one\r")
            terminal.wait_for("Half an")
        assert before != terminal.modes()
        os.kill(terminal.process.pid, signal.SIGTERM)

        assert -signal.SIGTERM == terminal.exit_code()
        assert before == terminal.modes()
        assert terminal.received.rstrip().endswith(b"\x1b[?2004l")


def test_ctrl_c_at_the_prompt_drops_the_line(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["Yes."]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("drop this" + CTRL_C)
        terminal.wait_for_prompt()
        terminal.say("keep", "Yes.")
        terminal.say("/journal", "answered")

        assert "1  answered     keep" in terminal.text


def test_an_error_is_shown_and_the_session_goes_on(tmp_path: Path) -> None:
    with Terminal(tmp_path, [{"fail": "the engine is on fire"}, "Fine."]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("one", "the engine is on fire")
        terminal.say("two", "Fine.")

        assert "Traceback" not in terminal.text
        assert "the engine is on fire\nnothing was added to the conversation" in terminal.text


def test_what_is_typed_while_an_answer_comes_is_not_drawn_into_it(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["one ", 0.3, "two"], "next"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("hi\r")
        terminal.wait_for("one")
        terminal.type("early\rlate")
        terminal.wait_for("next\n> late")

        assert "> hi\none two\n> early\nnext\n> late" in terminal.text


def test_lines_typed_while_an_answer_comes_reach_the_next_prompts(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["one ", 0.3, "two"], "A", "B", "C"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("hi\r")
        terminal.wait_for("one")
        terminal.type("x\x7falpha\rbeta" + ALT_ENTER + "gamma\r" + "delta\r" + CTRL_D)

        assert 0 == terminal.exit_code()
        assert "two\n> alpha\nA\n> beta\n. gamma\nB\n> delta\nC\n>" in terminal.text


def test_lines_typed_before_ctrl_c_stops_an_answer_are_not_lost(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["one ", 60, "two"], "A"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("hi\r")
        terminal.wait_for("one")
        terminal.type("alpha\r" + CTRL_C + "beta")
        terminal.wait_for("A\n> beta")

        assert "stopped\nnothing was added to the conversation\n> alpha\nA" in terminal.text


def test_a_word_after_a_command_that_takes_none_is_told(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("/exit now", "nothing can follow /exit; to do it: /exit.")
        terminal.type("/exit \r")

        assert 0 == terminal.exit_code()


def test_a_model_without_its_key_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    with Terminal(tmp_path, ["ok"], columns=200) as terminal:
        terminal.wait_for_prompt()
        terminal.say("/model gemini-2.5-flash", "export GEMINI_API_KEY=…")
        terminal.say("/model", "talking to scripted;")
        terminal.say("hi", "ok")
        terminal.say("/model ollama/qwen3", "talking to ollama/qwen3;")


def test_a_new_line_is_alt_enter_or_a_backslash(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("first\\\rsecond" + ALT_ENTER + "third\r")
        terminal.wait_for("ok")
        terminal.say("/history", "Model")

        assert "You\nfirst\nsecond\nthird\nModel" in terminal.text


def test_what_was_typed_is_remembered_in_a_file_of_ones_own(tmp_path: Path) -> None:
    for _ in range(2):
        with Terminal(tmp_path, ["ok"]) as terminal:
            terminal.wait_for_prompt()
            terminal.say("a question", "ok")
            terminal.type(CTRL_D)
            terminal.exit_code()
    history = tmp_path / "multiturn" / "history"
    assert 0o600 == stat.S_IMODE(history.stat().st_mode)
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type(UP)
        terminal.wait_for("> a question")


def test_a_history_file_that_cannot_be_kept_is_no_reason_not_to_talk(tmp_path: Path) -> None:
    (tmp_path / "multiturn").write_text("a file where a folder should be")
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("a question", "ok")


def test_an_unknown_command_suggests_the_nearest(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("/rewnid", "did you mean /rewind?")
        terminal.say(" /etc/passwd is what?", "ok")


def test_a_command_is_completed_with_the_tabulator(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["ok"]) as terminal:
        terminal.wait_for_prompt()
        terminal.type("/jour\t")
        terminal.wait_for("> /journal")


def test_a_fork_goes_its_own_way_and_back(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["one", "two"]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "one")
        terminal.say("/fork", "you are in conversation 2, a fork of 1, 1 turn")
        terminal.say("second", "two")
        terminal.say("/fork back", "you are in conversation 1, 1 turn;")
        terminal.say("/fork 2", "you are in conversation 2, a fork of 1, 2 turns;")
        terminal.say("/fork 7", "there is no conversation 7; there are: 1, 2")
        terminal.say("/rewind 2", "took off 2 turns, from “first” on; 0 turns left")
        terminal.say("/rewind", "cannot rewind 1 turn(s): the history has 0")


def test_clear_begins_anew_and_loses_nothing(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["one"]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "one")
        terminal.say("/clear", "/fork 1 returns")
        terminal.say("/history", "nothing has been said yet")
        terminal.say("/fork 1", "conversation 1, 1 turn")


def test_model_and_system_change_and_the_history_stays(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["one"]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "one")
        terminal.say("/system Be brief.", "from the next message on")
        terminal.say("/system", "\nBe brief.\n")
        terminal.say("/model anothre", "did you mean 'another'?")
        terminal.say("/model", "talking to scripted;")
        terminal.say("/model another", "talking to another;")
        terminal.say("/history", "You\nfirst\nModel\none")
        terminal.say("/system", "\nBe brief.\n>")


def test_a_transcript_is_saved_and_not_overwritten(tmp_path: Path) -> None:
    place = tmp_path / "talk.md"
    with Terminal(tmp_path, ["**one**"], columns=200) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "one")
        terminal.say(f"/save {place}", "saved 1 turn to")
        (back,) = read(place)
        assert (["first", "**one**"], ()) == ([said.text for said in back.history], back.lost)
        place.write_text("mine")
        terminal.say(f"/save {place}", "to overwrite it type /save!")
        assert "mine" == place.read_text()
        terminal.say(f"/save! {place}", "saved 1 turn to")
        assert "mine" != place.read_text()
        terminal.say(f"/save {tmp_path}", "is a folder; name a file in it")
        terminal.say(f"/save! {tmp_path}", "is a folder; name a file in it")
        terminal.say("/save /nowhere/x.md", "the folder /nowhere does not exist; make it first")
        terminal.say("/save! /dev/full", "/dev/full: No space left on device")


def test_a_file_goes_with_the_next_message_and_stays_attached_if_that_fails(
    tmp_path: Path,
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("the file's text")
    with Terminal(tmp_path, [{"fail": "gone"}, "read it"], columns=200) as terminal:
        terminal.wait_for_prompt()
        terminal.say(f"/file {notes}", "goes with your next message: notes.txt (15 bytes)")
        terminal.say("look", "gone")
        terminal.say("/file", "next message: notes.txt (15 bytes)\n>")
        terminal.say("look", "read it")
        terminal.say("/file", "next message: nothing")
        terminal.say("/history", "the file's text")


def test_the_terminal_obeys_no_escape_of_the_model(tmp_path: Path) -> None:
    evil = ["x \x1b]52;c;ZXZpbA==\x07 \x1b]8;;http://evil\x1b\\y \x1b[2J\x9b2J"]
    for option in ([], ["--no-markdown"]):
        with Terminal(tmp_path, [evil], *option) as terminal:
            terminal.wait_for_prompt()
            terminal.say("hi", "␛]52")
            terminal.say("/history", "Model")

            assert b"\x1b]52" not in terminal.received
            assert b"\x1b]8" not in terminal.received
            assert "> hi" in terminal.text


def test_an_answer_of_200_lines_is_kept_whole_in_a_small_terminal(tmp_path: Path) -> None:
    code = "```\n" + "".join(f"row {i}\n" for i in range(200)) + "```\n"
    pieces = [code[i : i + 9] for i in range(0, len(code), 9)]
    with Terminal(tmp_path, [pieces], columns=24, lines=8) as terminal:
        terminal.wait_for_prompt()
        terminal.say("hi", "row 199")

        assert list(map(str, range(200))) == re.findall(r"row (\d+)", terminal.text)


def test_one_question_in_a_terminal_is_drawn_as_markdown(tmp_path: Path) -> None:
    with Terminal(tmp_path, [["**bo", "ld** 漢字"]], "hi") as terminal:
        assert 0 == terminal.exit_code()
        assert "bold 漢字" == re.sub(r" (?=字)", "", terminal.text)


def test_no_markdown_shows_what_the_model_wrote(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["**bold**"], "hi", "--no-markdown") as terminal:
        assert 0 == terminal.exit_code()
        assert "**bold**" == terminal.text


def test_an_old_branch_can_be_gone_to(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["First.", "Second."], columns=200) as terminal:
        terminal.wait_for_prompt()
        terminal.say("one", "First.")
        terminal.say("/edit two", "Second.")
        terminal.say("/tree", "- ")
        digits = re.findall(r"- ([0-9a-f]{8}) one", terminal.text)
        terminal.say("/goto", "say which turn, by its digits in /tree")
        terminal.say("/goto 00000000", "say which turn, by its digits in /tree")
        terminal.say(f"/goto {digits[-1]}", "the last message is “one” now")
        terminal.say("/redo", "the last is “two”")


def test_the_journal_tells_an_error_in_words_of_the_terminal(tmp_path: Path) -> None:
    cut = "it was cut; what had arrived is in .response; send it again"
    with Terminal(tmp_path, [{"fail": cut}]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("one", "it was cut; send it again")
        terminal.say("/journal", "failed       one")

        assert ".response" not in terminal.text
        assert 2 == terminal.text.count("it was cut; send it again")
