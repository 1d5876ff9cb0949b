"""The contract of how a store lets go of what it holds; part of ``StoreContract``."""

# ruff: noqa: SIM300  (expected == actual, as in all tests)
from __future__ import annotations

import base64
import time
from typing import Any
from unittest.mock import patch

from multiturn.errors import InvalidContent
from multiturn.messages.message import Object
from multiturn.stores.conversing import (
    EMPTY,
    error_of,
    new_attempt,
    say,
    texts,
    turn_after,
)
from multiturn.stores.errors import TurnMissing
from multiturn.stores.protocol import SessionState, Store
from multiturn.stores.record import recorded


def _try(store: Store, state: SessionState, contents: list[Object]) -> None:
    """Begin a turn that comes to nothing."""
    record = recorded({"contents": contents})
    store.settle(store.begin(state, new_attempt(), record), "failed", record)


def _prune_all(store: Store) -> int:
    now = time.time()
    while time.time() <= now:  # a clock may be coarse
        pass
    return store.prune(older_than_seconds=0)


class RetentionContract:
    """Erasing turns, pruning sessions, giving space back."""

    def test_an_erased_turn_leaves_every_branch_and_its_place_stays(self, store: Store) -> None:
        first = say(store, store.open("ada"), "a")
        second = say(store, first, "secret")
        fork = store.create("bob", second.head)
        say(store, fork, "c")
        third = say(store, second, "d")
        assert second.head is not None
        store.erase(second.head)
        assert (["a", "d"], ["a", "c"]) == (texts(store, "ada"), texts(store, "bob"))
        line = store.line(str(third.head))
        assert [third.head, second.head, first.head] == [turn.id for turn in line]
        assert [False, True, False] == [turn.is_erased for turn in line]
        assert [b""] == [turn.body for turn in store.tree("ada") if turn.id == second.head]
        assert [] == store.check()
        say(store, store.open("ada"), "e")
        assert ["a", "d", "e"] == texts(store, "ada")
        assert [] == store.check()

    def test_when_a_session_changed_stays_though_the_clock_is_set_back(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        changed_at = store.sessions()[0].changed_at
        with patch("time.time", lambda: changed_at - 86400):
            state = store.move(say(store, state, "b"), None)
        assert [changed_at] == [session.changed_at for session in store.sessions()]
        assert 0 == store.prune(older_than_seconds=3600)
        say(store, state, "c")
        assert changed_at <= store.sessions()[0].changed_at

    def test_the_first_and_the_last_turn_can_be_erased(self, store: Store) -> None:
        state = store.open("ada")
        for text in "abc":
            state = say(store, state, text)
        assert state.head is not None
        last, _, first = store.line(state.head)
        store.erase(first.id)
        store.erase(last.id)
        assert ["b"] == texts(store, "ada")
        say(store, store.open("ada"), "d")
        assert ["b", "d"] == texts(store, "ada")
        assert [] == store.check()

    def test_erasing_is_told_to_those_who_look_at_a_session(self, store: Store) -> None:
        before = say(store, store.open("ada"), "a")
        assert before.head is not None
        store.erase(before.head)
        now = store.state("ada")
        assert now is not None
        assert before.erasures < now.erasures == store.open("bob").erasures

    def test_erasing_twice_is_erasing_once_and_what_is_not_there_is_named(
        self, store: Store
    ) -> None:
        state = say(store, store.open("ada"), "a")
        assert state.head is not None
        store.erase(state.head)
        once = store.state("ada")
        store.erase(state.head)
        assert once == store.state("ada")
        for unknown in ("00" * 32, "x", "", state.head[:12]):
            assert TurnMissing is error_of(lambda turn=unknown: store.erase(turn)), unknown

    def test_what_was_erased_is_not_found(self, store: Store) -> None:
        state = say(store, store.open("ada"), "plan one")
        erased = say(store, state, "plan secret")
        last = say(store, erased, "plan three")
        assert 3 == len(store.search("plan"))
        assert erased.head is not None
        store.erase(erased.head)
        assert [last.head, state.head] == [found.turn for found in store.search("plan")]
        assert [] == store.search("secret")
        later = say(store, last, "plan secret").head
        assert later is not None
        store.erase(later)  # before anybody has searched for it
        assert [] == store.search("secret")
        assert [] == store.check()

    def test_bytes_of_an_erased_turn_go_unless_another_has_them(self, store: Store) -> None:
        state, turns = store.open("ada"), []
        for size in (3000, 4000, 4000):
            data = base64.b64encode(b"x" * size).decode()
            parts = [{"inlineData": {"mimeType": "image/png", "data": data}}]
            attempt = new_attempt()
            state = store.begin(state, attempt, EMPTY)
            turn, blobs = turn_after(state, attempt, [{"role": "user", "parts": parts}])
            state = store.commit(state, [turn], blobs)
            turns.append(turn)
        store.erase(turns[0].id)
        store.erase(turns[1].id)
        assert {} == store.blobs(turns[0].blobs)
        assert {*turns[1].blobs} == {*store.blobs(turns[1].blobs)}
        store.erase(turns[2].id)
        assert {} == store.blobs(turns[1].blobs)
        assert [] == store.check()

    def test_attempts_that_said_the_same_are_erased(self, store: Store) -> None:
        contents: list[Object] = [{"role": "user", "parts": [{"text": "secret"}]}]
        _try(store, store.open("ada"), contents)
        _try(store, store.open("ada"), [{"role": "user", "parts": [{"text": "other"}]}])
        state = say(store, store.open("ada"), "secret")
        _try(store, store.open("ada"), contents)
        assert 3 == len(store.attempts("ada"))
        assert state.head is not None
        store.erase(state.head)
        (left,) = store.attempts("ada")
        assert b"other" in left.body

    def test_sessions_that_nobody_changed_are_pruned(self, store: Store) -> None:
        shared = say(store, store.open("ada/1"), "old")
        say(store, store.open("bob"), "old too")
        then = time.time()
        while time.time() <= then:
            pass
        say(store, store.create("ada/2", shared.head), "new")
        then += 0.000001
        assert 1 == store.prune(before=then, prefix="ada/")
        assert ["ada/2", "bob"] == [state.name for state in store.sessions()]
        assert ["old", "new"] == texts(store, "ada/2")
        assert 1 == store.prune(before=then)
        assert 0 == store.prune(older_than_seconds=3600)
        assert ["ada/2"] == [state.name for state in store.sessions()]
        assert 1 == _prune_all(store)
        assert ([], []) == (store.sessions(), store.check())

    def test_a_session_with_a_turn_under_way_is_not_pruned(self, store: Store) -> None:
        held = store.begin(store.open("ada"), new_attempt(), EMPTY)
        assert 0 == _prune_all(store)
        store.settle(held, "failed", EMPTY)
        assert 1 == _prune_all(store)

    def test_attempts_of_long_ago_are_pruned_from_sessions_that_stay(self, store: Store) -> None:
        _try(store, store.open("ada"), [{"role": "user", "parts": [{"text": "a"}]}])
        then = time.time() + 0.001
        while time.time() <= then:
            pass
        say(store, store.open("ada"), "b")
        _try(store, store.open("ada"), [{"role": "user", "parts": [{"text": "c"}]}])
        assert 0 == store.prune(before=then)
        (left,) = store.attempts("ada")
        assert b'"c"' in left.body

    def test_a_moment_is_given_in_one_way(self, store: Store) -> None:
        say(store, store.open("ada"), "a")
        ahead, nan = time.time() + 60, float("nan")
        refused: list[dict[str, Any]] = [{}, {"before": 1.0, "older_than_seconds": 1.0}]
        refused += [{"before": value} for value in (nan, float("inf"), -1, True, "1", ahead)]
        refused += [{"older_than_seconds": value} for value in (nan, -1, -0.001, False, "1")]
        for given in refused:
            assert InvalidContent is error_of(lambda given=given: store.prune(**given)), given
        assert ["a"] == texts(store, "ada")

    def test_giving_space_back_changes_nothing_that_is_there(self, store: Store) -> None:
        state = store.open("ada")
        for i in range(20):
            state = say(store, state, f"number {i}")
        say(store, store.open("bob"), "gone")
        store.search("number")
        store.delete("bob")
        before = store.line(str(state.head))
        store.vacuum()
        assert before == store.line(str(state.head))
        assert 20 == len(store.search("number", limit=50))
        say(store, state, "number 20")
        assert 21 == len(store.search("number", limit=50))
        assert [] == store.check()
