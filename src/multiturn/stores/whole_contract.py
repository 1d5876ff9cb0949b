"""The contract of how a store takes in a whole session; part of ``StoreContract``."""

# ruff: noqa: SIM300  (expected == actual, as in all tests)
from __future__ import annotations

from multiturn.stores.conversing import error_of, new_attempt, say, texts
from multiturn.stores.errors import Conflict, SessionExists
from multiturn.stores.protocol import Store, StoredAttempt, StoredTurn, WholeSession
from multiturn.stores.record import Record, recorded, turn_id

_DATA = "AAAA" * 500


def _record(text: str) -> Record:
    parts = [{"text": text}, {"inlineData": {"mimeType": "image/png", "data": _DATA}}]
    return recorded({"contents": [{"role": "user", "parts": parts}], "attempt": new_attempt()})


def whole_session() -> WholeSession:
    """Return a session of a turn that two follow, the second by a try that failed."""
    turns: list[StoredTurn] = []
    blobs: dict[str, bytes] = {}
    for place, (text, after) in enumerate((("a", None), ("b", 0), ("c", 0)), 1):
        record, parent = _record(text), None if after is None else turns[after].id
        identity, number = turn_id(parent, record.body), 0 if after is None else 1
        turns.append(StoredTurn(identity, parent, number, place, record.body, (*record.blobs,)))
        blobs.update(record.blobs)
    record, identity = _record("d"), new_attempt()
    tried = StoredAttempt(identity, turns[2].id, 4, "failed", False, record.body)
    blobs.update(record.blobs)
    head, used = turns[1].id, {identity: (*record.blobs,)}
    return WholeSession(turns, head, (turns[2].id,), [tried], used, blobs, 6)


class WholeContract:
    """Taking in sessions that were begun elsewhere."""

    def test_a_whole_session_is_taken_in_at_once(self, store: Store) -> None:
        whole = whole_session()
        state = store.restore("ada", whole)
        assert ("ada", whole.head, 2, 6) == (state.name, state.head, state.turns, state.version)
        assert (whole.redo, state) == (state.redo, store.state("ada"))
        assert ["a", "b"] == texts(store, "ada")
        assert [turn.id for turn in whole.turns] == [turn.id for turn in store.tree("ada")]
        assert [whole.attempts[0]] == store.attempts("ada")
        assert whole.blobs == store.blobs(whole.blobs)
        assert [] == store.check()
        say(store, state, "e")
        assert ["a", "b", "e"] == texts(store, "ada")

    def test_a_whole_session_leaves_nothing_behind_when_deleted(self, store: Store) -> None:
        whole = whole_session()
        store.restore("ada", whole)
        store.delete("ada")
        assert ({}, []) == (store.blobs(whole.blobs), store.check())
        store.restore("ada", whole)

    def test_a_taken_name_or_turn_lets_nothing_in(self, store: Store) -> None:
        whole = whole_session()
        say(store, store.open("ada"), "mine")
        assert SessionExists is error_of(lambda: store.restore("ada", whole))
        assert ["mine"] == texts(store, "ada")
        store.restore("bob", whole)
        assert Conflict is error_of(lambda: store.restore("eve", whole))
        assert ["ada", "bob"] == [state.name for state in store.sessions()]
