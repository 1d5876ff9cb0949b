"""``/retry`` in a terminal: what failed, or the last question, is asked once more."""

from __future__ import annotations

from pathlib import Path

from tests.cli.terminal import Terminal


def test_retry_sends_a_message_that_failed_once_more(tmp_path: Path) -> None:
    script = ["Good.", {"fail": "gone"}, {"fail": "gone too"}, "Here.", "Elsewhere."]
    with Terminal(tmp_path, script) as terminal:
        terminal.wait_for_prompt()
        terminal.say("one", "Good.")
        terminal.say("two", "gone")
        terminal.say("/retry", "asking again: “two”\ngone too")
        terminal.say("/retry", "asking again: “two”\nHere.")
        terminal.say("/history", "You\none\nModel\nGood.\nYou\ntwo\nModel\nHere.\n>")
        terminal.say("/retry", "asking again: “two”\nElsewhere.")
        terminal.say("/history", "Elsewhere.\n>")

        assert "Model\nGood.\nYou\ntwo\nModel\nElsewhere." in terminal.text


def test_retry_puts_a_failed_edit_in_the_place_of_the_last_message(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["First.", {"fail": "gone"}, "Second."]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("one", "First.")
        terminal.say("/edit two", "gone")
        terminal.say("/retry", "asking again: “two”\nSecond.")
        terminal.say("/history", "You\ntwo\nModel\nSecond.\n>")

        assert "one" not in terminal.text.rsplit("/history", 1)[1]


def test_retry_after_a_rewind_asks_the_last_question_that_is_left(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["First.", "Second.", {"fail": "gone"}, "Third."]) as terminal:
        terminal.wait_for_prompt()
        terminal.say("/retry", "there is nothing to ask again")
        terminal.say("one", "First.")
        terminal.say("two", "Second.")
        terminal.say("three", "gone")
        terminal.say("/rewind", "1 turn left")
        terminal.say("/retry", "asking again: “one”\nThird.")


def test_retry_takes_the_files_along_that_the_failed_message_had(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("the file's text")
    (tmp_path / "more.txt").write_text("for later")
    with Terminal(tmp_path, [{"fail": "gone"}, "read it"], columns=200) as terminal:
        terminal.wait_for_prompt()
        terminal.say(f"/file {tmp_path / 'notes.txt'}", "notes.txt (15 bytes)")
        terminal.say("look", "gone")
        terminal.say(f"/file {tmp_path / 'more.txt'}", "more.txt (9 bytes)")
        terminal.say("/retry", "read it")
        terminal.say("/file", "goes with your next message: more.txt (9 bytes)\n>")
        terminal.say("/history", "the file's text")


def test_retry_sends_what_failed_in_a_session_that_is_kept(tmp_path: Path) -> None:
    file = str(tmp_path / "chats.db")
    with Terminal(tmp_path, ["Good.", {"fail": "gone"}], "--store", file, "--session", "a") as one:
        one.wait_for_prompt()
        one.say("one", "Good.")
        one.say("two", "gone")
        one.type("/exit\r")
        one.exit_code()
    with Terminal(tmp_path, ["Here."], "--store", file, "--session", "a") as again:
        again.wait_for_prompt()
        again.say("/retry", "asking again: “two”\nHere.")
        again.say("/history", "You\none\nModel\nGood.\nYou\ntwo\nModel\nHere.\na>")
