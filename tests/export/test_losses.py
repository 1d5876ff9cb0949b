"""What an export does not name as lost comes back; what it names is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from export.strategies import CONVERSATIONS, conversation
from multiturn.export import NAMES, Conversation, export, read

every_format = pytest.mark.parametrize("name", NAMES)


def contents(found: Conversation) -> list[str]:
    """Contents as JSON, which tells 1 from True and 1.0."""
    return [json.dumps(one.json_object, sort_keys=True) for one in found.history]


def told(found: Conversation) -> str:
    system = found.system_instruction
    return "" if system is None else system.text


def back(data: bytes, name: str) -> Conversation:
    (found,) = read(data, format=name)
    return found


@every_format
@settings(max_examples=settings().max_examples // 2)
@given(said=CONVERSATIONS)
def test_what_is_not_named_as_lost_comes_back_in_order(name: str, said: Conversation) -> None:
    written = export(said, name)
    found = back(written.data, name)
    came_back = iter(contents(found))
    places = [f"{lost.place}." for lost in written.lost]
    for number, one in enumerate(contents(said)):
        place = f"$.history[{number}]"
        is_named = any(lost.startswith((f"{place}.", f"{place}[")) for lost in places)
        assert is_named or one in came_back, (place, one, written.lost)
    if not written.lost:
        assert contents(said) == contents(found)
        assert told(said) == told(found)


@settings(max_examples=settings().max_examples // 2)
@given(said=CONVERSATIONS)
def test_ours_loses_nothing_and_gemini_no_content(said: Conversation) -> None:
    assert () == export(said, "multiturn").lost
    shown = "".join(json.dumps(one.json_object, ensure_ascii=False) for one in said.history)
    is_plain = shown == shown.encode("utf-8", "replace").decode()
    for name in ("gemini", "jsonl") if is_plain else ():
        assert [] == [one for one in export(said, name).lost if "history" in one.place]


PLAIN = [
    {"role": "user", "parts": [{"text": "Look at <b>this</b>\n\n## You"}]},
    {"role": "model", "parts": [{"text": "I see…\n"}]},
    {"role": "user", "parts": [{"text": "Thanks 😀"}]},
    {"role": "model", "parts": [{"text": "\\<!-- multiturn:user -->\nx"}]},
]
CALLS = [
    {"role": "user", "parts": [{"text": "Weather?"}]},
    {
        "role": "model",
        "parts": [
            {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo", "n": 1.5}}}
        ],
    },
    {
        "role": "user",
        "parts": [{"functionResponse": {"id": "c1", "name": "weather", "response": {"t": [3]}}}],
    },
    {"role": "model", "parts": [{"text": "3 degrees."}]},
]
PICTURE = [
    {
        "role": "user",
        "parts": [
            {"text": "What is it?"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}},
        ],
    },
    {"role": "model", "parts": [{"text": "A cat."}]},
]
CARRIED = [
    *((name, PLAIN) for name in NAMES),
    *((name, CALLS) for name in NAMES if name != "chatgpt"),
    *((name, PICTURE) for name in ("multiturn", "llm", "gemini", "anthropic", "openai", "jsonl")),
]


@pytest.mark.parametrize(("name", "history"), CARRIED)
def test_what_a_format_has_a_place_for_is_carried_whole(
    name: str, history: list[dict[str, Any]]
) -> None:
    written = export(conversation(history, "Be brief."), name)
    assert () == written.lost
    found = back(written.data, name)
    assert history == [one.json_object for one in found.history]
    assert found.system_instruction is not None
    assert "Be brief." == found.system_instruction.text


SIGNED = {"role": "model", "parts": [{"text": "Hm.", "thoughtSignature": "c2ln"}]}
FILM = {"role": "user", "parts": [{"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}]}
NEW = {"role": "model", "parts": [{"hologram": {"depth": 3}}]}
NAMED = [
    ("openai", SIGNED, "$.history[0].parts[0].thoughtSignature: left out"),
    ("markdown", SIGNED, "$.history[0].parts[0].thoughtSignature: left out"),
    (
        "anthropic",
        FILM,
        "$.history[0].parts[0]: inlineData: comes back as '[video/mp4, left out]'",
    ),
    ("openai", NEW, "$.history[0].parts[0]: hologram: comes back as '[hologram, left out]'"),
    ("chatgpt", CALLS[1], "$.history[0].parts[0].functionCall: comes back as {'name': 'weather'"),
]


@pytest.mark.parametrize(("name", "said", "told"), NAMED)
def test_what_has_no_place_is_named(name: str, said: dict[str, Any], told: str) -> None:
    (lost,) = export(conversation([said]), name).lost
    assert str(lost).startswith(told)


def test_branches_and_tries_that_are_left_behind_are_named() -> None:
    from multiturn import GenerativeModel
    from multiturn.errors import BackendError
    from multiturn.testing import ScriptedBackend

    backend = ScriptedBackend("one", "two", "three", BackendError("gone"))
    chat = GenerativeModel(backend=backend, retry=None).start_chat()
    for _ in range(2):
        chat.send_message("hello")
    chat.edit("other")
    with pytest.raises(BackendError):
        chat.send_message("again")
    assert [
        "$.tree: 1 turn(s) off the line to the head",
        "$.journal: 1 tries that became no turn",
    ] == [str(lost) for lost in export(chat, "openai").lost]
