"""The tree of a conversation has every turn that was its last, however it was led elsewhere."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multiturn import BackendError, ChatSession, GenerativeModel, SQLiteStore, load_chat
from multiturn.testing import ScriptedBackend
from ways import Way

GIVEN: list[Any] = [
    {"role": "user", "parts": ["one"]},
    {"role": "model", "parts": ["to one"]},
    {"role": "user", "parts": ["two"]},
    {"role": "model", "parts": ["to two"]},
]
OTHER: list[Any] = [{"role": "user", "parts": ["new"]}, {"role": "model", "parts": ["to new"]}]


@pytest.fixture(params=["memory", "stored"])
def chat(request: pytest.FixtureRequest, tmp_path: Path) -> ChatSession:
    backend = ScriptedBackend(lambda request: f"to {request.contents[-1].text}", repeat=True)
    model = GenerativeModel(backend=backend)
    if request.param == "memory":
        return model.start_chat(history=GIVEN)
    store = SQLiteStore(tmp_path / "chats.db")
    return model.start_chat(history=GIVEN, session="ada", store=store)


def first_words(chat: ChatSession) -> list[str]:
    return [turn.contents[0].text for turn in chat.tree]


def go_back(chat: ChatSession) -> None:
    chat.go_to(chat.tree.turns[0])
    chat.send_message("three")


def rewind(chat: ChatSession) -> None:
    chat.rewind()
    chat.send_message("three")


def assign(chat: ChatSession) -> None:
    chat.history = [*GIVEN[:2], {"role": "user", "parts": ["three"]}]


def assign_another(chat: ChatSession) -> None:
    chat.history = OTHER


def take_off(chat: ChatSession) -> None:
    del chat.history[2:]
    chat.history.append({"role": "user", "parts": ["three"]})


LEADS: dict[str, tuple[Callable[[ChatSession], object], str]] = {
    "go_to": (go_back, "three"),
    "rewind": (rewind, "three"),
    "edit": (lambda chat: chat.edit("three"), "three"),
    "retry": (ChatSession.retry, "two"),
    "history =": (assign, "three"),
    "another history": (assign_another, "new"),
    "del": (take_off, "three"),
}
every_lead = pytest.mark.parametrize(("lead", "said"), LEADS.values(), ids=LEADS)


@every_lead
def test_what_was_given_stays_in_the_tree(
    chat: ChatSession, lead: Callable[[ChatSession], object], said: str
) -> None:
    given = chat.turns
    lead(chat)
    assert ["one", "two", said] == first_words(chat)
    chat.go_to(given[-1])
    assert ["one", "two"] == [turn.contents[0].text for turn in chat.turns]
    chat.send_message("four")
    assert ["one", "two", said, "four"] == first_words(chat)


COPIERS: dict[str, Callable[[Any], Any]] = {
    "fork": ChatSession.fork,
    "copy": copy.copy,
    "pickle": lambda chat: pickle.loads(pickle.dumps(chat)),
    "JSON": lambda chat: load_chat(chat.to_json(), chat.model),
}


@pytest.mark.parametrize("copied", COPIERS.values(), ids=COPIERS)
@every_lead
def test_what_was_given_stays_in_copies(
    lead: Callable[[ChatSession], object], said: str, copied: Callable[[Any], Any]
) -> None:
    model = GenerativeModel(backend=ScriptedBackend("Yes.", repeat=True))
    chat = model.start_chat(history=GIVEN)
    lead(chat)
    other = copied(chat)
    other.model = model
    assert ["one", "two", said] == first_words(other)
    assert str(chat.tree) == str(other.tree)
    other.retry()
    other.go_to(chat.tree.turns[1])
    other.send_message("four")
    assert ["one", "two", said, said, "four"] == first_words(other)
    assert ["one", "two", said] == first_words(chat)


@pytest.mark.parametrize("copied", COPIERS.values(), ids=COPIERS)
def test_turns_are_told_in_the_order_in_which_they_came(copied: Callable[[Any], Any]) -> None:
    model = GenerativeModel(backend=ScriptedBackend("Yes.", repeat=True))
    chat = model.start_chat(history=GIVEN)
    chat.edit("three")
    chat.edit("four")
    two, three = chat.tree.turns[1:3]
    chat.go_to(two)
    chat.send_message("five")
    chat.go_to(three)
    chat.send_message("six")
    for one in (chat, copied(chat)):
        assert ["one", "two", "three", "four", "five", "six"] == first_words(one)
        children = one.tree.children(one.tree.roots[0])
        assert ["two", "three", "four"] == [turn.contents[0].text for turn in children]


async def test_an_edit_that_failed_leaves_the_tree_as_it_was(way: Way) -> None:
    model = GenerativeModel(backend=ScriptedBackend(BackendError("no"), "Yes."))
    chat = model.start_chat(history=GIVEN)
    with pytest.raises(BackendError):
        chat.edit("three")
    assert ["one", "two"] == first_words(chat)
    await way.send(chat, "four")
    assert ["one", "two", "four"] == first_words(chat)


def test_what_a_stored_fork_had_from_another_session_and_leaves_is_in_that_one(
    tmp_path: Path,
) -> None:
    model = GenerativeModel(backend=ScriptedBackend("Yes.", repeat=True))
    with SQLiteStore(tmp_path / "chats.db") as store:
        ada = model.start_chat(history=GIVEN, session="ada", store=store)
        bob = ada.fork("bob")
        assert ["one", "two"] == first_words(bob)
        bob.edit("three")
        assert ["one", "three"] == first_words(bob)
        assert ["one", "two"] == first_words(ada)


def test_a_history_that_only_grows_leaves_nothing_behind() -> None:
    model = GenerativeModel(backend=ScriptedBackend())
    chat = model.start_chat()
    for number in range(20):
        chat.history.append({"role": "user", "parts": [f"{number}"]})
        chat.history.append({"role": "model", "parts": ["yes"]})
    assert 20 == len(chat.tree)
    assert {} == chat._ends


def test_going_to_and_fro_leaves_each_turn_once() -> None:
    model = GenerativeModel(backend=ScriptedBackend())
    chat = model.start_chat(history=GIVEN)
    for _ in range(20):
        chat.rewind(2)
        chat.redo()
        chat.go_to(chat.tree.turns[0])
        chat.go_to(chat.tree.turns[1])
    assert 2 == len(chat.tree) == len(chat._ends)
