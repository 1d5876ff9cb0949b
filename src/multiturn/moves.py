"""Moves of a conversation among its turns: back, forth, and to any turn of the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.checks import whole
from multiturn.errors import NoSuchTurn, UsageError
from multiturn.history import Turn, path_of, said_and_answered
from multiturn.tree import count_of, tree_of

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.messages.content import Content


def rewind(chat: ChatSession, n: int) -> tuple[Content, Content]:
    """Take the last turns off; return what was said first in them, and answered last."""
    whole("n", n)
    with chat._gate.held():
        last, first = chat._now, chat.turn_before(n - 1)
        if first is None or last is None:
            count = count_of(last)
            raise NoSuchTurn(f"cannot rewind {n} turn(s): the history has {count}", count)
        _move(chat, first.parent, (*left_by(chat), last))
    return said_and_answered(first, last)


def redo(chat: ChatSession) -> None:
    """Return to where the last move began."""
    with chat._gate.held():
        if not (left := left_by(chat)):
            raise NoSuchTurn("nothing to redo since the last answer", count_of(chat._now))
        _move(chat, left[-1], left[:-1])


def last_message(chat: ChatSession) -> Content:
    """Return what the user said last, to be asked again."""
    chat._gate.let_go()  # what was left half-read may be kept, and is the last then
    head = chat._now
    if head is None or head.contents[0].role == "model":
        raise UsageError("nothing to ask again: the history does not end with a user's turn")
    path_of(head)  # nothing of what is damaged is said
    return head.contents[0]


def go_to(chat: ChatSession, turn: Turn | str) -> None:
    """Make a turn of the tree the last one."""
    with chat._gate.held():
        found, last = tree_of(chat).find(turn), unmoved_head(chat)
        left = left_by(chat)
        if last is None or found.id != last.id:
            _move(chat, found, left if last is None else (*left, last))


def left_by(chat: ChatSession) -> tuple[Turn, ...]:
    """Return the heads that rewinding left, to which ``redo`` returns, the latest last."""
    return chat._redo if chat._stored is None else chat._stored.left()


def leave(chat: ChatSession) -> None:
    """Keep the head in the tree of a conversation that is about to go on elsewhere."""
    head = chat._head if chat._stored is None else None  # a store keeps all by itself
    if head is not None:
        chat._ends.setdefault(head.id, head)


def unmoved_head(chat: ChatSession) -> Turn | None:
    """Return the head; raise Conflict if others have moved it in the store since it was seen."""
    if chat._stored is not None:
        seen, chat._head = chat._now, chat._stored.head()
        chat._stored.require_seen(seen)
    return chat._head


def _move(chat: ChatSession, head: Turn | None, left: tuple[Turn, ...]) -> None:
    if chat._stored is not None:
        seen = chat._head
        del chat._head  # whatever comes of it, it is read anew
        chat._stored.move(head, left, seen)
    leave(chat)
    chat._head, chat._redo, chat._pending = head, left, None
