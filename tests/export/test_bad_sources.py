"""What no conversation can be read from is refused with its place, and nothing is kept."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import multiturn as genai
from export.strategies import JSON
from multiturn import InvalidContent, MemoryStore
from multiturn.export import NAMES, export, read
from multiturn.export.native import write

WRONG = [
    ('{"format": "multiturn.conversation", "version": 2}', "multiturn: $.version is 2"),
    ('{"format": "multiturn.conversation", "version": 1, "turns": [{}]}', "$.turns[0].id is None"),
    (
        '{"format": "multiturn.conversation", "version": 1, "turns": '
        '[{"id": "a", "contents": []}]}',
        "$.turns[0].contents is []; expected at least one content",
    ),
    (
        '{"format": "multiturn.conversation", "version": 1, "turns": '
        '[{"id": "a", "parent": "b", "contents": [{}]}]}',
        "$.turns[0].parent is 'b'; expected the id of a turn that stands before",
    ),
    ('{"format": "multiturn.conversation", "version": 1, "head": "x"}', "$.head is 'x'"),
    ('[{"role": "robot", "parts": [{"text": "a"}]}]', "gemini: $[0].role is 'robot'"),
    ('[{"parts": [{"text": 5}]}]', "gemini: $[0].parts[0].text is 5; expected a string"),
    ('[{"role": "robot", "content": "a"}]', "openai: $[0].role is 'robot'"),
    ('[{"role": "user", "content": 5}]', "openai: $[0].content is 5"),
    (
        '[{"role": "assistant", "tool_calls": [{"id": "a", "function": '
        '{"name": "f", "arguments": "{"}}]}]',
        "openai: $[0].tool_calls",
    ),
    (
        '[{"role": "user", "content": [{"type": "image_url", "image_url": '
        '{"url": "data:image/png;base64,???"}}]}]',
        "expected base64",
    ),
    (
        '{"system": "", "messages": [{"role": "system", "content": "a"}]}',
        "anthropic: $.messages[0].role is 'system'; expected user or assistant",
    ),
    (
        '[{"role": "user", "content": [{"type": "tool_result"}]}]',
        "anthropic: $[0].content[0].tool_use_id is None",
    ),
    ('[{"mapping": {"a": 5}}]', "chatgpt: $[0].mapping.a is 5; expected a node"),
    ('[{"mapping": {}, "current_node": "x"}]', "chatgpt: $[0].current_node is 'x'"),
    (
        '[{"mapping": {"a": {"children": ["a"]}}}]',
        "chatgpt: $[0].mapping.a is 'a'; expected a tree: each node reached once",
    ),
    ('{"role": "user", "content": "a"}\n{"role": "user"', "jsonl: line 2"),
    ('{"role": "user", "content": "a"}\n[]', "jsonl: line 2 is []; expected a message"),
    (
        "# Conversation with m\n\n## You <!-- multiturn:user -->\n\n"
        "<!-- multiturn:part -->\n\nhello\n",
        "markdown: line 7",
    ),
    ("[1, 2]", "source is '[1, 2]'; expected a conversation as multiturn, llm"),
    ("", "source is ''; expected a conversation as multiturn, llm"),
    ({}, "source is {}; expected a conversation as multiturn, llm"),
    ("[", "expected JSON"),
    ("# Notes\n\nhello", "expected a conversation as"),
    (b"SQLite format 3\x00 and more", "llm: source"),
    (b"PK\x03\x04rest", "an archive that holds conversations.json"),
    (b"\xff\xfe", "text in UTF-8"),
    ("no such file.json", "a file that can be read"),
    (5, "the name of a file, its text or bytes"),
]


@pytest.mark.parametrize(("source", "told"), WRONG)
def test_what_cannot_be_read_is_refused_with_its_format_and_place(source: Any, told: str) -> None:
    store = MemoryStore()
    with pytest.raises(InvalidContent) as caught:
        genai.load_chat(source, session="ada", store=store)
    assert told in str(caught.value)
    assert [] == store.sessions()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "llm"])
@settings(max_examples=min(settings().max_examples, 300))
@given(value=st.data())
def test_no_json_makes_a_reader_stumble(name: str, value: st.DataObject) -> None:
    if name in ("chatgpt", "multiturn"):
        node = st.fixed_dictionaries({}, optional={"message": MESSAGES, "children": JSON})
        found = value.draw(MAPPINGS(node) if name == "chatgpt" else SESSIONS)
    else:
        found = value.draw(st.lists(MESSAGES | JSON, min_size=1, max_size=3))
    text = "\n".join(map(json.dumps, found)) if name == "jsonl" else json.dumps(found)
    if name == "markdown":
        text = (
            f"## You <!-- multiturn:user -->\n\n<!-- multiturn:part -->\n\n```json\n{text}\n```\n"
        )
    with suppress(InvalidContent):
        for one in read(text, format=name):
            write(one)
            for other in NAMES:
                export(one, other)


KINDS = st.sampled_from(
    ["text", "image_url", "image", "tool_use", "tool_result", "thinking", "input_audio", "file"]
)
PARTS = st.fixed_dictionaries(
    {"type": KINDS},
    optional={
        "text": JSON, "image_url": JSON, "input_audio": JSON, "file": JSON, "source": JSON,
        "id": JSON, "name": JSON, "input": JSON, "content": JSON, "thinking": JSON,
        "tool_use_id": JSON, "functionCall": JSON, "inlineData": JSON,
    },
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "model", "assistant", "tool", "system"]),
        "content": st.text(max_size=3) | st.lists(PARTS, max_size=2) | JSON,
        "parts": st.lists(PARTS | JSON, max_size=2),
        "tool_calls": JSON | st.lists(st.fixed_dictionaries({"function": JSON}), max_size=2),
        "author": JSON | st.just({"role": "user"}) | st.just({"role": "assistant"}),
        "tool_call_id": JSON,
    },
)
TURNS = st.fixed_dictionaries(
    {"id": st.sampled_from("abc")},
    optional={"parent": st.sampled_from("abc"), "contents": JSON | st.lists(MESSAGES)},
)
SESSIONS = st.fixed_dictionaries(
    {"format": st.just("multiturn.conversation"), "version": st.just(1)},
    optional={"turns": st.lists(TURNS | JSON, max_size=3), "head": JSON, "tries": JSON},
)


def MAPPINGS(node: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    nodes = st.dictionaries(st.sampled_from("abc"), node | JSON, max_size=3)
    return st.fixed_dictionaries({"mapping": nodes}, optional={"current_node": JSON})
