"""What was said is the same, byte for byte, wherever it was on its way."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from export.strategies import CONTENTS, HISTORIES
from multiturn import ChatSession, GenerativeModel, SQLiteStore, load_chat
from multiturn.export import Conversation, export, read
from multiturn.export.native import write
from multiturn.history import head_from, turns_of
from multiturn.messages.content import Content
from multiturn.stores.protocol import Store
from multiturn.testing import ScriptedBackend
from stores.postgres_server import server

NIGHTLY = os.environ.get("MULTITURN_TEST_EFFORT") == "nightly"
EVERY_CODE_POINT = "".join(map(chr, range(0x110000)))


@pytest.fixture(scope="module")
def sqlite() -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp(prefix="multiturn-chain-"))
    with SQLiteStore(folder / "chats.db", synchronous="NORMAL") as store:
        yield store
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Store]:
    with server() as cluster:
        from multiturn.stores.postgres import PostgresStore

        with PostgresStore(cluster.address, schema="chain") as store:
            yield store


def letters(contents: Any) -> list[str]:
    """Contents as JSON, member by member in their order."""
    return [json.dumps(one.json_object) for one in contents]


def in_memory(history: list[dict[str, Any]], backend: ScriptedBackend) -> ChatSession:
    """A conversation in which a server has said things that no argument could be."""
    chat = GenerativeModel(backend=backend).start_chat()
    chat._head = head_from([Content.view(one) for one in history])
    return chat


def carried(history: list[dict[str, Any]], sqlite: Store, postgres: Store) -> None:
    """Take a history all the way: memory, our JSON, SQLite, PostgreSQL, a fork, a request."""
    backend = ScriptedBackend("ok", repeat=True)
    model = GenerativeModel(backend=backend)
    said = [json.dumps(one) for one in history]
    chat = in_memory(history, backend)
    assert said == letters(chat.history)
    name = uuid.uuid4().hex
    there = load_chat(chat.to_json().encode(), model, session=name, store=sqlite)
    assert said == letters(there.history)
    again = model.start_chat(session=name, store=sqlite)
    beyond = load_chat(again.to_json(), model, session=name, store=postgres)
    assert said == letters(model.start_chat(session=name, store=postgres).history)
    assert [turn.id for turn in again.turns] == [turn.id for turn in beyond.turns]
    fork = beyond.fork(f"{name}/fork")
    fork.send_message("and?")
    sent = backend.requests[-1].contents
    assert [*said, json.dumps({"role": "user", "parts": [{"text": "and?"}]})] == [
        json.dumps({"role": one.role, "parts": one.json_object["parts"]})
        if number == len(said)
        else letter
        for number, (one, letter) in enumerate(zip(sent, letters(sent), strict=True))
    ]


@settings(
    max_examples=500 if NIGHTLY else 12,
    suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture],
)
@given(history=HISTORIES)
def test_the_whole_way_changes_no_letter(
    history: list[dict[str, Any]], sqlite: Store, postgres: Store
) -> None:
    carried(history, sqlite, postgres)


def test_every_code_point_goes_the_whole_way(sqlite: Store, postgres: Store) -> None:
    said = {"role": "user", "parts": [{"text": EVERY_CODE_POINT}]}
    carried([said, {"role": "model", "parts": [{"text": "\udfff\ud800"}]}], sqlite, postgres)


def test_a_whole_tree_goes_from_store_to_store(sqlite: Store, postgres: Store) -> None:
    from multiturn.errors import BackendError

    backend = ScriptedBackend("one", BackendError("gone"), "two", "three", "four")
    model = GenerativeModel(backend=backend, retry=None)
    picture = {"mime_type": "image/png", "data": os.urandom(5000)}
    name = uuid.uuid4().hex
    chat = model.start_chat(session=name, store=sqlite)
    chat.send_message("hello")
    with pytest.raises(BackendError):
        chat.send_message(["lost", picture])
    chat.send_message(["look", picture])
    chat.retry()
    chat.edit("other")
    chat.rewind()
    moved = load_chat(chat.to_json(), model, session=name, store=postgres)
    assert chat.to_json() == moved.to_json()
    assert str(chat.tree) == str(moved.tree)
    assert [(e.outcome, e.content, str(e.error)) for e in chat.journal] == [
        (e.outcome, e.content, str(e.error)) for e in moved.journal
    ]
    assert [] == postgres.check()
    assert None is moved.pending
    moved.redo()
    assert "other" == moved.history[-2].text


# -- without a database ------------------------------------------------------------------------


@given(history=HISTORIES)
def test_our_json_is_text_that_utf_8_holds_and_reads_back(history: list[dict[str, Any]]) -> None:
    chat = in_memory(history, ScriptedBackend())
    again = load_chat(chat.to_json().encode("utf-8").decode("utf-8"), chat.model)
    assert [json.dumps(one) for one in history] == letters(again.history)
    assert [turn.id for turn in chat.turns] == [turn.id for turn in again.turns]
    assert chat.to_json() == again.to_json()


@given(first=CONTENTS, second=CONTENTS, third=CONTENTS)
def test_a_tree_of_turns_keeps_its_shape(first: Any, second: Any, third: Any) -> None:
    from multiturn.history import Turn

    root = Turn(None, [Content.view(first)])
    left, right = (Turn(root, [Content.view(one)]) for one in (second, third))
    whole = Conversation((root, left, right), left, (right,), name="n", model="m")
    (found,) = read(write(whole))
    assert write(whole) == write(found)
    assert [turn.id for turn in turns_of(left)] == [turn.id for turn in turns_of(found.head)]
    assert right.id == found.redo[0].id
    assert () == export(whole, "multiturn").lost
