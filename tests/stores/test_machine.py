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

HANDLES = st.integers(0, 2)
NAMES = st.sampled_from(["ada", "bob"])
TEXTS = st.text(st.characters(codec=None), max_size=5)


class Stores(RuleBasedStateMachine):
    """The model: of each name its texts, what can be redone, and who holds it."""

    @initialize(in_memory=st.booleans())
    def begin(self, in_memory: bool) -> None:
        self.folder = Path(tempfile.mkdtemp())
        if in_memory:
            self.handles: list[Any] = [MemoryStore()] * 3
        else:
            path = self.folder / "chats.db"
            self.handles = [SQLiteStore(path, synchronous="NORMAL") for _ in range(3)]
        self.model: dict[str, list[str]] = {}
        self.heads: dict[str, list[str]] = {}
        self.seen: dict[tuple[int, str], SessionState] = {}
        self.held: dict[str, SessionState] = {}

    def teardown(self) -> None:
        for handle in getattr(self, "handles", ()):
            handle.close()
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    @rule(who=HANDLES, name=NAMES)
    def open(self, who: int, name: str) -> None:
        state = self.handles[who].open(name)
        self.model.setdefault(name, [])
        self.heads.setdefault(name, [])
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
        self.model[name].append(text)
        self.heads[name].append(turn.id)

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
            self.model[name].pop()
            self.heads[name].pop()

    @rule(who=HANDLES)
    def fork(self, who: int) -> None:
        if "ada" not in self.model:
            return
        head = self.heads["ada"][-1] if self.heads["ada"] else None
        expected = SessionExists if "bob" in self.model else None
        assert expected is error_of(lambda: self.handles[who].create("bob", head))
        if expected is None:
            self.model["bob"], self.heads["bob"] = [*self.model["ada"]], [*self.heads["ada"]]

    @rule(who=HANDLES, name=NAMES)
    def delete(self, who: int, name: str) -> None:
        expected = None if name in self.model else SessionMissing
        assert expected is error_of(lambda: self.handles[who].delete(name))
        self.model.pop(name, None)
        self.heads.pop(name, None)
        self.held.pop(name, None)

    def _is_gone(self, who: int, name: str) -> bool:
        now = self.handles[0].state(name)
        return now is None or now.key != self.seen[who, name].key

    @invariant()
    def every_handle_sees_what_the_model_says(self) -> None:
        if not hasattr(self, "handles"):
            return
        for handle in {id(handle): handle for handle in self.handles}.values():
            assert sorted(self.model) == [state.name for state in handle.sessions()]
            for name, expected in self.model.items():
                assert expected == texts(handle, name)
        assert [] == self.handles[0].check()


TestStores = Stores.TestCase
