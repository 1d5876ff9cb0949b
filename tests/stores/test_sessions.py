"""A conversation that rests in a store: opened, continued, moved, forked."""

from __future__ import annotations

import asyncio
import base64
import copy
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel, MemoryStore, SessionBusy, UsageError
from multiturn.errors import BackendError, InvalidContent
from multiturn.export import load_chat
from multiturn.stores.errors import Conflict, SessionExists, SessionMissing
from multiturn.stores.protocol import Store
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend, function_calls
from ways import AT_ONCE, Way, said, wire

Opener = Callable[..., ChatSession]


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend(_echo, repeat=True)


def _echo(request: Any) -> str:
    return f"to {request.contents[-1].text}"


@pytest.fixture
def opened(store: Store, backend: ScriptedBackend) -> Opener:
    def opened(name: str = "ada", **options: Any) -> ChatSession:
        model = GenerativeModel(backend=backend, retry=AT_ONCE)
        return ChatSession(model, session=name, store=store, **options)

    return opened


async def test_a_session_goes_on_where_it_was_left(way: Way, opened: Opener) -> None:
    chat = opened()
    await way.send(chat, "one")
    await way.send(chat, "two", stream=True)
    again = opened()
    assert ["one", "to one"] == said(again)[:2]
    assert wire(chat)[:2] == wire(again)[:2]
    await way.resolve(await way.send(again, "three", stream=True))
    assert ["one", "to one", "three", "to three"] == said(opened())


async def test_two_that_share_a_session_follow_each_other(way: Way, opened: Opener) -> None:
    one, other = opened(), opened()
    await way.send(one, "a")
    await way.send(other, "b")
    await way.send(one, "c")
    assert ["a", "to a", "b", "to b", "c", "to c"] == said(one) == said(opened())


async def test_a_stored_reply_is_whole_with_its_provenance(way: Way, opened: Opener) -> None:
    chat = opened()
    await way.send(chat, "one", generation_config={"temperature": 0.5})
    for known in (chat, opened()):
        about = known.turns[-1].about
        assert about is not None
        assert ("scripted", {"temperature": 0.5}) == (about.model, about.parameters)
        assert "STOP" == about.finish_reason.name
        assert 0 < (about.first_chunk_seconds or 0) <= about.seconds


async def test_a_failed_turn_is_in_the_journal_of_every_process(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = opened()
    await way.send(chat, "one")
    backend._lines.appendleft(["part", BackendError("gone")])
    with pytest.raises(BackendError):
        await way.send(chat, "two")
    assert ["one", "to one"] == said(chat)
    entry = opened().journal[-1]
    assert ("two", "failed", "part") == (entry.content.text, entry.outcome, entry.partial_text)
    assert "gone" in str(entry.error)
    await way.send(chat, "three")
    assert ["answered", "failed", "answered"] == [e.outcome for e in opened().journal]
    assert opened().pending is None


async def test_the_journal_has_what_was_called_and_returned_before_a_turn_failed(
    way: Way, opened: Opener, backend: ScriptedBackend, store: Store
) -> None:
    def look(at: int) -> int:
        return at

    backend._lines.extendleft([BackendError("gone"), function_calls(("look", {"at": 1}))])
    chat = opened(enable_automatic_function_calling=True)
    chat.model = GenerativeModel(backend=backend, retry=AT_ONCE, tools=[look])
    with pytest.raises(BackendError):
        await way.send(chat, "go")
    entry = opened().journal[-1]
    assert ["user", "model", "user"] == [content.role for content in entry.contents]
    assert {"result": 1} == dict(entry.contents[2].parts[0].function_response.response)
    copy = load_chat(opened().to_json(), chat.model)
    assert entry.contents == copy.journal[-1].contents


async def test_rewinding_is_undone_until_something_is_said(way: Way, opened: Opener) -> None:
    chat = opened()
    for text in "abc":
        await way.send(chat, text)
    assert "c" == chat.rewind()[0].text
    chat.rewind()
    again = opened()
    assert ["a", "to a"] == said(again)
    again.redo()
    assert ["a", "to a", "b", "to b"] == said(again)
    again.redo()
    assert 6 == len(again.history)
    with pytest.raises(IndexError, match="nothing to redo"):
        again.redo()
    again.rewind(2)
    await way.send(again, "d")
    with pytest.raises(IndexError):
        again.redo()
    assert 4 == len(again.tree)


async def test_rewinding_works_in_memory_too(way: Way, backend: ScriptedBackend) -> None:
    chat = ChatSession(GenerativeModel(backend=backend))
    for text in "ab":
        await way.send(chat, text)
    chat.rewind()
    chat.redo()
    assert ["a", "to a", "b", "to b"] == said(chat)
    chat.rewind()
    await way.send(chat, "c")
    with pytest.raises(IndexError):
        chat.redo()
    assert 3 == len(chat.tree)
    with pytest.raises(UsageError, match="in no store"):
        chat.fork("name")


async def test_a_session_that_another_moved_is_not_moved_blindly(way: Way, opened: Opener) -> None:
    one, other = opened(), opened()
    await way.send(one, "a")
    assert ["a", "to a"] == said(other)
    await way.send(one, "b")
    with pytest.raises(Conflict, match="its head was moved"):
        other.rewind()
    assert 4 == len(other.history)
    other.rewind()
    assert ["a", "to a"] == said(opened())


async def test_an_edit_is_a_branch_and_a_retry_keeps_both_answers(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    chat = opened()
    await way.send(chat, "a")
    await way.send(chat, "b")
    edit, retry = (
        (chat.edit, chat.retry) if way.name == "sync" else (chat.edit_async, chat.retry_async)
    )
    answer: Any = edit("c")
    answer = answer if way.name == "sync" else await answer
    assert ("to c", ["a", "to a", "c", "to c"]) == (answer.text, said(chat))
    backend._lines.appendleft("another")
    again: Any = retry()
    again = again if way.name == "sync" else await again
    assert ("another", ["a", "to a", "c", "another"]) == (again.text, said(chat))
    assert ["a", "b", "c", "c"] == [turn.contents[0].text for turn in chat.tree]
    assert 3 == len(chat.tree.children(chat.tree.roots[0]))
    backend._lines.appendleft(BackendError("no"))
    with pytest.raises(BackendError):
        chat.retry()
    assert ["a", "to a", "c", "another"] == said(opened())


async def test_a_fork_has_its_own_name_and_future(way: Way, opened: Opener, store: Store) -> None:
    chat = opened()
    await way.send(chat, "a")
    fork = chat.fork("bob")
    await way.send(fork, "b")
    await way.send(chat, "c")
    assert ["a", "to a", "b", "to b"] == said(opened("bob"))
    assert ["a", "to a", "c", "to c"] == said(opened())
    with pytest.raises(SessionExists):
        chat.fork("bob")
    loose = chat.fork()
    await way.send(loose, "d")
    assert ["ada", "bob"] == [state.name for state in store.sessions()]
    assert 4 == len(opened().history)


async def test_copies_are_conversations_in_memory(way: Way, opened: Opener, store: Store) -> None:
    chat = opened()
    await way.send(chat, "a")
    for other in (copy.copy(chat), copy.deepcopy(chat), pickle.loads(pickle.dumps(chat))):
        assert said(chat) == said(other)
        await way.send(other, "b")
        assert 4 == len(other.history)
    assert 2 == len(opened().history)


async def test_a_history_begins_a_session_and_replaces_one(way: Way, opened: Opener) -> None:
    given = [{"role": "user", "parts": ["x"]}, {"role": "model", "parts": ["y"]}] * 3
    chat = opened(history=given)
    assert ["x", "y"] * 3 == said(chat) == said(opened())
    with pytest.raises(UsageError, match="exists in"):
        opened(history=given)
    chat.history = given[:2]
    assert ["x", "y"] == said(chat) == said(opened())
    await way.send(chat, "a")
    chat.history = []
    assert [] == said(chat) == said(opened())


async def test_pictures_come_back_byte_for_byte(way: Way, opened: Opener, store: Store) -> None:
    chat, data = opened(), bytes(range(256)) * 64
    await way.send(chat, ["look", {"mime_type": "image/png", "data": data}])
    await way.send(chat, ["again", {"mime_type": "image/png", "data": data}])
    again = opened()
    assert wire(chat) == wire(again)
    assert data == again.history[2].parts[1].inline_data.data
    encoded = base64.b64encode(data)
    assert all(encoded not in turn.body for turn in store.tree("ada"))


async def test_a_deleted_session_is_not_brought_back(
    way: Way, opened: Opener, store: Store
) -> None:
    chat = opened()
    await way.send(chat, "a")
    store.delete("ada")
    with pytest.raises(SessionMissing):
        await way.send(chat, "b")
    assert [] == store.sessions()


async def test_a_session_under_way_elsewhere_is_refused_or_waited_for(
    way: Way, opened: Opener, store: Store
) -> None:
    chat = opened()
    response = await way.send(chat, "a", stream=True)
    hurried = opened(busy="raise")
    with pytest.raises(SessionBusy, match=r"has died, the session is free in \d+ seconds"):
        await way.send(hurried, "b")
    await way.resolve(response)
    await way.send(hurried, "b")
    assert ["a", "to a", "b", "to b"] == said(opened())


async def test_a_reply_left_half_read_is_abandoned_in_the_store_too(
    way: Way, opened: Opener, backend: ScriptedBackend
) -> None:
    backend._lines.appendleft(["a", "b", "c"])
    chat = opened()
    reader = way.read(await way.send(chat, "a", stream=True))
    await anext(reader)
    del reader
    await way.idle()
    assert "abandoned" == chat.journal[-1].outcome
    await way.send(opened(), "b")
    assert ["b", "to b"] == said(opened())


def test_a_session_needs_a_store_and_a_store_a_session(store: Store) -> None:
    model = GenerativeModel(backend=ScriptedBackend())
    with pytest.raises(UsageError, match="needs both"):
        model.start_chat(session="ada")
    with pytest.raises(UsageError, match="needs both"):
        model.start_chat(store=store)


@pytest.mark.parametrize("given", ["c.db", Path("c.db"), SQLiteStore, 7])
def test_what_is_no_store_is_refused_with_the_one_to_make(given: Any) -> None:
    expected = "SQLiteStore\\('(c|chats).db'\\)"
    with pytest.raises(InvalidContent, match=expected):
        GenerativeModel(backend=ScriptedBackend()).start_chat(session="x", store=given)
    with pytest.raises(InvalidContent, match=expected):
        load_chat([{"role": "user", "content": "a"}], session="x", store=given)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (" ada", "this has a blank at its beginning or its end"),
        ("ada\u00a0", "this has a blank at its beginning or its end"),
        ("👩\u200d🔬", r"'\u200d' cannot be printed"),
        ("a\nb", r"'\n' cannot be printed"),
        ("", "this has 0"),
        ("a" * 201, "this has 201"),
        (5, "this is no string"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(opened: Opener, name: Any, fault: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        opened(name)
    assert str(caught.value).endswith(fault)


def test_a_turn_that_is_cancelled_while_it_is_committed_is_stored_and_says_so() -> None:
    committing, goes_on = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def commit(self, *given: Any) -> Any:
            committing.set()
            assert goes_on.wait(60)
            return super().commit(*given)

    async def cancelled(chat: ChatSession) -> None:
        task = asyncio.create_task(chat.send_message_async("pay"))
        await asyncio.to_thread(committing.wait)
        task.cancel()
        await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    model = GenerativeModel(backend=ScriptedBackend("paid"))
    chat = model.start_chat(session="ada", store=Slow())
    asyncio.run(cancelled(chat))
    assert ("answered", 1) == (chat.journal[-1].outcome, len(chat.turns))
    assert ["pay", "paid"] == said(chat)
