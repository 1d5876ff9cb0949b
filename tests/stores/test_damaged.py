"""What was changed in the file is never said again, and keeps nobody from everything else."""

from __future__ import annotations

import json
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import multiturn as genai
from multiturn import ChatSession, GenerativeModel, MemoryStore, SQLiteStore, TurnDamaged
from multiturn.testing import ScriptedBackend
from stores.opening import answered
from ways import Way, said

PICTURE = {"inline_data": {"mime_type": "image/png", "data": b"\x89PNG" * 1000}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


def opened(path: Path) -> ChatSession:
    """Open the session as another process would."""
    model = GenerativeModel(backend=ScriptedBackend(answered, repeat=True))
    return model.start_chat(session="ada", store=SQLiteStore(path))


def damage(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    with database:
        assert 1 == database.execute(statement).rowcount
    database.close()


# What can happen to the second of four turns.
DAMAGES: dict[str, str] = {
    "a letter": "UPDATE turns SET body = CAST(replace(CAST(body AS TEXT), 'two', 'twO') AS BLOB) "
    "WHERE depth = 1",
    "no record": "UPDATE turns SET body = x'00' WHERE depth = 1",
    "other bytes": "UPDATE blobs SET bytes = x'00'",
    "bytes lost": "DELETE FROM blobs",
}


@pytest.fixture(params=DAMAGES)
def damaged(request: pytest.FixtureRequest, path: Path) -> str:
    """Return the identity of a turn that is damaged."""
    chat = opened(path)
    for message in ("one", ["two", PICTURE], "three", "four"):
        chat.send_message(message)
    turn = chat.turns[1].id
    assert chat._stored is not None
    chat._stored.store.close()
    damage(path, DAMAGES[request.param])
    return turn


async def test_a_damaged_turn_is_neither_sent_nor_shown(way: Way, path: Path, damaged: str) -> None:
    chat = opened(path)
    for copy in (chat, chat.fork(), chat.fork("bob")):
        with pytest.raises(TurnDamaged, match=damaged) as caught:
            await way.send(copy, "five")
        assert damaged == caught.value.turn_id
        with pytest.raises(TurnDamaged):
            _ = copy.history
        with pytest.raises(TurnDamaged):
            copy.edit("four again")
        with pytest.raises(TurnDamaged):
            copy.retry()
        assert [] == copy.model.backend.requests  # type: ignore[attr-defined]
    assert "damaged" in str(chat.turns)
    assert "twO" not in str(chat.turns) + str(chat.tree) + str(chat.journal) + repr(chat)
    found = chat._stored.store.search("two")  # type: ignore[union-attr]
    assert "twO" not in str(found)


def test_everything_else_can_be_read(path: Path, damaged: str) -> None:
    chat = opened(path)
    outcomes = ["answered", "damaged", "answered", "answered"]
    assert outcomes == [turn.outcome for turn in chat.turns]
    assert outcomes == [turn.outcome for turn in chat.tree]
    assert outcomes == [entry.outcome for entry in chat.journal]
    assert ["one", "", "three", "four"] == [turn.contents[0].text for turn in chat.turns]
    assert f"| {damaged[:8]} (damaged)" in str(chat.tree)


@pytest.mark.parametrize("format", ["multiturn", "openai", "markdown", "llm"])
def test_an_export_has_the_others_and_names_the_damaged_one(
    path: Path, damaged: str, format: str
) -> None:
    made = opened(path).export(format)
    assert f"$.turns[1]: turn {damaged} is damaged: left out" in [str(one) for one in made.lost]
    again = genai.load_chat(made.data)
    assert ["one", "three", "four"] == [turn.contents[0].text for turn in again.turns]
    assert b"twO" not in made.data


def test_a_conversation_goes_on_from_before_what_is_damaged(path: Path, damaged: str) -> None:
    chat = opened(path)
    chat.rewind(3)
    assert "to again" == chat.send_message("again").text
    assert ["one", "to one", "again", "to again"] == said(opened(path))
    other = opened(path).fork("bob")
    other.edit("edited")
    assert ["one", "to one", "edited", "to edited"] == said(other)


def test_without_what_is_damaged_a_conversation_goes_on(path: Path, damaged: str) -> None:
    chat = opened(path)
    store = chat._stored.store  # type: ignore[union-attr]
    (finding, *_) = [line for line in store.check() if line.startswith("turn")]
    assert finding.startswith(f"turn {damaged} of session 'ada' is ")
    assert "erasing it lets the others go on" in finding
    store.erase(damaged)
    assert [] == store.check()
    assert ["one", "to one", "three", "to three", "four", "to four"] == said(chat)
    assert "to five" == chat.send_message("five").text


def test_a_pickle_of_a_damaged_conversation_says_nothing_of_it(path: Path, damaged: str) -> None:
    chat = opened(path)
    chat.model = GenerativeModel("smollm2")
    again = pickle.loads(pickle.dumps(chat))
    with pytest.raises(TurnDamaged):
        again.send_message("five")


def test_a_damaged_attempt_is_marked_and_keeps_nobody_from_talking(path: Path) -> None:
    chat = opened(path)
    chat.send_message("one")
    chat.model.backend._lines.appendleft(ConnectionError("gone"))  # type: ignore[attr-defined]
    with pytest.raises(ConnectionError):
        chat.send_message("two", request_options={"retry": False})
    chat._stored.worker.catch_up()  # type: ignore[union-attr]
    damage(path, "UPDATE attempts SET record = x'00'")
    chat = opened(path)
    assert ["answered", "damaged"] == [entry.outcome for entry in chat.journal]
    made = chat.export("multiturn")
    assert ["$.journal: a try is damaged: left out"] == [str(one) for one in made.lost]
    assert "to three" == chat.send_message("three").text


WRONG: list[Any] = [None, 5, "x", [], [[]], ["x"], {"a": 1}, [None], [5]]


def test_whatever_became_of_a_record_its_turn_can_be_told_and_erased() -> None:
    store = MemoryStore()
    model = GenerativeModel(backend=ScriptedBackend(answered, repeat=True))
    number = 0
    for member in ("contents", "parts", "blobs", "attempt", "rounds", "at"):
        for wrong in WRONG:
            number += 1
            chat = model.start_chat(session=f"ada/{number}", store=store)
            chat.send_message(["needle", PICTURE])
            chat.send_message("two")
            turn, key = chat.turns[0].id, bytes.fromhex(chat.turns[0].id)
            ((body,),) = store._rows("SELECT body FROM turns WHERE id = ?", (key,))
            record = json.loads(body)
            if member == "parts":
                record["contents"][0]["parts"] = wrong
            changed = json.dumps(record | ({} if member == "parts" else {member: wrong})).encode()
            store._alone("UPDATE turns SET body = ? WHERE id = ?", (changed, key))
            store.recent.let_go()
            again = model.start_chat(session=f"ada/{number}", store=store)
            assert ["damaged", "answered"] == [one.outcome for one in again.turns]
            assert 2 == len(again.journal)
            assert [turn] == [line.split()[1] for line in store.check()]
            assert [] == store.search("needle")
            store.erase(turn)
            assert ["two", "to two"] == said(again)
    assert [] == store.check()
