"""What is done to ``chat.history`` is done to the conversation."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn import GenerativeModel, InvalidContent, SessionBusy, SQLiteStore
from multiturn.stores.errors import Conflict
from multiturn.testing import ScriptedBackend, function_calls
from multiturn.to_content import strict_to_content
from ways import Way, conversation, said

PAIR = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]


def user(text: str) -> Any:
    return strict_to_content({"role": "user", "parts": [text]})


def model(text: str) -> Any:
    return strict_to_content({"role": "model", "parts": [text]})


CHANGES: dict[str, Callable[[Any], Any]] = {
    "append": lambda h: h.append(user("x")),
    "extend": lambda h: h.extend([user("x"), model("y")]),
    "insert": lambda h: h.insert(0, user("x")),
    "pop": lambda h: h.pop(),
    "pop the first": lambda h: h.pop(0),
    "remove": lambda h: h.remove(h[1]),
    "clear": lambda h: h.clear(),
    "reverse": lambda h: h.reverse(),
    "sort": lambda h: h.sort(key=str),
    "set one": lambda h: h.__setitem__(0, user("x")),
    "set a slice": lambda h: h.__setitem__(slice(0, 2), [user("x")]),
    "delete one": lambda h: h.__delitem__(0),
    "delete a slice": lambda h: h.__delitem__(slice(None, 2)),
    "add": lambda h: h.__iadd__([user("x")]),
    "multiply": lambda h: h.__imul__(2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_change_of_the_list_is_sent_with_the_next_message(
    way: Way, change: Callable[[Any], Any]
) -> None:
    chat, backend = conversation("b", "Fine.", history=PAIR)
    await way.send(chat, "c")
    expected = list(chat.history)
    change(expected)
    change(chat.history)
    assert expected == chat.history
    await way.send(chat, "d")
    *past, last = backend.requests[-1].contents
    assert (expected, "d") == (past, last.text)


async def test_the_statements_of_python_work_on_it(way: Way) -> None:
    chat, _ = conversation("b", history=PAIR)
    await way.send(chat, "c")
    chat.history += [{"role": "user", "parts": ["x"]}]  # type: ignore[misc]
    assert ["q", "a", "c", "b", "x"] == said(chat)
    del chat.history[-1]
    chat.history[0] = user("Q")
    assert ["Q", "a", "c", "b"] == said(chat)
    chat.history *= 2
    assert ["Q", "a", "c", "b"] * 2 == said(chat)


async def test_a_list_that_is_held_acts_on_what_was_said_since(way: Way) -> None:
    chat, _ = conversation("b", history=PAIR)
    held = chat.history
    await way.send(chat, "c")
    held.append(user("x"))
    assert ["q", "a", "c", "b", "x"] == said(chat) == [content.text for content in held]


def test_what_is_no_content_changes_nothing() -> None:
    chat, _ = conversation(history=PAIR)
    history = chat.history
    for wrong in ("text", 3, {"role": "assistant", "parts": ["x"]}, {"role": "user"}):
        with pytest.raises(InvalidContent, match=r"\$\.history\[2\]"):
            history.append(wrong)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        history.pop(9)
    with pytest.raises(ValueError, match="not in list"):
        history.remove(user("x"))
    assert ["q", "a"] == said(chat) == [content.text for content in history]


async def test_turns_that_stay_are_the_same_turns(way: Way) -> None:
    chat, _ = conversation("A", "B", "C")
    for text in "abc":
        await way.send(chat, text)
    before = chat.turns
    del chat.history[-2:]
    assert before[:2] == chat.turns
    chat.history = chat.history[:2]
    assert before[:1] == chat.turns
    chat.history.append(user("x"))
    assert [before[0], before[0]] == [chat.turns[0], chat.turns[1].parent]


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h)), lambda h: h[:], list],
)
def test_a_copy_is_a_list_of_its_own(copied: Callable[[Any], Any]) -> None:
    chat, _ = conversation(history=PAIR)
    other = copied(chat.history)
    assert (list, chat.history) == (type(other), other)
    other.clear()
    assert 2 == len(chat.history)


def test_a_function_cannot_change_the_history_it_is_called_in() -> None:
    def forget() -> str:
        with pytest.raises(SessionBusy):
            chat.history.clear()
        return "no"

    backend = ScriptedBackend(function_calls(("forget", {})), "Fine.")
    chat = GenerativeModel(backend=backend, tools=[forget]).start_chat(
        enable_automatic_function_calling=True
    )
    assert "Fine." == chat.send_message("Forget it.").text
    assert 4 == len(chat.history)


async def test_in_a_store_it_lasts_and_what_was_said_stays_in_the_tree(
    way: Way, tmp_path: Path
) -> None:
    store = SQLiteStore(tmp_path / "chats.db")
    answering = GenerativeModel(backend=ScriptedBackend("A", "B", "C"))
    chat = answering.start_chat(session="a", store=store)
    for text in "ab":
        await way.send(chat, text)
    first, second = chat.turns
    chat.history.append(user("x"))
    chat.history.pop()
    del chat.history[-2:]
    assert [first.id] == [turn.id for turn in chat.turns]
    chat.history += [user("c"), model("d")]
    again = answering.start_chat(session="a", store=store)
    assert ["a", "A", "c", "d"] == said(again)
    assert first.id == again.turns[0].id
    assert second.id in [turn.id for turn in again.tree]
    await way.send(again, "e")
    assert ["a", "A", "c", "d", "e", "C"] == said(answering.start_chat(session="a", store=store))
    store.close()


def test_what_others_said_since_is_not_lost_to_a_change_of_the_list(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store, SQLiteStore(tmp_path / "chats.db") as other:
        backend = ScriptedBackend("A", "B")
        ada, bob = (
            GenerativeModel(backend=backend).start_chat(session="a", store=place)
            for place in (store, other)
        )
        ada.send_message("a")
        bob.send_message("b")
        history = ada.history
        with pytest.raises(Conflict, match="its head was moved"):
            history.append(user("x"))
        assert ["a", "A", "b", "B"] == said(ada) == said(bob)
        history.append(user("x"))
        assert ["a", "A", "b", "B", "x"] == said(ada)
        with pytest.raises(Conflict, match="its head was moved"):
            bob.history = ada.history[:2]
        bob.history = bob.history[:2]
        assert ["a", "A"] == said(bob)


places = st.integers(-4, 4)
texts = st.sampled_from("abc")
contents = st.builds(user, texts) | st.builds(model, texts)
steps = st.one_of(
    st.tuples(st.just("append"), contents),
    st.tuples(st.just("insert"), places, contents),
    st.tuples(st.just("pop"), places),
    st.tuples(st.just("__delitem__"), st.builds(slice, places, places)),
    st.tuples(st.just("__setitem__"), places, contents),
    st.tuples(st.just("extend"), st.lists(contents, max_size=3)),
)


@given(st.lists(steps, max_size=12))
def test_it_does_what_a_plain_list_does(plan: list[Any]) -> None:
    chat, _ = conversation(history=PAIR)
    plain: list[Any] = list(chat.history)
    for name, *arguments in plan:
        outcomes: list[Any] = []
        for target in (plain, chat.history):
            try:
                outcomes.append(getattr(target, name)(*arguments))
            except IndexError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
        assert plain == chat.history == [c for turn in chat.turns for c in turn.contents]
