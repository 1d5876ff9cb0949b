"""A conversation goes to any turn of its tree, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiturn import (
    ApprovalNeeded,
    ChatSession,
    GenerativeModel,
    InvalidContent,
    NoSuchTurn,
    SQLiteStore,
)  # fmt: skip
from multiturn.testing import ScriptedBackend, function_calls
from multiturn.tools.functions import requires_approval
from ways import said


def begun(kind: str, tmp_path: Path) -> ChatSession:
    backend = ScriptedBackend(lambda request: f"to {request.contents[-1].text}", repeat=True)
    model = GenerativeModel(backend=backend)
    if kind == "memory":
        return model.start_chat()
    return model.start_chat(session="ada", store=SQLiteStore(tmp_path / "chats.db"))


@pytest.fixture(params=["memory", "stored"])
def chat(request: pytest.FixtureRequest, tmp_path: Path) -> ChatSession:
    chat = begun(request.param, tmp_path)
    chat.send_message("one")
    chat.send_message("old")
    chat.edit("new")
    return chat


def turn_of(chat: ChatSession, text: str) -> str:
    return next(turn.id for turn in chat.tree if turn.contents[0].text == text)


def test_an_old_branch_goes_on_and_the_new_one_stays(chat: ChatSession) -> None:
    chat.go_to(turn_of(chat, "old"))
    assert ["one", "to one", "old", "to old"] == said(chat)
    chat.send_message("more")
    assert ["one", "to one", "old", "to old", "more", "to more"] == said(chat)
    chat.go_to(turn_of(chat, "new"))
    assert ["one", "to one", "new", "to new"] == said(chat)
    assert 4 == len(chat.tree)
    if chat._stored is not None:
        again = chat.model.start_chat(session="ada", store=chat._stored.store)
        assert said(chat) == said(again)


def test_a_turn_is_named_by_itself_its_id_or_what_the_tree_shows_of_it(chat: ChatSession) -> None:
    old = next(turn for turn in chat.tree if turn.contents[0].text == "old")
    for named in (old, old.id, old.id[:8], old.id[:8].upper()):
        chat.go_to(turn_of(chat, "new"))
        chat.go_to(named)
        assert ["old", "to old"] == said(chat)[2:]
    assert old.id[:8] in str(chat.tree)


def test_redo_returns_step_by_step(chat: ChatSession) -> None:
    new = said(chat)
    chat.go_to(turn_of(chat, "old"))
    chat.go_to(turn_of(chat, "one"))
    chat.go_to(turn_of(chat, "one"))  # it is there
    chat.redo()
    assert ["old", "to old"] == said(chat)[2:]
    chat.redo()
    assert new == said(chat)
    with pytest.raises(NoSuchTurn):
        chat.redo()


def test_where_everything_was_taken_off_a_turn_can_be_gone_to(chat: ChatSession) -> None:
    chat.rewind(2)
    chat.go_to(turn_of(chat, "old"))
    assert ["old", "to old"] == said(chat)[2:]


def test_what_is_no_turn_of_the_tree_is_refused(chat: ChatSession, tmp_path: Path) -> None:
    before = said(chat)
    stranger = begun("memory", tmp_path)
    stranger.send_message("one")
    for named in (stranger.turns[0], "0" * 64, "00000000"):
        with pytest.raises(NoSuchTurn, match="the tree has no turn"):
            chat.go_to(named)
    for named in ("", turn_of(chat, "one")[:7], None, 3):
        with pytest.raises(InvalidContent, match="turn is"):
            chat.go_to(named)  # type: ignore[arg-type]
    assert before == said(chat)


@pytest.mark.parametrize("kind", ["memory", "stored"])
def test_a_turn_that_waits_is_let_go(kind: str, tmp_path: Path) -> None:
    @requires_approval
    def pay() -> None:
        """Pay."""

    chat = begun(kind, tmp_path)
    chat.send_message("one")
    chat.send_message("two")
    backend = ScriptedBackend(function_calls(("pay", {})))
    chat.model = GenerativeModel(backend=backend, tools=[pay])
    chat.enable_automatic_function_calling = True
    with pytest.raises(ApprovalNeeded):
        chat.send_message("go")
    chat.go_to(turn_of(chat, "one"))
    assert chat.pending is None
    assert ["one", "to one"] == said(chat)
