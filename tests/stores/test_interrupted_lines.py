"""Ctrl-C at every line of a stored turn: store and history agree, and nobody waits for it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from conftest import EFFORT
from multiturn import ApprovalNeeded, ChatSession, GenerativeModel
from multiturn.errors import BackendError
from multiturn.stores.memory import MemoryStore
from multiturn.stores.sql import SqlStore
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend, function_calls
from multiturn.tools.functions import requires_approval
from multiturn.worker import catch_up
from striking import Strike, cancelled_at, moments, quiet_finalisers, strike
from ways import AT_ONCE, Async, Blocking, Way, in_thread, said

BEFORE = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
PIECES = ["One", "Two"]
CALL = function_calls(("work", {}))


class Place:
    """Where conversations rest, by way of two store objects as two programs have them."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.numbers = kind, folder, itertools.count()
        self.store = self._opened()
        self.other = self.store if kind == "memory" else self._opened()
        model = GenerativeModel(backend=ScriptedBackend())
        stored = model.start_chat(session="base", store=self.store, history=BEFORE)._stored
        assert stored is not None
        self.head = stored.state.head

    def _opened(self) -> SqlStore:
        if self.kind == "memory":
            return MemoryStore()
        path = self.folder / "chats.db"
        return SQLiteStore(path, synchronous="NORMAL", busy_timeout_seconds=0.2)

    def close(self) -> None:
        self.store.close()
        self.other.close()


class Case:
    """One session of a place, in which one scenario is struck once."""

    def __init__(self, place: Place, name: str, lines: Iterable[Any]) -> None:
        self.place, self.name = place, name
        self.effects: list[str] = []
        self.backend = ScriptedBackend(*lines)
        place.store.create(name, place.head)
        self.chat = self.opened(place.store)

    def opened(self, store: SqlStore) -> ChatSession:
        """Return the session as another process would find it."""
        store.recent.let_go()

        def work() -> str:
            self.effects.append("worked")
            return "done"

        tools = [requires_approval(work) if self.name.startswith("pause") else work]
        model = GenerativeModel("m", backend=self.backend, tools=tools, retry=AT_ONCE)
        return model.start_chat(
            session=self.name,
            store=store,
            enable_automatic_function_calling=True,
            unfinished="keep" if self.name.startswith("keep") else "drop",
        )

    def says(self, *lines: Any) -> None:
        """Have the model say this, and forget what it was to say."""
        self.backend._lines.clear()
        self.backend.add(*lines)


# -- what is struck -----------------------------------------------------------------------

Scenario = Callable[[Way, Case], Coroutine[Any, Any, None]]


async def send(way: Way, case: Case) -> None:
    await way.send(case.chat, "b")


async def stream(way: Way, case: Case) -> None:
    response = await way.send(case.chat, "b", stream=True)
    async for _ in way.read(response):
        pass


async def leave(way: Way, case: Case) -> None:
    response = await way.send(case.chat, "b", stream=True)
    async for _ in way.read(response):
        break


async def fail(way: Way, case: Case) -> None:
    with pytest.raises(BackendError):
        await way.send(case.chat, "b")


async def go_back(way: Way, case: Case) -> None:
    case.chat.rewind()
    case.chat.redo()


async def change(way: Way, case: Case) -> None:
    case.chat.history = [*BEFORE, {"role": "user", "parts": ["x"]}]
    case.chat.history.pop()


async def fork(way: Way, case: Case) -> None:
    case.chat.fork(session=f"{case.name}/fork")


async def edit(way: Way, case: Case) -> None:
    if way.name == "sync":
        case.chat.edit("b")
    else:
        await case.chat.edit_async("b")


async def resume(way: Way, chat: ChatSession) -> None:
    if way.name == "sync":
        chat.resume()
    else:
        await chat.resume_async()


def approve(chat: ChatSession) -> None:
    pending = chat.pending
    assert pending is not None
    pending.approve()


async def pause(way: Way, case: Case) -> None:
    with pytest.raises(ApprovalNeeded):
        await way.send(case.chat, "b")
    approve(case.chat)
    await resume(way, case.chat)


async def keep(way: Way, case: Case) -> None:
    with pytest.raises(BackendError):
        await way.send(case.chat, "b")


async def replace(way: Way, case: Case) -> None:
    response = await way.send(case.chat, "x", stream=True)
    await way.send(case.chat, "b")
    assert response.error is not None


OLD = ["q", "a"]
WHOLE = [*OLD, "b", "OneTwo"]
CALLED = [*OLD, "b", "", "", "OneTwo"]
CUT = ["One", BackendError("cut")]
# What is done, what the model says to it, and what may be the history when it was struck.
PATHS: dict[str, tuple[Scenario, list[Any], list[list[str]]]] = {
    "send": (send, [PIECES], [OLD, WHOLE]),
    "stream": (stream, [PIECES], [OLD, WHOLE]),
    "leave": (leave, [PIECES], [OLD, WHOLE]),
    "call": (send, [CALL, PIECES], [OLD, CALLED]),
    "pause": (pause, [CALL, PIECES], [OLD, CALLED]),
    "fail": (fail, [CUT], [OLD]),
    "keep": (keep, [CUT], [OLD, [*OLD, "b", "One"]]),
    "go back": (go_back, [], [OLD, []]),
    "change": (change, [], [OLD, [*OLD, "x"]]),
    "fork": (fork, [], [OLD]),
    "edit": (edit, [PIECES], [OLD, ["b", "OneTwo"]]),
    "replace": (replace, [["x", "y"], PIECES], [OLD, WHOLE]),
}
# By day only the lines that no path before has; of the store in memory, its own.
BY_DAY = [("sqlite", name) for name in PATHS] + [("memory", "send")]
BY_NIGHT = [(kind, name) for kind in ("memory", "sqlite") for name in PATHS]


def struck_at(way: Way, place: Place, name: str, n: int) -> tuple[Strike, Case]:
    scenario, lines, _ = PATHS[name]
    case = Case(place, f"{name} {next(place.numbers)}", lines)
    way.run(way.idle())  # what was left before is closed
    return strike(way, scenario(way, case), n), case


def places_in(way: Way, place: Place, names: Iterable[str]) -> set[Any]:
    """Return the lines of these scenarios."""
    return {at for name in names for at in struck_at(way, place, name, 0)[0].first}


def places_before(way: Way, place: Place, name: str) -> set[Any]:
    """Return the lines of what is struck before this by day."""
    if place.kind == "memory":
        files = Place("sqlite", place.folder)
        try:
            return places_in(way, files, PATHS)
        finally:
            files.close()
    known = places_in(way, place, itertools.takewhile(lambda one: one != name, PATHS))
    return known if way.name == "sync" else known | places_in(Blocking(), place, PATHS)


# -- and what must hold then ----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), BY_NIGHT if EFFORT == "nightly" else BY_DAY)
def test_an_interrupt_at_any_line_leaves_store_and_history_at_one(
    way: Way, kind: str, name: str, tmp_path: Path
) -> None:
    place = Place(kind, tmp_path)
    known = places_before(way, place, name) if EFFORT != "nightly" else ()
    tried, failures = 0, []
    with quiet_finalisers(), no_thread_dies():
        for n in moments(lambda: struck_at(way, place, name, 0)[0], known):
            struck, case = struck_at(way, place, name, n)
            if not struck.where:
                break
            tried += 1
            try:
                check(way, case, PATHS[name][2], other_first=bool(tried % 2))
            except AssertionError as error:
                failures.append(f"{struck.where}: {(str(error) or '?').splitlines()[0]}")
            struck.release()
    way.run(way.idle())
    place.close()
    assert [] == sorted(set(failures))
    assert [] == place.store.check()


def check(way: Way, case: Case, allowed: list[list[str]], other_first: bool) -> None:
    """The history is one of those allowed, here and there, and turns are added to it at once."""
    store, chat = case.place.store, case.chat
    require_free(store)
    try:
        chat._gate.let_go()  # the next call would; what it keeps is looked at before
        catch_up(store)
        assert said(chat) in allowed, said(chat)
        other = case.opened(case.place.other)
        assert said(chat) == said(other), (said(chat), said(other))
        if not other_first:
            go_on(way, case, said(chat))
        before = said(chat)
        for one in (other, chat) if other_first else (chat, other):
            case.says(["Fi", "ne."])
            one._busy = "raise"
            way.run(way.send(one, "c"))
            before += ["c", "Fine."]
            assert before == said(one), said(one)
        outcomes = [entry.outcome for entry in chat.journal]
    except Exception as error:
        if isinstance(error, AssertionError):
            raise
        raise AssertionError(repr(error)) from error
    assert "open" not in outcomes
    assert len(case.effects) <= 1


def go_on(way: Way, case: Case, before: list[str]) -> None:
    """What has begun to have effects can go on, to the end of its turn."""
    pending = case.chat.pending
    assert pending is not None or not case.effects or before == CALLED
    if case.name.startswith("pause") and "paused" in [one.outcome for one in case.chat.journal]:
        assert pending is not None or before == CALLED
    if pending is not None:
        assert before == OLD
        approve(case.chat)
        case.says("Fine.")
        try:
            way.run(resume(way, case.chat))
        except ApprovalNeeded:  # it broke off before it could wait
            approve(case.chat)
            way.run(resume(way, case.chat))
        assert "Fine." == said(case.chat)[-1]


def require_free(store: Any) -> None:
    """No thread has the store's lock, and no transaction is open in it."""

    def look() -> bool:
        assert store._lock.acquire(timeout=5), "the store is locked"
        try:
            return store._database is not None and store._database.in_transaction
        finally:
            store._lock.release()

    assert not in_thread(look), "in a transaction"


@contextmanager
def no_thread_dies() -> Iterator[None]:
    died: list[Any] = []
    before, threading.excepthook = threading.excepthook, died.append
    try:
        yield
    finally:
        threading.excepthook = before
    assert [] == died


# -- a store that is opened -----------------------------------------------------------------


def test_an_interrupt_while_a_store_is_opened_leaves_a_session_that_can_be(tmp_path: Path) -> None:
    way, numbers, failures = Blocking(), itertools.count(), []

    async def begin(store: SQLiteStore) -> None:
        model = GenerativeModel("m", backend=ScriptedBackend())
        model.start_chat(session="ada", store=store, history=BEFORE)

    def opened_at(n: int) -> tuple[Strike, SQLiteStore]:
        path = tmp_path / f"{next(numbers)}.db"
        store = SQLiteStore(path, synchronous="NORMAL", busy_timeout_seconds=0.2)
        return strike(way, begin(store), n), store

    place = Place("sqlite", tmp_path)
    known = places_in(way, place, PATHS)
    place.close()
    with quiet_finalisers(), no_thread_dies():
        # Each makes a file, which waits for the disk: by day every third.
        every = 1 if EFFORT == "nightly" else 3
        for n in itertools.islice(moments(lambda: opened_at(0)[0], known), None, None, every):
            struck, store = opened_at(n)
            if not struck.where:
                break
            try:
                require_usable(store)
            except Exception as error:
                failures.append(f"{struck.where}: {error!r}")
            struck.release()
    assert [] == sorted(set(failures))


def require_usable(store: SQLiteStore) -> None:
    """Both the store that was struck and another take a turn, after all of what was or none."""
    require_free(store)
    model = GenerativeModel("m", backend=ScriptedBackend("Fine.", "Fine."))
    before: list[str] | None = None
    with SQLiteStore(store.path, synchronous="NORMAL", busy_timeout_seconds=0.2) as other, store:
        catch_up(store)
        for one in (other, store):
            chat = model.start_chat(session="ada", store=one, busy="raise")
            before = said(chat) if before is None else before
            assert before == said(chat)
            assert before in ([], OLD, ["c", "Fine."], [*OLD, "c", "Fine."])
            chat.send_message("c")
            before += ["c", "Fine."]
        assert before == said(chat)
        assert [] == other.check()


# -- a task that is cancelled ---------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS)
def test_cancelling_at_any_await_leaves_store_and_history_at_one(name: str, tmp_path: Path) -> None:
    way, place = Async(), Place("sqlite", tmp_path)
    scenario, lines, allowed = PATHS[name]

    def cancelled(n: int) -> bool:
        case, seen = Case(place, f"{name} {n}", lines), list[int]()
        with suppress(asyncio.CancelledError):
            way.run(as_task(cancelled_at(n, scenario(way, case), seen)))
        check(way, case, allowed, other_first=bool(n % 2))
        way.run(way.idle())
        return len(seen) >= n

    with no_thread_dies():
        assert next(n for n in itertools.count(1) if not cancelled(n)) > 0
    way.close()
    place.close()
    assert [] == place.store.check()


async def as_task(steps: Any) -> None:
    await steps
