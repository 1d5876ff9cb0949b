"""The contract of a store, as tests that any store can run.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            with MyStore(tmp_path / "chats") as store:
                yield store

Nothing here needs pytest but the fixture.
"""

# ruff: noqa: SIM300  (expected == actual, as in all tests)
from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

from multiturn.errors import InvalidContent, SessionBusy
from multiturn.messages.message import Object
from multiturn.stores.conversing import (
    EMPTY,
    HARD_TEXTS,
    contents_of,
    error_of,
    new_attempt,
    say,
    texts,
    texts_after,
    turn_after,
)
from multiturn.stores.errors import Conflict, SessionExists, SessionMissing
from multiturn.stores.protocol import Store
from multiturn.stores.record import Record
from multiturn.stores.retention_contract import RetentionContract
from multiturn.stores.search_contract import SearchContract
from multiturn.stores.whole_contract import WholeContract

__all__ = (
    "EMPTY", "HARD_TEXTS", "StoreContract", "contents_of", "error_of", "new_attempt", "say",
    "texts", "turn_after",
)  # fmt: skip


class StoreContract(SearchContract, RetentionContract, WholeContract):
    """What every store does; inherit from it and bring a fixture ``store``."""

    def test_a_session_is_begun_once_and_opened_ever_after(self, store: Store) -> None:
        assert store.state("ada") is None
        begun = store.open("ada")
        assert (begun.head, begun.turns, begun.redo, begun.attempt) == (None, 0, (), "")
        assert begun == store.open("ada") == store.state("ada")

    def test_turns_are_read_as_they_were_said(self, store: Store) -> None:
        state = store.open("ada")
        for text in HARD_TEXTS:
            state = say(store, state, text)
        assert list(HARD_TEXTS) == texts(store, "ada")
        assert len(HARD_TEXTS) == state.turns
        assert [] == store.check()

    def test_a_line_may_be_read_in_part(self, store: Store) -> None:
        state = store.open("ada")
        for text in "abcde":
            state = say(store, state, text)
        assert state.head is not None
        whole = store.line(state.head)
        assert whole[:2] == store.line(state.head, 2)
        assert [4, 3, 2, 1, 0] == [turn.number for turn in whole]
        assert [turn.id for turn in whole[1:]] + [None] == [turn.parent for turn in whole]

    def test_bytes_are_stored_once_and_read_as_they_were(self, store: Store) -> None:
        import base64

        data = bytes(range(256)) * 40
        inline = {"mimeType": "image/png", "data": base64.b64encode(data).decode()}
        contents: list[Object] = [{"role": "user", "parts": [{"inlineData": inline}] * 2}]
        for name in ("ada", "bob"):
            attempt = new_attempt()
            state = store.begin(store.open(name), attempt, EMPTY)
            turn, blobs = turn_after(state, attempt, contents)
            assert 1 == len(blobs)
            assert len(turn.body) < 1000
            store.commit(state, [turn], blobs)
            assert contents == contents_of(store, turn)
            assert blobs == store.blobs([*blobs, "00" * 32])
        store.delete("ada")
        assert blobs == store.blobs(blobs)
        store.delete("bob")
        assert {} == store.blobs(blobs)

    def test_bytes_that_only_the_attempt_had_go_when_it_is_answered(self, store: Store) -> None:
        attempt, name, data = new_attempt(), hashlib.sha256(b"x" * 5000).hexdigest(), b"x" * 5000
        state = store.begin(store.open("ada"), attempt, Record(b"{}", {name: data}))
        assert {name: data} == store.blobs([name])
        turn, blobs = turn_after(state, attempt, [{"parts": [{"text": "a"}]}])
        store.commit(state, [turn], blobs)
        store.vacuum()
        assert {} == store.blobs([name])

    def test_bytes_that_were_noted_on_the_way_go_when_it_is_answered(self, store: Store) -> None:
        attempt, data = new_attempt(), b"b"
        state = store.begin(store.open("ada"), attempt, EMPTY)
        name = hashlib.sha256(data).hexdigest()
        store.note(state, Record(b"{}", {name: data}))
        assert {name: data} == store.blobs([name])
        turn, blobs = turn_after(state, attempt, [{"parts": [{"text": "a"}]}])
        store.commit(state, [turn], blobs)
        store.vacuum()
        assert {} == store.blobs([name])

    def test_a_session_under_way_is_busy_for_others(self, store: Store) -> None:
        state = store.open("ada")
        held = store.begin(state, new_attempt(), EMPTY)
        assert SessionBusy is error_of(lambda: store.begin(state, new_attempt(), EMPTY))
        assert SessionBusy is error_of(lambda: store.move(held, None))
        assert held.attempt
        store.settle(held, "failed", Record(b'{"a":1}', {}))
        assert "b" == texts_after(store, "b")
        (attempt,) = store.attempts("ada")
        assert ("failed", False, b'{"a":1}') == (attempt.outcome, attempt.is_alive, attempt.body)

    def test_beginning_twice_is_beginning_once(self, store: Store) -> None:
        attempt = new_attempt()
        first = store.begin(store.open("ada"), attempt, EMPTY)
        assert first[:7] == store.begin(first, attempt, EMPTY)[:7]

    def test_what_changed_without_a_new_version_is_told_by_begin(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        assert state.head is not None
        store.rename("ada", "bob")
        store.erase(state.head)
        begun = store.begin(state, new_attempt(), EMPTY)
        assert ("bob", state.erasures + 1) == (begun.name, begun.erasures)

    def test_a_session_seen_while_it_was_held_is_busy(self, store: Store) -> None:
        store.begin(store.open("ada"), new_attempt(), EMPTY)
        seen = store.open("ada")
        assert SessionBusy is error_of(lambda: store.begin(seen, new_attempt(), EMPTY))

    def test_what_is_known_of_an_attempt_can_be_read_while_it_runs(self, store: Store) -> None:
        state = store.begin(store.open("ada"), new_attempt(), Record(b"1", {}))
        store.note(state, Record(b"2", {}))
        store.renew([state, state._replace(attempt=new_attempt())])
        (attempt,) = store.attempts("ada")
        assert ("open", True, b"2") == (attempt.outcome, attempt.is_alive, attempt.body)
        assert (state.attempt, None) == (attempt.id, attempt.base)

    def test_the_first_end_of_an_attempt_stays(self, store: Store) -> None:
        state = store.begin(store.open("ada"), new_attempt(), Record(b"1", {}))
        store.settle(state, "cancelled", Record(b"2", {}))
        store.settle(state, "failed", Record(b"3", {}))
        store.note(state, Record(b"4", {}))
        assert [("cancelled", b"2")] == [(a.outcome, a.body) for a in store.attempts("ada")]

    def test_an_answered_attempt_leaves_no_trace_but_its_turn(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        assert [] == store.attempts("ada")
        assert "" == state.attempt
        assert [state.head] == [turn.id for turn in store.tree("ada")]

    def test_a_turn_is_committed_once_however_often_it_is_sent(self, store: Store) -> None:
        attempt = new_attempt()
        state = store.begin(store.open("ada"), attempt, EMPTY)
        turn, blobs = turn_after(state, attempt, [{"parts": [{"text": "a"}]}])
        after = store.commit(state, [turn], blobs)
        again = store.commit(state, [turn], blobs)
        assert (after.head, after.version) == (again.head, again.version)
        assert ["a"] == texts(store, "ada")

    def test_turns_of_which_only_the_first_is_stored_are_a_conflict(self, store: Store) -> None:
        attempt = new_attempt()
        state = store.begin(store.open("ada"), attempt, EMPTY)
        first, _ = turn_after(state, attempt, [{"parts": [{"text": "a"}]}])
        after = store.commit(state, [first], {})
        second, _ = turn_after(after, attempt, [{"parts": [{"text": "b"}]}])
        assert Conflict is error_of(lambda: store.commit(after, [first, second], {}))
        assert ["a"] == texts(store, "ada")
        assert [first.id] == [turn.id for turn in store.tree("ada")]

    def test_a_lost_lease_is_a_conflict_and_changes_nothing(self, store: Store) -> None:
        attempt = new_attempt()
        state = store.begin(store.open("ada"), attempt, EMPTY)
        store.settle(state, "interrupted", EMPTY)
        say(store, state, "theirs")
        turn, blobs = turn_after(state, attempt, [{"parts": [{"text": "ours"}]}])
        assert Conflict is error_of(lambda: store.commit(state, [turn], blobs))
        assert ["theirs"] == texts(store, "ada")
        assert [] == store.check()

    def test_a_deleted_session_is_never_brought_back(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        attempt = new_attempt()
        held = store.begin(state, attempt, EMPTY)
        assert SessionBusy is error_of(lambda: store.delete("ada"))
        store.delete("ada", even_if_busy=True)
        store.open("ada")
        turn, blobs = turn_after(held, attempt, [{"parts": [{"text": "b"}]}])
        assert SessionMissing is error_of(lambda: store.commit(held, [turn], blobs))
        first, blobs = turn_after(held._replace(head=None), attempt, [{"parts": []}])
        assert SessionMissing is error_of(lambda: store.commit(held, [first], blobs))
        assert SessionMissing is error_of(lambda: store.move(state, None))
        assert SessionMissing is error_of(lambda: store.begin(state, new_attempt(), EMPTY))
        assert [] == texts(store, "ada")

    def test_a_session_whose_turn_has_ended_can_be_deleted(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        store.settle(store.begin(state, new_attempt(), EMPTY), "failed", EMPTY)
        store.delete("ada")
        assert store.state("ada") is None

    def test_a_moved_head_is_seen_and_not_overwritten(self, store: Store) -> None:
        first = say(store, store.open("ada"), "a")
        second = say(store, first, "b")
        back = store.move(second, first.head, (str(second.head),))
        assert (first.head, 1, (second.head,)) == (back.head, back.turns, back.redo)
        assert Conflict is error_of(lambda: store.move(second, None))
        assert second.head == store.move(back, second.head).head
        assert ["a", "b"] == texts(store, "ada")

    def test_a_turn_after_a_rewind_ends_what_can_be_redone(self, store: Store) -> None:
        first = say(store, store.open("ada"), "a")
        second = say(store, first, "b")
        third = say(store, store.move(second, first.head, (str(second.head),)), "c")
        assert ((), 2) == (third.redo, third.turns)
        assert 3 == len(store.tree("ada"))

    def test_a_fork_shares_what_was_said_and_nothing_after(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        fork = store.create("bob", state.head)
        say(store, state, "b")
        say(store, fork, "c")
        assert (["a", "b"], ["a", "c"]) == (texts(store, "ada"), texts(store, "bob"))
        assert SessionExists is error_of(lambda: store.create("bob", None))
        store.delete("ada")
        assert ["a", "c"] == texts(store, "bob")
        assert [] == store.check()

    def test_sessions_are_listed_by_name_and_prefix(self, store: Store) -> None:
        for name in ("bob", "ada/2", "ada/1", "ada", "adb", "ü", "a%"):
            store.open(name)
        assert ["a%", "ada", "ada/1", "ada/2", "adb", "bob", "ü"] == [
            state.name for state in store.sessions()
        ]
        assert ["ada/1", "ada/2"] == [state.name for state in store.sessions("ada/")]
        assert [] == store.sessions("a_")

    def test_a_session_may_be_renamed_while_it_is_used(self, store: Store) -> None:
        state = say(store, store.open("ada"), "a")
        assert "bob" == store.rename("ada", "bob").name
        say(store, state, "b")
        store.open("eve")
        assert ["a", "b"] == texts(store, "bob")
        assert SessionMissing is error_of(lambda: store.rename("ada", "x"))
        assert SessionExists is error_of(lambda: store.rename("bob", "eve"))
        assert SessionMissing is error_of(lambda: store.delete("ada"))

    def test_names_that_no_terminal_can_show_are_refused(self, store: Store) -> None:
        for name in ("", " a", "a\n", "\x00", "\ud800", "a" * 201):
            assert InvalidContent is error_of(lambda name=name: store.open(name)), name
            assert InvalidContent is error_of(lambda name=name: store.create(name, None)), name

    def test_threads_that_begin_at_once_follow_one_another(self, store: Store) -> None:
        store.open("ada")

        def talk(who: int) -> None:
            for i in range(5):
                state = store.open("ada")
                while True:
                    try:
                        say(store, state, f"{who} {i}")
                        break
                    except SessionBusy:
                        continue

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(talk, range(4)))
        said = texts(store, "ada")
        assert 20 == len(said) == len(set(said))
        for who in range(4):
            mine = [text for text in said if text.startswith(f"{who} ")]
            assert [f"{who} {i}" for i in range(5)] == mine
