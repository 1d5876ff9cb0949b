"""Files as others write them: what they say is read, and what is not is named.

The files in ``data`` were written by hand after each format's rules; those of llm are what
its versions 0.26 and 0.36 logged.
"""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest

from multiturn.export import Conversation, export, read
from multiturn.tree import Tree

DATA = Path(__file__).parent / "data"


def spoken(found: Conversation) -> list[str]:
    return [f"{one.role}: {one.text}" for one in found.history]


def parts(found: Conversation, number: int) -> Any:
    return found.history[number].json_object["parts"]


def told(found: Conversation) -> str | None:
    return None if found.system_instruction is None else found.system_instruction.text


def lost(found: Conversation) -> list[str]:
    return [str(one) for one in found.lost]


def test_a_request_of_gemini_is_read_in_either_spelling() -> None:
    (found,) = read(DATA / "gemini.json")
    assert ("Be brief.", ["user: Look", "model: A cat."]) == (told(found), spoken(found))
    assert {"inlineData": {"mimeType": "image/png", "data": "iVBORw0="}} == parts(found, 0)[1]
    signed = {"text": "A cat.", "thoughtSignature": "c2ln", "unheardOf": 1.0}
    assert signed == parts(found, 1)[1]
    assert ["$.generationConfig: not read"] == lost(found)


def test_messages_of_openai_are_read_with_calls_pictures_and_refusals() -> None:
    (found,) = read(DATA / "openai.json")
    assert ("Be brief.", "gpt-5-mini") == (told(found), found.model)
    assert [
        "user: What is it?",
        "model: Let me look.",
        "user: ",
        "model: I cannot say.",
        "user: Answer anyway.",
        "model: A cat.",
    ] == spoken(found)
    kinds = ["image/png", "image/jpeg", "audio/wav", "application/pdf"]
    assert kinds == [next(iter(part.values()))["mimeType"] for part in parts(found, 0)[1:]]
    assert [
        {"text": "A cat?", "thought": True},
        {"text": "Let me look."},
        {"functionCall": {"id": "call_1", "name": "look", "args": {"at": "cat"}}},
        {"functionCall": {"id": "call_2", "name": "smell", "args": {}}},
    ] == parts(found, 1)
    answers = [part["functionResponse"] for part in parts(found, 2)]
    assert [("look", {"seen": True}), ("smell", {"result": "nothing"})] == [
        (answer["name"], answer["response"]) for answer in answers
    ]
    assert [
        "$.temperature: not read",
        "$.messages[1].name: not read",
        "$.messages[1].content[5]: no content has a part of type 'hologram'",
        "$.messages[6]: the system's words within a conversation; kept as a user's",
        "$.messages[7].audio: not read",
    ] == lost(found)


def test_messages_of_anthropic_are_read_with_tools_thoughts_and_documents() -> None:
    (found,) = read(DATA / "anthropic.json")
    assert ("Be brief.", "claude-sonnet-4-5") == (told(found), found.model)
    assert [
        "user: Weather in Oslo?",
        "model: Let me see.",
        "user: Here is a picture.",
        "model: 3 degrees, and rain.",
    ] == spoken(found)
    answers = [part["functionResponse"] for part in parts(found, 2)[:2]]
    assert [("weather", {"result": "3 degrees"}), ("camera", {"error": "out of order"})] == [
        (answer["name"], answer["response"]) for answer in answers
    ]
    assert (
        "$.messages[3].content[0]: no content has a block of type 'server_tool_use' as this"
        in (lost(found)[1])
    )
    assert "$.messages[3].content[1].citations: not read" == lost(found)[2]


def test_what_was_read_from_anthropic_goes_back_as_it_came() -> None:
    (found,) = read(DATA / "anthropic.json")
    written = json.loads(export(found, "anthropic").text)
    given = json.loads((DATA / "anthropic.json").read_text())["messages"]
    del given[2]["content"][2]["cache_control"], given[3]["content"][0]
    del given[3]["content"][0]["citations"]
    given[0]["content"] = [{"type": "text", "text": "Weather in Oslo?"}]
    given[2]["content"][1]["content"] = "out of order"
    assert given == written["messages"]


def test_what_was_read_from_openai_goes_back_as_it_came() -> None:
    (found,) = read(DATA / "openai.json")
    given = json.loads((DATA / "openai.json").read_text())["messages"]
    written = json.loads(export(found, "openai").text)
    assert {"role": "system", "content": "Be brief."} == written[0]
    assert given[1]["content"][:5] == written[1]["content"]
    calls = written[2]["tool_calls"]
    assert ["call_1", "call_2"] == [call["id"] for call in calls]
    assert {"role": "assistant", "content": None, "refusal": "I cannot say."} == written[5]
    assert {"role": "assistant", "content": "A cat."} == written[7]


def test_every_branch_of_a_chatgpt_export_is_read() -> None:
    primes, greeting = read(DATA / "chatgpt.json")
    assert ("Primes", "gpt-5-thinking") == (primes.title, primes.model)
    assert "I teach.\n\nBe brief." == told(primes)
    tree = Tree(primes.turns, primes.head)
    assert ["Is 91 prime?", "Is 91 prime?", "Is 93 prime?"] == [
        root.contents[0].text for root in tree.roots
    ]
    first, other, _ = tree.roots
    assert ["And this?", "Draw it."] == [turn.contents[0].text for turn in tree.children(first)]
    assert "It is not." == other.contents[-1].text
    assert first is primes.head
    assert [
        {"text": "91 is 7 times 13.", "thought": True},
        {"executableCode": {"language": "PYTHON", "code": "print(91 % 7)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "0"}},
        {"text": "No: 7 × 13."},
        {"text": "Shall I go on?"},
    ] == parts(primes, 1)
    drawn = tree.children(first)[1]
    assert {"functionCall": {"name": "dalle.text2im", "args": {"prompt": "91"}}} == (
        drawn.contents[1].json_object["parts"][0]
    )
    assert [
        "$[0].mapping.n5.message.content: reasoning_recap: only says what the app shows",
        "$[0].mapping.n11.message.content.parts[0]: image_asset_pointer "
        "file-service://file-abc: its bytes are not in the file",
        "$[0].mapping.n15.message.content.parts[0]: image_asset_pointer "
        "sediment://file-def: its bytes are not in the file",
    ] == lost(primes)
    assert (["user: Hi", "model: Hello."], []) == (spoken(greeting), lost(greeting))


def test_the_archive_of_a_chatgpt_export_is_opened() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.write(DATA / "chatgpt.json", "conversations.json")
    assert ["Primes", "Greeting"] == [one.title for one in read(archive.getvalue())]


@pytest.mark.parametrize("version", ["0_26", "0_36"])
def test_the_log_of_llm_is_read(version: str, tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as database:
        database.executescript((DATA / f"llm_{version}.sql").read_text())
    database.close()
    weather, greeting = read(path)
    assert ("What is this?", "mock", "Be brief.") == (weather.title, weather.model, told(weather))
    assert [
        [
            {"text": "What is this?"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}},
        ],
        [{"text": "A red dot."}],
        [{"text": "And the weather?"}],
        [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}}],
        [
            {
                "functionResponse": {
                    "id": "c1",
                    "name": "weather",
                    "response": {"result": "3 degrees in Oslo"},
                }
            }
        ],
        [{"text": "It is 3 degrees in Oslo."}],
    ] == [parts(weather, i) for i in range(6)]
    assert ["user: Hi", "model: Hello."] == spoken(greeting)
    assert [] == lost(weather) + lost(greeting)


@pytest.mark.parametrize("version", ["0_26", "0_36"])
def test_a_conversation_is_added_to_a_log_of_llm(version: str, tmp_path: Path) -> None:
    path = tmp_path / "logs.db"
    with sqlite3.connect(path) as database:
        database.executescript((DATA / f"llm_{version}.sql").read_text())
    database.close()
    before = [spoken(one) for one in read(path)]
    (found,) = read(DATA / "messages.jsonl")
    written = export(found._replace(name="Ours", model="m"), "llm", path)
    assert ((), path) == (written.lost, written.path)
    assert [*before, spoken(found)] == [spoken(one) for one in read(path)]
    assert "Ours" == read(path)[-1].title


def test_a_line_of_json_may_hold_a_message_or_a_conversation() -> None:
    (found,) = read(DATA / "messages.jsonl")
    assert ["user: line \u2028 one", "model: two"] == spoken(found)
    one, two = read(DATA / "finetuning.jsonl")
    assert ("Be brief.", ["user: One", "model: 1"]) == (told(one), spoken(one))
    assert (None, ["user: Two", "model: 2"]) == (told(two), spoken(two))
