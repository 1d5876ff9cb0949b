"""Arguments that mean nothing are refused where they are given, by their own names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import multiturn as genai
from multiturn.stores.protocol import Store
from multiturn.testing import ScriptedBackend

HALF = "\ud800"


def model(**options: Any) -> genai.GenerativeModel:
    return genai.GenerativeModel(backend=ScriptedBackend("Yes.", "Yes."), **options)


def spoken() -> genai.ChatSession:
    chat = model().start_chat()
    chat.send_message("Hi")
    return chat


def test_more_turns_than_anybody_has_cannot_be_taken_off() -> None:
    chat = spoken()
    with pytest.raises(genai.NoSuchTurn, match="the history has 1"):
        chat.rewind(10**30)


STORES: dict[str, Callable[[Store, Any], object]] = {
    "delete": lambda store, name: store.delete(name),
    "rename": lambda store, name: store.rename(name, "new"),
    "tree": lambda store, name: store.tree(name),
    "attempts": lambda store, name: store.attempts(name),
    "sessions": lambda store, name: store.sessions(name),
    "search": lambda store, name: store.search("word", prefix=name),
    "prune": lambda store, name: store.prune(older_than_seconds=1, prefix=name),
    "line": lambda store, turn: store.line(turn),
    "create": lambda store, turn: store.create("new", turn),
}


@pytest.mark.parametrize("method", STORES)
@pytest.mark.parametrize("name", [5, ["a"], b"a", HALF, 10**30])
def test_a_store_refuses_what_is_no_name(method: str, name: Any) -> None:
    store = genai.MemoryStore()
    with pytest.raises(genai.InvalidContent):
        STORES[method](store, name)
    store.close()


@pytest.mark.parametrize("format", [5, ["openai"], {}, b"openai"])
def test_what_is_no_name_of_a_format_is_refused(format: Any) -> None:
    with pytest.raises(genai.InvalidContent, match=r"^format is .*; expected"):
        spoken().export(format)
    with pytest.raises(genai.InvalidContent, match=r"format is .*; expected"):
        genai.load_chat("[]", format=format)


@pytest.mark.parametrize("title", [5, ["a"], True])
def test_a_conversation_is_chosen_by_its_title(title: Any) -> None:
    with pytest.raises(genai.InvalidContent, match=r"^conversation is .*a title"):
        genai.load_chat(spoken().to_json(), conversation=title)


@pytest.mark.parametrize("name", ["a\x00b", HALF])
def test_what_cannot_be_the_name_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(genai.InvalidContent, match=r"source is .*a file that can be read"):
        genai.load_chat(name)
    with pytest.raises(genai.InvalidContent, match=r"^path is "):
        spoken().export("markdown", name)


@pytest.mark.parametrize("value", [True, False, -1, 99, 10**30])
def test_a_number_that_is_no_threshold_is_refused(value: Any) -> None:
    for settings in (value, {"hate": value}, [{"category": 8, "threshold": value}]):
        with pytest.raises(genai.InvalidContent, match="a HarmBlockThreshold, its name or its num"):
            model(safety_settings=settings)
    with pytest.raises(genai.InvalidContent, match="a HarmCategory, its name or its number"):
        model(safety_settings={value: "none"})


@pytest.mark.parametrize("schema", ["x", 5, ["x"], {"x"}])
def test_what_is_no_json_schema_is_refused(schema: Any) -> None:
    with pytest.raises(genai.InvalidContent, match=r"response_json_schema is .*JSON Schema"):
        model(generation_config={"response_json_schema": schema})


@pytest.mark.parametrize("name", [5, "", None, ["openai"]])
def test_a_backend_has_a_name(name: Any) -> None:
    with pytest.raises(genai.InvalidContent, match=r"^name is .*; expected"):
        genai.OpenAIBackend("http://localhost/v1", name=name)
