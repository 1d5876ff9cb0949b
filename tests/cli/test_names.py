"""A conversation gets a name at a terminal, or another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.lasting import names, said, store
from tests.cli.terminal import Terminal

from multiturn import GenerativeModel
from multiturn.cli.conversation import Conversation
from multiturn.cli.options import Options
from multiturn.cli.place import Place
from multiturn.errors import BackendError
from multiturn.testing import ScriptedBackend

CTRL_C, CTRL_D = "\x03", "\x04"


def test_a_conversation_in_memory_gets_a_name_and_lasts(tmp_path: Path) -> None:
    said(tmp_path, "taken", "x")
    with Terminal(tmp_path, ["One.", "Two."], columns=500) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "One.")
        terminal.say("/session", "in memory only; /name NAME keeps it")
        terminal.say("/fork new", "/name NAME keeps it first")
        terminal.say("/name", "as in: /name planning")
        terminal.say("/name taken", "exists already")
        terminal.say("/name talk", "multiturn chat --session talk goes on with it\ntalk>")
        terminal.say("second", "Two.")
        terminal.say("/name speech", "kept from now on")
        terminal.type("/exit\r")
        terminal.exit_code()

    assert [("speech", 2), ("taken", 1)] == [
        (state.name, state.turns) for state in store(tmp_path).sessions()
    ]


def test_a_name_that_was_only_looked_at_is_not_kept(tmp_path: Path) -> None:
    said(tmp_path, "planning", "first")
    with Terminal(tmp_path, ["Yes."], "--session", "plannign", columns=250) as terminal:
        terminal.wait_for("there is planning too, /session planning goes there")
        terminal.wait_for_prompt()
        terminal.say("/session other", "a new conversation, kept as other")
        terminal.say("/session planning", "planning, 1 turn")
        terminal.type(CTRL_D)
        assert 0 == terminal.exit_code()

    assert ["planning"] == names(tmp_path)


def test_a_conversation_that_gets_a_name_has_its_tree_and_its_journal_still(tmp_path: Path) -> None:
    backend = ScriptedBackend("One.", "Two.", BackendError("no", retryable=False))
    place = Place(str(tmp_path / "chats.db"))
    conversation = Conversation(Options(), lambda _: GenerativeModel(backend=backend), place)
    conversation.chat.send_message("Say a number.")
    conversation.chat.retry()
    with pytest.raises(BackendError):
        conversation.chat.send_message("And now?")
    conversation.name("numbers")
    chat = conversation.chat
    assert ["One.", "Two."] == [turn.contents[-1].text for turn in chat.tree]
    assert ["Say a number.", "Two."] == [content.text for content in chat.history]
    assert "And now?" in [entry.content.text for entry in chat.journal]
    place.close()


def test_of_a_session_that_was_deleted_elsewhere_the_turns_get_another_name(
    tmp_path: Path,
) -> None:
    with Terminal(tmp_path, ["Red.", "Blue."], "--session", "x", columns=200) as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "Red.")
        terminal.say("second", "Blue.")
        store(tmp_path).delete("x")
        terminal.say("/fork y", "session 'x' was deleted meanwhile")
        terminal.say("/name y", "kept from now on")
        terminal.say("third", "Red.")
        terminal.say("/history", "You\nfirst\nModel\nRed.\nYou\nsecond\nModel\nBlue.\n")
    known = store(tmp_path)
    assert (["y"], []) == (names(tmp_path), known.check())
    assert 3 == known.state("y").turns  # type: ignore[union-attr]


def test_a_session_opened_by_mistake_leaves_its_name_free(tmp_path: Path) -> None:
    with Terminal(tmp_path, ["One."], "--session", "plan") as terminal:
        terminal.wait_for_prompt()
        terminal.say("first", "One.")
        terminal.say("/session plam", "a new conversation, kept as plam")
        terminal.say("/session plan", "plan, 1 turn")
        terminal.say("/name plam", "kept from now on")
        terminal.say("/fork list", "* conversation 1 (plam), 1 turn")
        terminal.say("/sessions", "* plam  1 turn")

        assert "conversation 2" not in terminal.text
