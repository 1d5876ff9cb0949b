"""Whole sessions between stores: what is recorded of turns, and how they are put back."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from multiturn.export.conversation import Conversation, tried
from multiturn.history import Turn
from multiturn.journal import JournalEntry, known_of
from multiturn.messages.message import Object
from multiturn.stored_session import StoredSession
from multiturn.stores.errors import Conflict
from multiturn.stores.protocol import Store, StoredAttempt, StoredTurn, WholeSession
from multiturn.stores.record import decoded, read, recorded, turn_id


def records_of(stored: StoredSession, turns: Iterable[str]) -> dict[str, Object]:
    """Return what a store keeps of turns beside their contents, by identity.

    Those that were erased since they were read are left out.
    """
    known = {row.id: row for row in stored.store.tree(stored.name)}
    records: dict[str, Object] = {}
    for turn in reversed([*turns]):
        if turn not in known:  # said, with all before it, in the session this was forked from
            known.update((row.id, row) for row in stored.store.line(turn))
        if known[turn].is_erased:
            continue
        members = decoded(known[turn].body)
        places = members.pop("blobs", ())
        if any(place[0] != "contents" for place in places):
            members = read(known[turn].body, stored.store.blobs)
        records[turn] = {name: value for name, value in members.items() if name != "contents"}
    return records


def restore(conversation: Conversation, store: Store, name: str) -> None:
    """Put a conversation into a store, as a new session, in one transaction.

    Turns that were stored before keep their identity, unless this store has them already.

    Raises:
        SessionExists: The name is taken.
    """
    try:
        store.restore(name, _Rows(conversation, anew=False).whole())
    except Conflict:
        store.restore(name, _Rows(conversation, anew=True).whole())


class _Rows:
    """Writes a conversation as rows; turns and tries keep their order in time.

    Args:
        anew: Whether turns get an identity that no store has.
    """

    def __init__(self, conversation: Conversation, *, anew: bool) -> None:
        self._conversation, self._anew, self._at = conversation, anew, time.time()
        self._turns: list[StoredTurn] = []
        self._attempts: list[StoredAttempt] = []
        self._used: dict[str, tuple[str, ...]] = {}
        self._blobs: dict[str, bytes] = {}
        self._ids: dict[str | None, str | None] = {None: None}

    def whole(self) -> WholeSession:
        """Return all rows."""
        conversation = self._conversation
        tries = [*reversed(conversation.tries)]
        for turn in (None, *conversation.turns):
            if turn is not None:
                self._add_turn(turn)
            while tries and tries[-1].place <= len(self._turns):
                self._add_try(tries.pop().entry)
        redo = [one for turn in conversation.redo if (one := self._ids[turn.id])]
        head = self._ids[_id(conversation.head)]
        # Beyond the last place: none of these tries is one that could still go on.
        version = self._place + 1
        rows = self._turns, head, redo, self._attempts, self._used, self._blobs
        return WholeSession(*rows, version)

    @property
    def _place(self) -> int:
        return len(self._turns) + len(self._attempts) + 1

    def _add_turn(self, turn: Turn) -> None:
        about: Object = {**self._conversation.records.get(turn.id, {})}
        if self._anew or "attempt" not in about:
            about["attempt"] = os.urandom(16).hex()
        about.setdefault("at", self._at)
        if turn.is_partial:
            about.setdefault("outcome", turn.outcome)
        record = recorded({"contents": [c.json_object for c in turn.contents], **about})
        parent, blobs = self._ids[_id(turn.parent)], (*record.blobs,)
        identity = self._ids[turn.id] = turn_id(parent, record.body)
        row = StoredTurn(identity, parent, turn.number, self._place, record.body, blobs)
        self._turns.append(row)
        self._blobs.update(record.blobs)

    def _add_try(self, entry: JournalEntry) -> None:
        record = recorded({"at": self._at, **tried(entry), **known_of(entry)})
        identity, base = os.urandom(16).hex(), self._ids[_id(entry.parent)]
        outcome = "interrupted" if entry.outcome == "open" else entry.outcome
        row = StoredAttempt(identity, base, self._place, outcome, False, record.body)
        self._attempts.append(row)
        self._used[identity] = (*record.blobs,)
        self._blobs.update(record.blobs)


def _id(turn: Turn | None) -> str | None:
    return None if turn is None else turn.id
