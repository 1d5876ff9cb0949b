"""Three handles on one store against a plain model: any order of calls, the same outcome."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from multiturn.errors import SessionBusy
from multiturn.stores.conformance import EMPTY, error_of, new_attempt, texts, turn_after
from multiturn.stores.errors import Conflict, SessionExists, SessionMissing
from multiturn.stores.memory import MemoryStore
from multiturn.stores.protocol import SessionState
from multiturn.stores.sqlite import SQLiteStore
from multiturn.stores.words import excerpt_of, phrases_of

HANDLES = st.integers(0, 2)
NAMES = st.sampled_from(["ada", "bob"])
WORDS = ["a b", "b a", "A", "\xe4 b", "b\x00c", ""]
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(codec=None), max_size=5)


class Stores(RuleBasedStateMachine):
    """The model: of each name the turns that lead to its head, what was said, who holds it."""

    @initialize(in_memory=st.booleans())
    def begin(self, in_memory: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        if in_memory:
            self.handles: list[Any] = [MemoryStore()] * 3
        else:
            path = self.folder / "chats.db"
            self.handles = [SQLiteStore(path, synchronous="NORMAL") for _ in range(3)]
        self.heads: dict[str, list[str]] = {}
        self.said: dict[str, set[str]] = {}
        self.turns: dict[str, tuple[str | None, str]] = {}  # what each follows, and says
        self.erased: set[str] = set()
        self.seen: dict[tuple[int, str], SessionState] = {}
        self.held: dict[str, SessionState] = {}

    def teardown(self) -> None:
        for handle in getattr(self, "handles", ()):
            handle.close()
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    @rule(who=HANDLES, name=NAMES)
    def open(self, who: int, name: str) -> None:
        state = self.handles[who].open(name)
        self.heads.setdefault(name, [])
        self.said.setdefault(name, set())
        self.seen[who, name] = state

    @rule(who=HANDLES, name=NAMES)
    def lease(self, who: int, name: str) -> None:
        state = self.seen.get((who, name))
        if state is None:
            return
        expected: type[BaseException] | None = None
        if self._is_gone(who, name):
            expected = SessionMissing
        elif name in self.held:
            expected = SessionBusy
        attempt = new_attempt()
        assert expected is error_of(lambda: self.handles[who].begin(state, attempt, EMPTY))
        if expected is None:
            self.held[name] = self.handles[who].begin(state, attempt, EMPTY)

    @rule(who=HANDLES, name=NAMES, text=TEXTS)
    def commit(self, who: int, name: str, text: str) -> None:
        if name not in self.held:
            return
        state = self.held.pop(name)
        contents = [{"role": "user", "parts": [{"text": text}]}]
        turn, blobs = turn_after(state, state.attempt, contents)
        self.handles[who].commit(state, [turn], blobs)
        self.turns[turn.id] = turn.parent, text
        self.heads[name].append(turn.id)
        self.said[name].add(turn.id)

    @rule(who=HANDLES, name=NAMES)
    def settle(self, who: int, name: str) -> None:
        if name in self.held:
            self.handles[who].settle(self.held.pop(name), "failed", EMPTY)

    @rule(who=HANDLES, name=NAMES)
    def rewind(self, who: int, name: str) -> None:
        state = self.seen.get((who, name))
        if state is None or state.head is None:
            return
        now = self.heads.get(name, [])
        back = now[-2] if len(now) > 1 else None
        expected: type[BaseException] | None = None
        if self._is_gone(who, name):
            expected = SessionMissing
        elif name in self.held:
            expected = SessionBusy
        elif state.head != (now[-1] if now else None):
            expected = Conflict
        assert expected is error_of(lambda: self.handles[who].move(state, back))
        if expected is None:
            self.heads[name].pop()

    @rule(who=HANDLES)
    def fork(self, who: int) -> None:
        if "ada" not in self.heads:
            return
        head = self.heads["ada"][-1] if self.heads["ada"] else None
        expected = SessionExists if "bob" in self.heads else None
        assert expected is error_of(lambda: self.handles[who].create("bob", head))
        if expected is None:
            self.heads["bob"], self.said["bob"] = [*self.heads["ada"]], set()

    @rule(who=HANDLES, name=NAMES)
    def delete(self, who: int, name: str) -> None:
        expected = None if name in self.heads else SessionMissing
        assert expected is error_of(lambda: self.handles[who].delete(name))
        self._forget(name)

    def _forget(self, name: str) -> None:
        for known in (self.heads, self.said, self.held):
            known.pop(name, None)

    @rule(who=HANDLES, prefix=st.sampled_from(["", "a", "bob"]))
    def prune(self, who: int, prefix: str) -> None:
        gone = [name for name in self.heads if name not in self.held and name.startswith(prefix)]
        assert len(gone) == self.handles[who].prune(older_than_seconds=0, prefix=prefix)
        for name in gone:
            self._forget(name)

    @rule(who=HANDLES, data=st.data())
    def erase(self, who: int, data: st.DataObject) -> None:
        there = sorted(self._reachable())
        if there:
            turn = data.draw(st.sampled_from(there))
            self.handles[who].erase(turn)
            self.erased.add(turn)

    @rule(who=HANDLES)
    def vacuum(self, who: int) -> None:
        self.handles[who].vacuum()

    @rule(who=HANDLES, query=st.sampled_from(["a", "b", "b a", '"b a"', "c"]))
    def search(self, who: int, query: str) -> None:
        expected = {
            turn
            for turn in self._reachable() - self.erased
            if excerpt_of(self.turns[turn][1], phrases_of(query))[1]
            and all(excerpt_of(self.turns[turn][1], [phrase])[1] for phrase in phrases_of(query))
        }
        found = self.handles[who].search(query, limit=1000)
        assert sorted(expected) == sorted(message.turn for message in found)
        assert {message.session for message in found} <= {*self.heads}

    def _reachable(self) -> set[str]:
        """Return the turns that lead to a head or were said in a session, and those before."""
        waiting = [*(turn for turns in self.heads.values() for turn in turns)]
        waiting += [turn for turns in self.said.values() for turn in turns]
        found: set[str] = set()
        while waiting:
            turn = waiting.pop()
            parent = self.turns[turn][0]
            if turn not in found and parent:
                waiting.append(parent)
            found.add(turn)
        return found

    def _is_gone(self, who: int, name: str) -> bool:
        now = self.handles[0].state(name)
        return now is None or now.key != self.seen[who, name].key

    @invariant()
    def every_handle_sees_what_the_model_says(self) -> None:
        if not hasattr(self, "handles"):
            return
        for handle in {id(handle): handle for handle in self.handles}.values():
            assert sorted(self.heads) == [state.name for state in handle.sessions()]
            for name, turns in self.heads.items():
                expected = [self.turns[turn][1] for turn in turns if turn not in self.erased]
                assert expected == texts(handle, name)
        assert [] == self.handles[0].check()


TestStores = Stores.TestCase
