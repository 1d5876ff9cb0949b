"""Others change a session, or its store fails, between two looks at it: nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from multiturn import ApprovalNeeded, ChatSession, GenerativeModel
from multiturn.errors import BackendError, SessionBusy
from multiturn.stores import holder
from multiturn.stores.conversing import EMPTY, new_attempt
from multiturn.stores.errors import Conflict, DiskFull
from multiturn.stores.protocol import SessionState
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend, function_calls
from multiturn.tools.functions import requires_approval
from ways import AT_ONCE, Way, said

# Opens a session as a process of its own would, with these answers of the model.
Opener = Callable[..., ChatSession]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Opener]:
    stores: list[SQLiteStore] = []

    def opened(*lines: Any, name: str = "ada", tools: Any = None, **options: Any) -> ChatSession:
        stores.append(SQLiteStore(path))
        model = GenerativeModel(backend=ScriptedBackend(*lines), retry=AT_ONCE, tools=tools)
        return model.start_chat(session=name, store=stores[-1], **options)

    yield opened
    for store in stores:
        store.close()


def pause(chat: ChatSession) -> None:
    with pytest.raises(ApprovalNeeded):
        chat.send_message("go")
    assert "paused" == chat.journal[-1].outcome  # so that others see it too


async def test_calls_that_another_approved_are_not_run_again(way: Way, opened: Opener) -> None:
    paid: list[int] = []

    @requires_approval
    def pay(euros: int) -> None:
        paid.append(euros)

    options: dict[str, Any] = {"tools": [pay], "enable_automatic_function_calling": True}
    ada = opened(function_calls(("pay", {"euros": 1})), "done twice", **options)
    pause(ada)
    bob = opened("done", **options)
    assert ada.pending is not None
    assert bob.pending is not None
    ada.pending.approve()
    bob.pending.approve()
    await way.resolve(bob.resume() if way.name == "sync" else await bob.resume_async())
    with pytest.raises(Conflict, match="its turn does not wait any more"):
        await way.resolve(ada.resume() if way.name == "sync" else await ada.resume_async())
    assert [1] == paid
    assert ada.pending is None
    assert ["go", "", "", "done"] == said(ada) == said(opened())


def test_a_pause_of_another_stays_after_one_that_is_over_was_resumed(opened: Opener) -> None:
    @requires_approval
    def pay(euros: int) -> None:
        """Pay."""

    options: dict[str, Any] = {"tools": [pay], "enable_automatic_function_calling": True}
    ada, bob = (opened(function_calls(("pay", {"euros": n})), **options) for n in (1, 2))
    for chat in (ada, bob):
        pause(chat)
    assert ada.pending is not None
    ada.pending.approve()
    with pytest.raises(Conflict):
        ada.resume()
    assert ada.pending is not None
    assert [{"euros": 2}] == [call.args for call in ada.pending.calls]


def test_what_broke_off_is_not_kept_behind_what_another_said(opened: Opener) -> None:
    def look(at: int) -> int:
        return at

    call = {"functionCall": {"name": "look", "args": {"at": 1}}}
    content = {"parts": [{"text": "I look."}, call], "role": "model"}
    chunk = {"candidates": [{"content": content, "finishReason": "STOP"}]}
    ada = opened(
        [chunk],
        ["half", BackendError("cut")],
        tools=[look],
        enable_automatic_function_calling=True,
    )
    with pytest.raises(BackendError, match="cut"):
        ada.send_message("go")
    pending = ada.pending
    assert pending is not None
    assert "failed" == ada.journal[-1].outcome
    opened("to bob").send_message("bob")
    with pytest.raises(Conflict):
        pending.keep()
    assert ["bob", "to bob"] == said(opened())
    assert ada.pending is None


def test_a_turn_whose_lease_was_lost_takes_nothing_off(opened: Opener) -> None:
    ada = opened(["slow", " answer"])
    reader = iter(ada.send_message("ada", stream=True))
    next(reader)
    holder.under_way.clear()  # as if it had not been heard of for long
    opened("to bob").send_message("bob")
    assert "bob" in str(ada.tree)  # looks at the session, and does not lease it anew
    with pytest.raises(Conflict):
        list(reader)
    assert ["bob", "to bob"] == said(opened())


def test_a_lease_is_alive_from_when_the_store_shows_it(path: Path) -> None:
    refused: list[str] = []
    with SQLiteStore(path) as mine, SQLiteStore(path) as other:
        state, alone = mine.open("ada"), mine._alone

        def looked_at(*given: Any, **named: Any) -> Any:
            done = alone(*given, **named)
            with pytest.raises(SessionBusy):
                other.begin(other.open("ada"), new_attempt(), EMPTY)
            refused.append("at once")
            return done

        mine._alone = looked_at  # type: ignore[method-assign]
        mine.begin(state, new_attempt(), EMPTY)
    assert ["at once"] == refused


def test_a_lease_that_could_not_be_had_is_forgotten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise DiskFull("the disk is full", store="chats.db")

    with SQLiteStore(path) as store:
        state, attempt = store.open("ada"), new_attempt()
        monkeypatch.setattr(SQLiteStore, "_alone", full)
        with pytest.raises(DiskFull):
            store.begin(state, attempt, EMPTY)
    assert attempt not in holder.under_way


def test_a_session_is_free_after_its_new_history_could_not_be_stored(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(*_: Any) -> SessionState:
        raise DiskFull("the disk is full", store="chats.db")

    chat = opened("to b", busy="raise")
    with monkeypatch.context() as patch:
        patch.setattr(SQLiteStore, "commit", commit)
        with pytest.raises(DiskFull):
            chat.history = ["a"]
    assert "to b" == chat.send_message("b").text


def test_a_pause_is_left_as_it_was_if_it_could_not_be_kept(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    @requires_approval
    def pay() -> None:
        """Pay."""

    def commit(*_: Any) -> SessionState:
        raise DiskFull("the disk is full", store="chats.db")

    content = {"parts": [{"text": "I pay."}, {"functionCall": {"name": "pay"}}], "role": "model"}
    chunk = {"candidates": [{"content": content, "finishReason": "STOP"}]}
    options: dict[str, Any] = {"tools": [pay], "enable_automatic_function_calling": True}
    pause(opened([chunk], **options))
    chat = opened(**options)
    assert chat.pending is not None
    with monkeypatch.context() as patch:
        patch.setattr(SQLiteStore, "commit", commit)
        with pytest.raises(DiskFull):
            chat.pending.keep()
    assert chat.pending is not None
    chat.pending.keep()
    assert ["go", "I pay."] == said(opened())


def test_no_attempt_follows_a_turn_that_has_the_number_of_a_deleted_one(opened: Opener) -> None:
    bob = opened("to 1", "to 2", name="bob")
    for text in "12":
        bob.send_message(text)
    ada = bob.fork("ada")
    ada.model = GenerativeModel(backend=ScriptedBackend(BackendError("no")), retry=AT_ONCE)
    with pytest.raises(BackendError):
        ada.send_message("tried")
    ada.rewind()
    assert bob._stored is not None
    bob._stored.store.delete("bob")
    opened("a secret", name="eve").send_message("eve's")
    (entry,) = opened().journal
    assert ("tried", None) == (entry.content.text, entry.parent)


def test_tree_and_journal_show_nothing_that_another_erased(opened: Opener, path: Path) -> None:
    for look in (lambda chat: str(chat.tree), lambda chat: str(chat.journal[-1].parent)):
        chat = opened("1", "2", "3", name=f"s{path.stat().st_size if path.exists() else 0}")
        for text in ("first", "secret", "third"):
            chat.send_message(text)
        with SQLiteStore(path) as other:
            other.erase(chat.turns[1].id)
        assert "secret" not in look(chat)
        assert "first" in look(chat)


def test_the_tree_marks_the_last_turn_after_another_erased_one(opened: Opener, path: Path) -> None:
    chat = opened("1", "2")
    for text in ("secret", "second"):
        chat.send_message(text)
    with SQLiteStore(path) as other:
        other.erase(chat.turns[0].id)
    assert str(chat.tree).startswith("* ")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells of others")
def test_a_process_that_ended_is_dead_though_nobody_has_asked_about_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = holder._name_of(process.pid)
        assert not holder.is_dead(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
        assert holder.is_dead(name)
