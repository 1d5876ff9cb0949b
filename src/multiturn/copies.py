"""Forks and pickles of a conversation: all that was said, and nothing that is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from multiturn.errors import UsageError
from multiturn.gate import Gate
from multiturn.history import Turn
from multiturn.journal import JournalEntry, written
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.chat import ChatSession

ChatT = TypeVar("ChatT", bound="ChatSession")

# Locks, readers and stores stay where they are: a copy is a conversation in memory.
_LEFT_BEHIND = ("_gate", "_arriving", "_stored", "_redo")


def fork_of(chat: ChatT, session: str | None) -> ChatT:
    """Return another conversation at the same turn."""
    head, stored = chat._now, chat._stored
    if session is not None and stored is None:
        raise UsageError("this conversation is in no store, so that its fork has no name")
    other = type(chat).__new__(type(chat))
    vars(other).update(vars(chat))
    other._arriving = other._pending = other._stored = None
    other._redo = ()
    if session is not None and stored is not None:
        other._stored = stored.fork(session, head)
    other.calling = chat.calling.copy()
    other._journal = list(chat._journal)
    other._gate = Gate()
    return other


def state_of(chat: ChatSession) -> Object:
    """Return what is pickled."""
    turns = chat.turns
    return {
        **{name: value for name, value in vars(chat).items() if name not in _LEFT_BEHIND},
        "_head": [(turn.id, turn.contents, turn.outcome, written(turn.told)) for turn in turns],
        "_journal": [entry.pickled() for entry in chat._journal],
    }


def restore(chat: ChatSession, state: Object) -> None:
    """Make a conversation of what was pickled."""
    vars(chat).update(state)
    chat._gate, chat._arriving, chat._stored, chat._redo = Gate(), None, None, ()
    chat._head = None
    for turn_id, contents, outcome, told in state["_head"]:
        chat._head = Turn(chat._head, contents, turn_id, outcome, told)
    by_id = {turn.id: turn for turn in chat.turns}
    chat._journal = [JournalEntry.unpickled(entry, by_id) for entry in state["_journal"]]
