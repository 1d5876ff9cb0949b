"""Sources that are nearly right, as a program with a fault writes them, are read or refused."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multiturn as genai
from export.foreign_sources import ANTHROPIC, GEMINI, OPENAI, chatgpt
from multiturn import InvalidContent, MemoryStore
from multiturn.export import NAMES, export, load_chat, read
from multiturn.testing import ScriptedBackend, function_calls

WRONG: list[Any] = [
    None, 5, -1, 0, 1e400, 0.5, True, False, "x", "", "\ud800", [], [[]], ["x"], [None], {},
    {"a": 1}, {"type": {"a": 1}}, [{"type": []}],
]  # fmt: skip


def told() -> genai.ChatSession:
    """A conversation with something of everything."""

    def lamp(on: bool) -> str:
        """Switch."""
        return "done"

    lines: list[Any] = ["one", "two", "three", function_calls(("lamp", {"on": True})), "lit"]
    backend = ScriptedBackend(*lines, ConnectionError("gone"))
    model = genai.GenerativeModel(backend=backend, tools=[lamp], system_instruction="Be brief.")
    chat = model.start_chat(enable_automatic_function_calling=True)
    chat.send_message(["hello", {"inline_data": {"mime_type": "image/png", "data": b"123"}}])
    chat.send_message("two")
    chat.retry()
    chat.send_message("on")
    with pytest.raises(ConnectionError):
        chat.send_message("again", request_options={"retry": False})
    return chat


def rich() -> dict[str, list[Any]]:
    """Sources of each format that is JSON, with what only other programs write."""
    chat = told()
    foreign: dict[str, list[Any]] = {
        "multiturn": [],
        "gemini": [GEMINI],
        "openai": [OPENAI],
        "anthropic": [ANTHROPIC],
        "chatgpt": chatgpt(),
    }
    return {name: [json.loads(export(chat, name).text), *foreign[name]] for name in foreign}


SOURCES = rich()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = value.items() if isinstance(value, dict) else ()
    for name, member in members if members else enumerate(value) if isinstance(value, list) else ():
        yield from places(member, (*path, name))


def put(value: Any, path: tuple[Any, ...], wrong: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    if wrong is ...:
        del value[path[-1]]
    else:
        value[path[-1]] = wrong


def judge(source: Any, format: str | None) -> None:
    """Read, put into a store, and write: each is done, or refused with its place."""
    with suppress(InvalidContent):
        for one in read(source, format=format):
            load_chat(one, session="ada", store=MemoryStore())
            for name in NAMES:
                export(one, name)


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=min(settings().max_examples, 300), deadline=None)
@given(value=st.data())
def test_one_wrong_member_is_read_or_refused(name: str, value: st.DataObject) -> None:
    source = copy.deepcopy(value.draw(st.sampled_from(SOURCES[name])))
    for _ in range(value.draw(st.integers(1, 2))):
        if there := [*places(source)]:
            wrong = value.draw(st.sampled_from([*WRONG, ...]))
            put(source, value.draw(st.sampled_from(there)), copy.deepcopy(wrong))
    judge(source, value.draw(st.sampled_from([name, None])))


@pytest.mark.parametrize("name", SOURCES)
def test_every_member_may_be_wrong(name: str) -> None:
    for given_ in SOURCES[name]:
        for path in places(given_):
            for wrong in (5, {"a": 1}, [], True, [{"type": []}]):
                source = copy.deepcopy(given_)
                put(source, path, copy.deepcopy(wrong))
                for format in (name, None):
                    with suppress(InvalidContent):
                        read(source, format=format)


# -- text ----------------------------------------------------------------------------------

MESSAGES = '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]'


def test_a_mark_of_the_order_of_bytes_is_no_part_of_a_text(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(MESSAGES, encoding="utf-8-sig")
    for source in ("\ufeff" + MESSAGES, ("\ufeff" + MESSAGES).encode(), file, str(file)):
        assert ["Hi", "Ho"] == [content.text for content in load_chat(source).history]


@pytest.mark.parametrize("text", ["null", "5", "-1.5e3", "true", '""', '"chat"', "\ufeffnull"])
def test_a_value_of_json_that_is_no_conversation_is_called_none(text: str) -> None:
    with pytest.raises(InvalidContent, match="expected a conversation as multiturn"):
        load_chat(text)


def test_a_file_may_be_called_as_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("5").write_text(MESSAGES)
    assert 2 == len(load_chat("5").history)


REPORTED = [
    ('[{"role":"user","content":[{"type":{"a":1},"text":"x"}]}]', "openai: $[0].content[0].type"),
    (
        '{"system":"","messages":[{"role":"user","content":[{"type":{"a":1},"text":"x"}]}]}',
        "anthropic: $.messages[0].content[0].type",
    ),
    (
        '[{"mapping":{"a":{"message":{"author":{"role":"user"},'
        '"content":{"content_type":"text","parts":true}}}}}]',
        "chatgpt: $[0].mapping.a.message.content.parts",
    ),
]


@pytest.mark.parametrize(("text", "place"), REPORTED)
def test_what_once_was_a_crash_names_its_place(text: str, place: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        load_chat(text)
    assert place == caught.value.path


# -- databases -----------------------------------------------------------------------------

LOG = export(told(), "llm").data


def test_every_column_of_a_log_may_be_wrong() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(LOG)
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        columns = [
            (table, column[1])
            for table in tables
            for column in database.execute(f"PRAGMA table_info({table})")
        ]
    for table, column in columns:
        for wrong in (None, 5, -1.5, b"\xff\xfe", "x", "[", "null", '"x"', "{}"):
            with closing(sqlite3.connect(":memory:")) as database:
                database.deserialize(LOG)
                try:
                    database.execute(f'UPDATE {table} SET "{column}" = ?', (wrong,))
                except sqlite3.IntegrityError:  # two rows cannot have it
                    continue
                database.commit()
                judge(database.serialize(), "llm")


@settings(max_examples=min(settings().max_examples, 300), deadline=None)
@given(value=st.data())
def test_a_log_with_changed_bytes_is_read_or_refused(value: st.DataObject) -> None:
    data = bytearray(LOG)
    places = st.integers(0, len(data) - 1)
    for place, byte in value.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=20)):
        data[place] = byte
    judge(bytes(data), None)
