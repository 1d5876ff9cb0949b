"""Ctrl-C within a transaction: nothing of it is done, and the store goes on working."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from multiturn import GenerativeModel
from multiturn.durable_turn import DurableTurn
from multiturn.errors import BackendError
from multiturn.stores.memory import MemoryStore
from multiturn.stores.sql import SqlStore
from multiturn.stores.sqlite import SQLiteStore
from multiturn.stores.sqlite_connection import within
from multiturn.testing import ScriptedBackend, function_calls
from ways import Way, said

KINDS: dict[str, Callable[[Path], SqlStore]] = {
    "memory": lambda folder: MemoryStore(),
    "sqlite": lambda folder: SQLiteStore(folder / "chats.db", busy_timeout_seconds=0.1),
}


def strike(run: Callable[[], object], statement: str) -> None:
    """Run, with KeyboardInterrupt as soon as a statement of a transaction was executed."""
    code = within.__code__
    is_next = False

    def line(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal is_next
        if event == "line":
            if is_next:
                sys.settrace(None)
                raise KeyboardInterrupt
            source, first = inspect.getsourcelines(code)
            is_next = statement in source[frame.f_lineno - first]
        return line

    tracer = sys.gettrace()
    sys.settrace(lambda frame, event, arg: line if frame.f_code is code else None)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        sys.settrace(tracer)


@pytest.mark.parametrize("kind", KINDS)
def test_a_transaction_that_had_just_begun_is_taken_back(kind: str, tmp_path: Path) -> None:
    with KINDS[kind](tmp_path) as store:
        store.open("ada")
        strike(lambda: store.rename("ada", "eve"), "execute(begin)")
        if kind == "sqlite":  # others may write at once
            with KINDS[kind](tmp_path) as other:
                other.open("bob")
        assert "eve" == store.open("eve").name


def test_a_look_that_had_just_begun_is_taken_back(tmp_path: Path) -> None:
    with KINDS["sqlite"](tmp_path) as store:
        store.open("ada")
        strike(lambda: store.state("ada"), "execute(begin)")
        assert "eve" == store.open("eve").name


async def test_a_turn_whose_end_could_not_be_noted_does_not_hold_the_session(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second Ctrl-C, say, while the end that the first one brought is written down."""
    model = GenerativeModel("m", backend=ScriptedBackend(BackendError("cut"), "Fine."))
    with MemoryStore() as store:
        chat = model.start_chat(session="ada", store=store)

        def told(turn: DurableTurn, error: BaseException | None = None) -> Any:
            if error is None:
                return record(turn)
            monkeypatch.setattr(DurableTurn, "_record", record)
            raise Interrupted

        record = DurableTurn._record
        monkeypatch.setattr(DurableTurn, "_record", told)
        with pytest.raises(Interrupted):
            await way.send(chat, "a")
        await way.send(chat, "b", request_options={"timeout": 0.05})
        assert ["b", "Fine."] == said(chat)
        assert ["interrupted", "answered"] == [entry.outcome for entry in chat.journal]


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_commit_that_is_interrupted_waits_to_be_done_only_if_it_was_not(
    way: Way, is_stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    effects: list[str] = []

    def work() -> str:
        effects.append("worked")
        return "done"

    def interrupted(store: SqlStore, *given: Any) -> Any:
        monkeypatch.setattr(SqlStore, "commit", commit)
        if is_stored:
            commit(store, *given)
        raise Interrupted

    commit, lines = SqlStore.commit, (function_calls(("work", {})), "One.", "Fine.")
    model = GenerativeModel("m", backend=ScriptedBackend(*lines), tools=[work])
    monkeypatch.setattr(SqlStore, "commit", interrupted)
    with MemoryStore() as store:
        chat = model.start_chat(session="ada", store=store, enable_automatic_function_calling=True)
        with pytest.raises(Interrupted):
            await way.send(chat, "a")
        assert ["a", "", "", "One."] == said(chat) if is_stored else [] == said(chat)
        assert is_stored == (chat.pending is None)
        if not is_stored:
            chat.resume()
            assert ["a", "", "", "Fine."] == said(chat)
        assert ["worked"] == effects


class Interrupted(BaseException):
    """As KeyboardInterrupt, which asyncio would let through all that runs."""
