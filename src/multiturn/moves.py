"""Moves of a conversation among its turns: back, forth, and to any turn of the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.checks import whole
from multiturn.errors import InvalidContent, NoSuchTurn, UsageError
from multiturn.history import Turn, path_of, said_and_answered

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.messages.content import Content

# A beginning of an identity that is shorter may soon be that of another turn too.
_LEAST_DIGITS = 8


def rewind(chat: ChatSession, n: int) -> tuple[Content, Content]:
    """Take the last turns off; return what was said first in them, and answered last."""
    whole("n", n)
    with chat._gate.held():
        last, first = chat._now, chat.turn_before(n - 1)
        if first is None or last is None:
            count = last.number + 1 if last else 0
            raise NoSuchTurn(f"cannot rewind {n} turn(s): the history has {count}", count)
        _move(chat, first.parent, (*chat._left, last))
    return said_and_answered(first, last)


def redo(chat: ChatSession) -> None:
    """Return to where the last move began."""
    with chat._gate.held():
        if not (left := chat._left):
            raise NoSuchTurn("nothing to redo since the last answer", len(chat.turns))
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
        last, left = chat._now, chat._left
        if chat._stored is not None:
            chat._stored.require_seen(last)  # the tree, which is looked at now, shows all
        found = _found(chat, turn)
        if last is None or found.id != last.id:
            _move(chat, found, left if last is None else (*left, last))


def _found(chat: ChatSession, turn: Turn | str) -> Turn:
    digits = turn.id if isinstance(turn, Turn) else turn
    if not isinstance(digits, str) or len(digits) < _LEAST_DIGITS:
        expected = f"a turn of chat.tree, its id, or at least {_LEAST_DIGITS} digits of that"
        raise InvalidContent("turn", turn, expected)
    found = [one for one in chat.tree if one.id.startswith(digits)]
    if len(found) != 1:
        what = f"{len(found)} turns begin with" if found else "the tree has no turn"
        raise NoSuchTurn(f"{what} {digits[:64]!r}; print(chat.tree) shows all", len(chat.turns))
    return found[0]


def _move(chat: ChatSession, head: Turn | None, left: tuple[Turn, ...]) -> None:
    if chat._stored is not None:
        seen = chat._head
        del chat._head  # whatever comes of it, it is read anew
        chat._stored.move(head, left, seen)
    chat._head, chat._redo, chat._pending = head, left, None
