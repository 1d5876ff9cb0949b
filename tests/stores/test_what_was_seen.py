"""What changes a conversation refers to what its caller has seen of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from multiturn import BackendError, ChatSession, Conflict, NoSuchTurn
from multiturn.messages.content import Content
from multiturn.stores.protocol import Store
from stores.opening import opened
from ways import Way, said

HISTORY: list[Any] = [{"role": "user", "parts": ["new"]}]


def assign(chat: ChatSession) -> None:
    chat.history = HISTORY


def go_to_the_first(chat: ChatSession) -> None:
    chat.go_to(chat.turn_before(chat.turn_before(0).number))  # type: ignore[union-attr,arg-type]


CHANGES: dict[str, Callable[[ChatSession], object]] = {
    "history =": assign,
    "rewind": ChatSession.rewind,
    "edit": lambda chat: chat.edit("x"),
    "retry": ChatSession.retry,
    "go_to": go_to_the_first,
}
every_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def two_turns(store: Store) -> ChatSession:
    chat = opened(store)
    chat.send_message("one")
    chat.send_message("two")
    return chat


@every_change
def test_a_turn_of_another_that_was_not_seen_is_not_taken_away(
    store: Store, change: Callable[[ChatSession], object]
) -> None:
    ada = two_turns(store)
    assert 2 == len(ada.turns)
    opened(store).send_message("important")
    with pytest.raises(Conflict):
        change(ada)
    assert ["important", "to important"] == said(ada)[-2:] == said(opened(store))[-2:]
    change(ada)  # now it was told


def test_trimming_what_another_has_added_to_is_a_conflict(store: Store) -> None:
    ada = two_turns(store)
    kept = ada.turns[1:]
    opened(store).send_message("important")
    contents: list[Content] = [content for turn in kept for content in turn.contents]
    with pytest.raises(Conflict):
        ada.history = contents
    kept = ada.turns[1:]
    ada.history = [content for turn in kept for content in turn.contents]
    assert ["two", "to two", "important", "to important"] == said(opened(store))


@every_change
async def test_a_message_that_failed_has_shown_nothing(
    way: Way, store: Store, change: Callable[[ChatSession], object]
) -> None:
    ada = two_turns(store)
    opened(store).send_message("important")
    ada.model.backend._lines.appendleft(BackendError("gone"))  # type: ignore[attr-defined]
    with pytest.raises(BackendError):
        await way.send(ada, "three")
    with pytest.raises(Conflict):
        change(ada)
    assert ["important", "to important"] == said(opened(store))[-2:]


MISSES: dict[str, Callable[[ChatSession], object]] = {
    "redo": ChatSession.redo,
    "go_to": lambda chat: chat.go_to("f" * 64),
    "rewind": lambda chat: chat.rewind(9),
}


@pytest.mark.parametrize("miss", MISSES.values(), ids=MISSES)
async def test_a_move_that_found_no_turn_has_shown_nothing(
    way: Way, store: Store, miss: Callable[[ChatSession], object]
) -> None:
    ada = two_turns(store)
    opened(store).send_message("important")
    ada.model.backend._lines.appendleft(BackendError("gone"))  # type: ignore[attr-defined]
    with pytest.raises(BackendError):
        await way.send(ada, "three")
    with pytest.raises(NoSuchTurn) as caught:
        miss(ada)
    assert 3 == caught.value.turns
    with pytest.raises(Conflict):
        ada.rewind()
    assert ["important", "to important"] == said(opened(store))[-2:]


def test_going_to_the_last_turn_that_was_seen_tells_that_others_moved_on(store: Store) -> None:
    ada = two_turns(store)
    last = ada.turns[-1]
    opened(store).send_message("important")
    with pytest.raises(Conflict):
        ada.go_to(last)
    assert ["important", "to important"] == said(ada)[-2:]
    ada.go_to(last)
    assert ["two", "to two"] == said(ada)[-2:] == said(opened(store))[-2:]


@every_change
async def test_what_was_answered_or_looked_at_is_seen(
    way: Way, store: Store, change: Callable[[ChatSession], object]
) -> None:
    for look in (lambda chat: chat.turns, lambda chat: chat.history, lambda chat: chat.tree):
        ada = two_turns(store)
        opened(store).send_message("important")
        ada.model.backend._lines.appendleft(BackendError("gone"))  # type: ignore[attr-defined]
        with pytest.raises(BackendError):
            await way.send(ada, "three")
        look(ada)
        change(ada)
    ada = two_turns(store)
    opened(store).send_message("important")
    await way.send(ada, "three")
    change(ada)


def test_the_tree_that_was_looked_at_does_not_move_the_head(store: Store) -> None:
    ada = two_turns(store)
    opened(store).send_message("important")
    head = ada.tree.head
    assert head is not None
    assert "two" == head.contents[0].text
    assert 3 == len(ada.journal)
    with pytest.raises(Conflict):
        ada.rewind()
    assert ["important", "to important"] == said(ada)[-2:]


def test_what_nobody_looked_at_is_changed_as_it_is(store: Store) -> None:
    two_turns(store)
    ada = opened(store)
    opened(store).send_message("important")
    ada.rewind()
    assert ["two", "to two"] == said(ada)[-2:]
    bob = opened(store)
    bob.history = HISTORY
    assert ["new"] == said(opened(store))
