"""Forks and pickles of a conversation: all that was said, and nothing that is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from multiturn.errors import UsageError
from multiturn.gate import Gate
from multiturn.history import Outcome, Told, Turn
from multiturn.journal import JournalEntry, written
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.tree import Tree

if TYPE_CHECKING:
    from multiturn.chat import ChatSession

ChatT = TypeVar("ChatT", bound="ChatSession")

# Locks, readers and stores stay where they are: a copy is a conversation in memory.
_LEFT_BEHIND = ("_gate", "_arriving", "_stored", "_redo", "_ends")


def fork_of(chat: ChatT, session: str | None) -> ChatT:
    """Return another conversation at the same turn."""
    head, stored = chat._now, chat._stored
    if session is not None and stored is None:
        raise UsageError("this conversation is in no store, so that its fork has no name")
    other = type(chat).__new__(type(chat))
    vars(other).update(vars(chat))
    other._arriving = other._pending = other._stored = None
    other._redo, other._ends = (), chat._ends.copy()
    if session is not None and stored is not None:
        other._stored = stored.fork(session, head)
    other.calling = chat.calling.copy()
    other._journal = list(chat._journal)
    other._gate = Gate()
    return other


def state_of(chat: ChatSession) -> Object:
    """Return what is pickled."""
    line = chat.turns  # all that a copy of a stored one has
    turns = Tree([*chat._ends.values(), *line], None)
    return {
        **{name: value for name, value in vars(chat).items() if name not in _LEFT_BEHIND},
        "_head": line[-1].id if line else None,
        "_turns": [_pickled(turn) for turn in turns],
        "_journal": [entry.pickled() for entry in chat._journal],
    }


def _pickled(turn: Turn) -> tuple[str | None, Sequence[Content], str, Outcome, Told]:
    parent = turn.parent.id if turn.parent else None
    return parent, turn.contents, turn.id, turn.outcome, written(turn.told)


def restore(chat: ChatSession, state: Object) -> None:
    """Make a conversation of what was pickled."""
    kept = dict(state)
    turns: dict[str, Turn] = {}
    for parent, *given in kept.pop("_turns"):
        turn = Turn(turns.get(parent), *given)
        turns[turn.id] = turn
    vars(chat).update(kept)
    chat._gate, chat._arriving, chat._stored, chat._redo = Gate(), None, None, ()
    chat._head, chat._ends = turns.get(kept["_head"]), turns
    chat._journal = [JournalEntry.unpickled(entry, turns) for entry in kept["_journal"]]
