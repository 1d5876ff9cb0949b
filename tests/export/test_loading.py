"""A conversation is loaded whole or not at all, and what is wrong is told with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import multiturn as genai
from multiturn import GenerativeModel, MemoryStore, UnknownName, UsageError
from multiturn.errors import BackendError, MultiturnError
from multiturn.export import NAMES, Lost, read
from multiturn.stores.errors import SessionExists
from multiturn.stores.protocol import Store
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend
from ways import said

DATA = Path(__file__).parent / "data"


@pytest.fixture
def chat() -> genai.ChatSession:
    """One with branches, something to redo, and a try that failed."""
    backend = ScriptedBackend("one", BackendError("gone"), "two", "three", "four")
    model = GenerativeModel(backend=backend, retry=None, system_instruction="Be brief.")
    chat = model.start_chat()
    chat.send_message("hello")
    with pytest.raises(BackendError):
        chat.send_message("lost")
    chat.send_message("again")
    chat.edit("other")
    chat.rewind()
    return chat


def shape(chat: genai.ChatSession) -> Any:
    """All that can be seen of a session."""
    return (
        [(turn.id, turn.contents) for turn in chat.tree],
        [turn.id for turn in chat.turns],
        [(e.outcome, e.contents[0], str(e.error), e.turn and e.turn.id) for e in chat.journal],
        str(chat.tree),
    )


# -- ours --------------------------------------------------------------------------------------


def test_all_of_a_session_comes_back(chat: genai.ChatSession) -> None:
    again = genai.load_chat(chat.to_json(), chat.model)
    assert shape(chat) == shape(again)
    assert chat.to_json() == again.to_json()
    again.redo()
    assert ["hello", "one", "other", "three"] == said(again)
    assert "four" == again.send_message("on").text


def test_the_instruction_is_told_to_a_model_that_is_made(chat: genai.ChatSession) -> None:
    again = genai.load_chat(chat.to_json())
    assert "Be brief." == again.model.system_instruction.text  # type: ignore[union-attr]
    lost: list[Lost] = []
    other = GenerativeModel(backend=ScriptedBackend(), system_instruction="Be long.")
    genai.load_chat(chat.to_json(), other, lost=lost)
    reason = "the model that was given has its own"
    assert [Lost("$.system_instruction", reason)] == lost


def test_a_partial_turn_stays_partial() -> None:
    backend = ScriptedBackend(["half", BackendError("cut")])
    chat = GenerativeModel(backend=backend, retry=None).start_chat(unfinished="keep")
    with pytest.raises(BackendError):
        chat.send_message("a")
    again = genai.load_chat(chat.to_json(), chat.model)
    assert (True, ["a", "half"]) == (again.turns[-1].is_partial, said(again))
    store = MemoryStore()
    stored = genai.load_chat(chat.to_json(), chat.model, session="a", store=store)
    assert stored.turns[-1].is_partial
    assert [] == store.check()


def test_a_format_that_does_not_mark_a_partial_turn_says_so() -> None:
    backend = ScriptedBackend("one", ["half", BackendError("cut")], "two")
    chat = GenerativeModel(backend=backend, retry=None).start_chat(unfinished="keep")
    chat.send_message("first")
    with pytest.raises(BackendError):
        chat.send_message("a")
    chat.send_message("b")
    reason = "failed: not marked as unfinished"
    for name in NAMES:
        written = chat.export(name)
        partial = [turn.outcome for turn in read(written.data, format=name)[0].turns]
        if name in ("multiturn", "markdown"):
            assert (["answered", "failed", "answered"], ()) == (partial, written.lost)
        else:
            assert (["answered"] * 3) == partial
            assert [Lost("$.turns[1].outcome", reason)] == [
                lost for lost in written.lost if "outcome" in lost.place
            ]


# -- into a store ------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "chats.db")


def test_a_session_is_put_into_a_store_with_all_its_branches(
    chat: genai.ChatSession, store: Store
) -> None:
    stored = genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)
    assert [turn.contents for turn in chat.tree] == [turn.contents for turn in stored.tree]
    assert [e.outcome for e in chat.journal] == [e.outcome for e in stored.journal]
    assert [] == store.check()
    stored.redo()
    again = chat.model.start_chat(session="ada", store=store)
    assert ["hello", "one", "other", "three"] == said(again)
    assert "four" == again.send_message("on").text
    store.delete("ada")
    assert [] == store.check()


def test_a_turn_keeps_its_identity_from_store_to_store(
    chat: genai.ChatSession, store: Store
) -> None:
    one = genai.load_chat(chat.to_json(), chat.model, session="ada", store=MemoryStore())
    other = genai.load_chat(one.to_json(), chat.model, session="ada", store=store)
    assert shape(one) == shape(other)
    assert one.to_json() == other.to_json()
    beside = genai.load_chat(one.to_json(), chat.model, session="bob", store=store)
    assert set() == {turn.id for turn in other.tree} & {turn.id for turn in beside.tree}
    assert said(one) == said(beside)
    store.delete("ada")
    assert (4, []) == (len(beside.tree) + 1, store.check())


def test_a_turn_that_was_changed_in_an_export_gets_a_new_identity(
    chat: genai.ChatSession, store: Store
) -> None:
    stored = genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)
    text = stored.to_json()
    untouched: list[Lost] = []
    changed: list[Lost] = []

    kept = genai.load_chat(text, chat.model, lost=untouched)
    again = genai.load_chat(text.replace('"hello"', '"bye"'), chat.model, lost=changed)

    assert ([], shape(stored)[1]) == (untouched, [turn.id for turn in kept.turns])
    assert "bye" == said(again)[0]
    assert ["$.turns[0].id"] == [one.place for one in changed]
    assert set() == {turn.id for turn in kept.tree} & {turn.id for turn in again.tree}
    assert len(kept.tree) == len(again.tree)


def test_what_was_erased_is_in_no_export(chat: genai.ChatSession, store: Store) -> None:
    stored = genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)
    stored.redo()
    first, last = stored.turns
    store.erase(first.id)
    text = chat.model.start_chat(session="ada", store=store).to_json()
    assert ("hello" in text, "other" in text) == (False, True)
    again = genai.load_chat(text, chat.model, session="bob", store=store)
    assert ["other", "three"] == said(again)
    assert last.id not in {turn.id for turn in again.tree}
    assert [] == store.check()


def test_a_fork_takes_what_was_said_before_along(chat: genai.ChatSession, store: Store) -> None:
    stored = genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)
    fork = stored.fork("bob")
    fork.send_message("aside")
    again = genai.load_chat(fork.to_json(), chat.model, session="eve", store=MemoryStore())
    assert ["hello", "one", "aside", "four"] == said(again)
    assert [turn.id for turn in fork.turns] == [turn.id for turn in again.turns]
    assert fork.to_json().replace('"bob"', '"eve"') == again.to_json()


def test_a_name_that_is_taken_is_not_touched(chat: genai.ChatSession, store: Store) -> None:
    chat.model.start_chat(session="ada", store=store).send_message("mine")
    with pytest.raises(SessionExists):
        genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)
    assert "mine" == chat.model.start_chat(session="ada", store=store).history[0].text


def test_nothing_is_left_of_a_session_that_could_not_be_put_in_whole(
    chat: genai.ChatSession, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multiturn.stores import whole

    def fails(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(whole, "_add_attempt", fails)
    with pytest.raises((OSError, MultiturnError)):
        genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)
    monkeypatch.undo()
    assert ([], []) == (store.sessions(), store.check())
    genai.load_chat(chat.to_json(), chat.model, session="ada", store=store)


def test_a_name_and_a_store_go_together(chat: genai.ChatSession) -> None:
    with pytest.raises(UsageError, match="both or neither"):
        genai.load_chat(chat.to_json(), session="ada")


# -- forms of a source -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_format_is_known_when_it_is_seen(
    name: str, chat: genai.ChatSession, tmp_path: Path
) -> None:
    written = chat.export(name, tmp_path / "chat")
    given: list[Any] = [written.data, tmp_path / "chat", str(tmp_path / "chat")]
    if name != "llm":
        given.append(written.text)
    if name not in ("llm", "jsonl", "markdown"):
        given.append(json.loads(written.text))
    for source in given:
        assert ["hello", "one"] == said(genai.load_chat(source, chat.model))
        assert ["hello", "one"] == said(genai.load_chat(source, chat.model, format=name))


def test_the_contents_of_a_chat_are_a_source(chat: genai.ChatSession) -> None:
    assert ["hello", "one"] == said(genai.load_chat(chat.history, chat.model))


def test_an_empty_conversation_goes_out_and_in(tmp_path: Path) -> None:
    model = GenerativeModel(backend=ScriptedBackend("a"))
    for name in NAMES:
        written = model.start_chat().export(name)
        assert () == written.lost
        assert [] == genai.load_chat(written.data, model, format=name).history


def test_of_several_conversations_one_is_named() -> None:
    path = DATA / "chatgpt.json"
    model = GenerativeModel(backend=ScriptedBackend())
    assert ["Hi", "Hello."] == said(genai.load_chat(path, model, conversation="Greeting"))
    with pytest.raises(UnknownName, match="holds 2 conversations; say which"):
        genai.load_chat(path, model)
    with pytest.raises(UnknownName, match="did you mean 'Greeting'"):
        genai.load_chat(path, model, conversation="Greetings")
    for found in read(path):
        assert found.history == genai.load_chat(found, model).history


# -- files -------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_not_overwritten(chat: genai.ChatSession, tmp_path: Path) -> None:
    path = tmp_path / "chat.md"
    path.write_text("mine")
    with pytest.raises(UsageError, match="overwrite=True"):
        chat.export("markdown", path)
    assert "mine" == path.read_text()
    written = chat.export("markdown", path, overwrite=True)
    assert (written.data, ["chat.md"]) == (path.read_bytes(), [p.name for p in tmp_path.iterdir()])


def test_only_a_log_of_llm_is_added_to(chat: genai.ChatSession, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with SQLiteStore(path) as store:
        store.open("ada")
        with pytest.raises(UsageError, match="no log of the llm command"):
            chat.export("llm", path)
        assert [] == store.check()
    with pytest.raises(UsageError, match="is a database"):
        _ = chat.export("llm").text


def test_a_format_that_does_not_exist_is_named(chat: genai.ChatSession) -> None:
    with pytest.raises(UnknownName, match="did you mean 'markdown'"):
        chat.export("markdwon")
    with pytest.raises(UnknownName, match="no format is named"):
        genai.load_chat("[]", format="yaml")
