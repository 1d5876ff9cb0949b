"""What was erased is gone: from conversations, from files, from other processes' requests."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel, MemoryStore, load_chat
from multiturn.export.restoring import records_of
from multiturn.request import Request
from multiturn.stores import retention
from multiturn.stores.conformance import EMPTY, new_attempt, say, turn_after
from multiturn.stores.errors import Conflict, StoreUnreachable
from multiturn.stores.holder import under_way
from multiturn.stores.protocol import Store, StoredTurn
from multiturn.stores.reading import Execute
from multiturn.stores.recent import RecentTurns
from multiturn.stores.record import recorded
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend
from stores.opening import opened
from stores.postgres_server import Server
from ways import Way, said


def test_a_conversation_goes_on_without_a_turn_that_was_erased(store: Store) -> None:
    chat = opened(store)
    for text in "abc":
        chat.send_message(text)
    chat.fork("bob")
    store.erase(chat.turns[1].id)
    expected = ["a", "to a", "c", "to c"]
    assert expected == said(opened(store)) == said(opened(store, "bob"))
    for other in (opened(store), opened(store, "bob")):
        other.send_message("d")
        assert [*expected, "d", "to d"] == said(other)
        assert ["user", "model"] * 3 == [content.role for content in other.history]
    again = opened(store)
    assert ["a", "c", "d"] == [turn.contents[0].text for turn in again.tree]
    assert ["a", "c", "d"] == [entry.content.text for entry in again.journal]
    again.rewind(2)
    assert ["a", "to a"] == said(opened(store))
    again.redo()
    assert [*expected, "d", "to d"] == said(opened(store))
    assert [] == store.check()


def test_a_session_that_is_open_forgets_what_others_erased_before_it_asks(store: Store) -> None:
    chat, other = opened(store), opened(store)
    for text in "abc":
        chat.send_message(text)
    assert 6 == len(other.history)
    store.erase(chat.turns[1].id)
    other.send_message("d")
    assert ["a", "to a", "c", "to c", "d", "to d"] == said(other)
    assert all("b" != turn.contents[0].text for turn in other.tree)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_open_conversation_forgets_at_once_what_is_erased_by_its_store(
    store: Store, place: int
) -> None:
    chat, other = opened(store), opened(store)
    for text in ("first secret", "second secret", "third secret"):
        chat.send_message(text)
    assert 3 == len(other.turns)
    gone = chat.turns[place]
    secret = gone.contents[0].text
    store.erase(gone.id)
    chat.model = opened(store, "bob").model  # a scripted one knows what it was asked
    for written in (chat.to_json(), repr(pickle.dumps(chat)), repr(chat), str(chat.tree)):
        assert secret not in written
    left = [word for turn in chat.turns for word in (turn.contents[0].text, turn.contents[1].text)]
    assert 4 == len(left)
    for one in (chat, other, chat.fork(), chat.fork("cyd")):
        assert left == said(one)
    chat.retry()
    assert left == said(chat) == said(opened(store))


def test_an_export_after_an_erasure_has_what_is_left(store: Store) -> None:
    chat = opened(store)
    for text in "abc":
        chat.send_message(text)
    with_all = chat.turns
    for turn, expected in ((with_all[2], ["a", "b"]), (with_all[0], ["b"])):
        store.erase(turn.id)
        assert expected == [t.contents[0].text for t in load_chat(chat.to_json(), chat.model).turns]
        assert expected == [entry.content.text for entry in chat.journal]


def test_what_is_erased_between_two_looks_of_an_export_has_no_record(store: Store) -> None:
    chat = opened(store)
    for text in "ab":
        chat.send_message(text)
    kept, gone = (turn.id for turn in chat.turns)
    store.erase(gone)
    assert chat._stored is not None
    assert [kept] == [*records_of(chat._stored, [kept, gone])]


def test_an_export_reads_nothing_that_another_process_erased(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store, SQLiteStore(tmp_path / "chats.db") as other:
        chat = opened(store)
        for text in "abc":
            chat.send_message(text)
        for turn in (chat.turns[2], chat.turns[0]):
            other.erase(turn.id)
            assert turn.contents[0].text not in said(load_chat(chat.to_json(), chat.model))
            assert turn not in chat.tree.turns


class Away(MemoryStore):
    """A store whose turns cannot be read for a while."""

    is_away = False

    def line(self, head: str, limit: int | None = None) -> list[StoredTurn]:
        if self.is_away:
            raise StoreUnreachable("away")
        return super().line(head, limit)


async def test_a_turn_that_was_stored_is_answered_whatever_was_erased_meanwhile(way: Way) -> None:
    store = Away()
    chat = opened(store)
    for text in "ab":
        chat.send_message(text)
    gone = chat.turns[0].id

    def erase(request: Request) -> str:
        store.erase(gone)
        store.is_away = True
        return "to c"

    chat.model = GenerativeModel(backend=ScriptedBackend(erase))
    response = await way.send(chat, "c")
    assert "to c" == response.text
    store.is_away = False
    assert ["b", "to b", "c", "to c"] == said(chat) == said(opened(store))
    assert ["answered"] * 2 == [entry.outcome for entry in chat.journal]


CHANGES: dict[str, Callable[[Any], object]] = {
    "rewind": lambda chat: chat.rewind(),
    "redo": lambda chat: chat.redo(),
    "drop": lambda chat: chat._stored.drop_pending(),
}


@pytest.mark.parametrize("change", [*CHANGES.values()], ids=[*CHANGES])
def test_what_others_erased_is_not_asked_with_after_a_change_of_ours(
    tmp_path: Path, change: Callable[[ChatSession], object]
) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store, SQLiteStore(tmp_path / "chats.db") as other:
        chat = opened(store)
        for text in "abc":
            chat.send_message(text)
        chat.rewind()
        other.erase(chat.turns[0].id)
        change(chat)
        chat.send_message("d")
        backend: Any = chat.model.backend
        asked = [content.text for content in backend.requests[-1].contents]
        assert ("d", False) == (asked[-1], "a" in asked)


def test_what_others_erase_while_the_history_is_changed_is_not_said_again(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store, SQLiteStore(tmp_path / "chats.db") as other:
        chat = opened(store)
        for text in "ab":
            chat.send_message(text)
        gone, begin = chat.turns[0].id, store.begin

        def late(*given: Any) -> Any:
            other.erase(gone)
            return begin(*given)

        store.begin = late  # type: ignore[method-assign]
        with pytest.raises(Conflict, match="others changed it meanwhile"):
            chat.history.insert(0, {"role": "user", "parts": ["x"]})
        store.begin = begin  # type: ignore[method-assign]
        assert ["b", "to b"] == said(chat)
        chat.send_message("c")
        assert ["b", "to b", "c", "to c"] == said(chat) == said(opened(other))


def test_what_is_erased_while_a_turn_is_under_way_is_not_in_it(store: Store) -> None:
    chat = opened(store)
    for text in "ab":
        chat.send_message(text)
    backend = ScriptedBackend(["c", "d"])
    chat.model = GenerativeModel(backend=backend)
    reader = iter(chat.send_message("c", stream=True))
    next(reader)
    store.erase(chat.turns[0].id)
    assert 1 == len([*reader])
    assert ["b", "to b", "c", "cd"] == said(chat) == said(opened(store))
    assert "answered" == chat.journal[-1].outcome


def test_what_is_forgotten_costs_no_look_into_the_store(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        chat = opened(store)
        for text in "ab":
            chat.send_message(text)
        store.erase(chat.turns[0].id)
        assert ["b", "to b"] == said(chat)
        store._reading = store._transaction = None  # type: ignore[assignment,method-assign]
        assert ["b", "to b"] == said(chat)
        del store._reading, store._transaction


def test_a_fork_that_is_begun_after_an_erasure_asks_without_what_was_erased(store: Store) -> None:
    chat = opened(store)
    for text in "abc":
        chat.send_message(text)
    store.erase(chat.turns[1].id)
    fork = chat.fork("bob")
    fork.send_message("d")
    assert ["a", "to a", "c", "to c", "d", "to d"] == said(fork)


def test_the_last_message_is_asked_again_though_one_before_it_was_erased(store: Store) -> None:
    chat = opened(store)
    for text in "abc":
        chat.send_message(text)
    store.erase(chat.turns[1].id)
    chat.retry()
    assert ["a", "to a", "c", "to c"] == said(chat)


def test_the_only_turn_may_be_erased(store: Store) -> None:
    chat = opened(store)
    chat.send_message("a")
    store.erase(chat.turns[0].id)
    again = opened(store)
    assert ([], [], ()) == (again.history, list(again.tree), again.journal)
    again.send_message("b")
    assert ["b", "to b"] == said(opened(store))
    assert [] == store.check()


@pytest.mark.parametrize("is_opened_anew", [False, True], ids=["the same", "opened anew"])
def test_what_was_rewound_and_erased_cannot_be_brought_back(
    store: Store, is_opened_anew: bool
) -> None:
    chat = opened(store)
    for text in "ab":
        chat.send_message(text)
    gone = chat.turns[1].id
    chat.rewind()
    store.erase(gone)
    with pytest.raises(IndexError, match="nothing to redo"):
        (opened(store) if is_opened_anew else chat).redo()


def test_a_session_whose_rewound_turns_went_with_another_opens(store: Store) -> None:
    chat = opened(store)
    for text in "ab":
        chat.send_message(text)
    chat.fork("bob").rewind()
    store.delete("ada")
    with pytest.raises(IndexError, match="nothing to redo"):
        opened(store, "bob").redo()
    assert ["a", "to a"] == said(opened(store, "bob"))


def test_pictures_of_many_turns_are_read_at_once(store: Store) -> None:
    chat = opened(store)
    for i in range(3):
        picture = {"mime_type": "image/png", "data": bytes([i]) * 5000}
        chat.send_message([f"look {i}", picture])
    asked: list[set[str]] = []
    plain = store.blobs
    store.blobs = lambda names: asked.append({*names}) or plain(asked[-1])  # type: ignore
    store.recent = RecentTurns()  # type: ignore[attr-defined]
    assert 6 == len(opened(store).history)
    assert [3] == [len(names) for names in asked]


# -- on the disk ---------------------------------------------------------------------------

SECRET, WORD = "Xyzzy told nobody about plugh", b"plugh"


def tell_a_secret(store: Store) -> str:
    """Say something that is also tried, noted, indexed and illustrated; return its turn."""
    state = store.open("ada")
    for i in range(40):
        state = say(store, state, f"number {i} " + "filler " * 50)
    contents = [{"role": "user", "parts": [{"text": SECRET}]}]
    tried = store.begin(state, new_attempt(), recorded({"contents": contents}))
    store.settle(tried, "failed", recorded({"contents": contents}))
    attempt = new_attempt()
    state = store.begin(store.open("ada"), attempt, EMPTY)
    store.note(state, recorded({"contents": contents, "received": {"text": SECRET}}))
    turn, blobs = turn_after(state, attempt, contents)
    state = store.commit(state, [turn], blobs)
    for i in range(10):
        state = say(store, state, f"later {i}")
    assert 1 == len(store.search("plugh"))
    return turn.id


def holders(folder: Path) -> list[str]:
    return [p.name for p in sorted(folder.rglob("*")) if p.is_file() and WORD in p.read_bytes()]


def test_erased_text_is_gone_from_the_files_at_once(tmp_path: Path) -> None:
    with SQLiteStore(tmp_path / "chats.db") as store:
        turn = tell_a_secret(store)
        assert [] != holders(tmp_path)
        store.erase(turn)
        assert [] == holders(tmp_path)
        assert 10 == len(store.search("later"))
        assert [] == store.check()


def test_a_reader_that_holds_on_keeps_nobody_from_erasing(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path, busy_timeout_seconds=0.05) as store, SQLiteStore(path) as reader:
        turn = tell_a_secret(store)

        def read_slowly(execute: Execute) -> None:
            execute("SELECT count(*) FROM turns").fetchone()
            store.erase(turn)
            store.vacuum()
            assert 51 == execute("SELECT count(*) FROM turns WHERE length(body) > 0").fetchone()[0]

        reader._reading(read_slowly)
        store.vacuum()
        assert [] == holders(tmp_path)
        assert [] == reader.check()


@pytest.mark.parametrize("how", ["delete", "prune"])
def test_deleted_text_is_gone_after_vacuum_and_the_file_is_smaller(
    tmp_path: Path, how: str
) -> None:
    path = tmp_path / "chats.db"
    with SQLiteStore(path) as store:
        tell_a_secret(store)
        store.vacuum()
        before = path.stat().st_size
        if how == "delete":
            store.delete("ada")
        else:
            assert 1 == store.prune(older_than_seconds=0)
        store.vacuum()
        assert [] == holders(tmp_path)
        assert path.stat().st_size < before - 10_000
        assert [] == store.check()


def test_erased_text_is_gone_from_postgres_after_vacuum(postgres: Server) -> None:
    from multiturn.stores.postgres import PostgresStore

    with PostgresStore(postgres.address, schema="erasure") as store:
        turn = tell_a_secret(store)
        store.erase(turn)
        assert [] == store.search("plugh")
        store.vacuum()
        store._alone("CHECKPOINT")
        assert [] == holders(postgres.folder / "data" / "base")
        assert 10 == len(store.search("later"))
        assert [] == store.check()


def test_what_is_taken_over_while_it_is_being_erased_is_erased_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = opened(store)
    chat.send_message("secret")
    said_again = recorded({"contents": [{"role": "user", "parts": [{"text": "secret"}]}]})
    state = store.begin(store.open("ada"), new_attempt(), said_again)
    under_way.pop(state.attempt)  # its process is gone
    done: list[str] = []

    def noted(name: str, work: Callable[..., None], *given: Any) -> None:
        done.append(name)
        if len(done) == 2:
            store.begin(store.open("ada"), new_attempt(), EMPTY)
        work(*given)

    for name in ("_erase_attempts", "_free_of_attempts"):
        monkeypatch.setattr(retention, name, partial(noted, name, getattr(retention, name)))
    store.erase(chat.turns[0].id)
    assert 2 == len(done)
    assert not [one for one in store.attempts("ada") if b"secret" in one.body]
