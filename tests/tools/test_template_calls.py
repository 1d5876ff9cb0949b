"""Conversations with functions through chat templates that have them.

The templates are of our own making, and the model was taught none of them: what is tested
is the form of what it is told and of what it calls, not whether it calls wisely.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from multiturn import GenerativeModel
from multiturn.backends.embedded.backend import EmbeddedBackend, messages_of, sampling_of, tools_of
from multiturn.backends.embedded.chunks import CallChunks, GrammarChunks, chunks_for
from multiturn.engine import CallSyntax, Piece
from multiturn.errors import UnknownName, UsageError
from multiturn.history import empty_path
from multiturn.messages.candidate import UsageMetadata
from multiturn.messages.content import Content
from multiturn.messages.message import MAX_DEPTH, Object
from multiturn.request import Request
from tool_templates import ALL
from ways import Way

TAGGED = CallSyntax(
    '<tool_call>\n{"name": "', '", "arguments": ', '}\n</tool_call>\n<tool_call>\n{"name": "',
    "}\n</tool_call>",
)  # fmt: skip


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, EmbeddedBackend]]:
    backends = {
        name: EmbeddedBackend(context_tokens=1024, slots=1, threads=1, chat_template=template)
        for name, template in ALL.items()
    }
    yield backends
    for backend in backends.values():
        for engine in backend._engines.values():
            engine.close()


@pytest.mark.parametrize(("name", "stream"), [("tagged", True), ("bare", False)])
def test_a_forced_call_is_made_and_leads_to_an_answer(
    name: str, stream: bool, way: Way, backends: dict[str, EmbeddedBackend]
) -> None:
    made: list[tuple[str, int]] = []
    used: list[UsageMetadata] = []

    def weather(city: str, days: int) -> dict[str, Any]:
        """Tell the weather."""
        made.append((city, days))
        return {"sky": "grey", "degrees": 3}

    model = GenerativeModel(
        "smollm2",
        backend=backends[name],
        tools=[weather],
        tool_config="any",
        generation_config={"max_output_tokens": 40},
    )
    chat = model.start_chat(enable_automatic_function_calling=True)

    async def scenario() -> None:
        for city in ("Paris", "Rome"):
            response = await way.send(chat, f"How is the weather in {city}?", stream=stream)
            assert "".join([chunk.text async for chunk in way.read(response)])
            assert chat.last is not None
            used.extend(chat.last.usage_by_round)

    way.run(scenario())
    # The second round of a turn is free: whether it calls once more is up to the model.
    assert len(made) >= 2
    assert {(str, int)} == {(type(city), type(days)) for city, days in made}
    assert ["user", "model", "user", "model"] == [content.role for content in chat.history][:4]
    # The token sampled last was not evaluated; all others are not evaluated again.
    held = [u.prompt_token_count + u.candidates_token_count - 1 for u in used]
    cached = [u.cached_content_token_count for u in used[1:]]
    assert all(there <= found for there, found in zip(held, cached, strict=False))


def test_a_prompt_with_functions_is_counted_as_it_is_sent(
    backends: dict[str, EmbeddedBackend],
) -> None:
    asked = request([said("user", "Hi.")])
    plain = asked._replace(tools=())
    counts = [backends["tagged"].count_tokens(r)["totalTokens"] for r in (asked, plain)]
    assert counts[0] > counts[1] + 50


def request(contents: list[Content], mode: str | None = None, **more: Any) -> Request:
    path = empty_path()
    for content in contents:
        path = path.plus(content)
    tools: tuple[Object, ...] = (
        {"functionDeclarations": [{"name": "now", "description": "The time."}, {"name": "add"}]},
    )
    config = None if mode is None else {"functionCallingConfig": {"mode": mode}}
    return Request("smollm2", path, tools=tools, tool_config=config, **more)


def said(role: str, *parts: str | Object) -> Content:
    listed = [{"text": part} if isinstance(part, str) else part for part in parts]
    return Content.view({"parts": listed, "role": role}, frozen=True)


def test_calls_and_results_are_told_in_the_words_of_the_template() -> None:
    result = {"functionResponse": {"name": "now", "response": {"time": "noon ☀"}}}
    calls = [
        {"functionCall": {"name": "now", "args": {}}},
        {"functionCall": {"name": "add", "args": {"a": 1}}},
    ]
    contents = [
        said("user", "Hi."),
        said("model", "Let me", " see.", {"text": "Hm.", "thought": True}, *calls),
        said("user", result, result, "Quick!"),
        said("model", "Noon."),
    ]
    spoken = (
        'Let me see.\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n'
        '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    )
    assert [
        ("user", "Hi."),
        ("assistant", spoken),
        ("result", '{"time": "noon ☀"}'),
        ("result", '{"time": "noon ☀"}'),
        ("user", "Quick!"),
        ("assistant", "Noon."),
    ] == messages_of(request(contents), calls=TAGGED)


def test_the_functions_that_the_template_shows_follow_the_rules_of_calling() -> None:
    hi = [said("user", "Hi.")]
    tools = tools_of(request(hi))
    assert tools is not None
    assert ["now", "add"] == [function.name for function in tools.functions]
    assert ({"now", "add"}, False) == (set(tools.allowed), tools.forced)
    assert None is tools_of(request(hi, "NONE"))
    assert None is tools_of(request(hi)._replace(tools=()))
    forced = request(hi, "ANY")
    assert forced.tool_config is not None
    forced.tool_config["functionCallingConfig"]["allowedFunctionNames"] = ["add"]  # type: ignore[index]
    narrow = tools_of(forced)
    assert narrow is not None
    assert ({"add"}, True, 2) == (set(narrow.allowed), narrow.forced, len(narrow.functions))
    forced.tool_config["functionCallingConfig"]["allowedFunctionNames"] = ["ad"]  # type: ignore[index]
    with pytest.raises(UnknownName, match="did you mean 'add'"):
        tools_of(forced)


def test_no_json_schema_is_asked_for_where_the_engine_holds_the_calls() -> None:
    asked = request([said("user", "Hi.")])
    sampling = sampling_of(asked, tools_of(asked))
    assert (None, None, 0.8) == (sampling.json_schema, sampling.grammar, sampling.dry_multiplier)
    forced = request([said("user", "Hi.")], "ANY")
    assert None is sampling_of(forced, tools_of(forced)).dry_multiplier
    shaped = asked._replace(generation_config={"responseMimeType": "application/json"})
    with pytest.raises(UsageError, match="response_schema"):
        sampling_of(shaped, tools_of(shaped))


CALL = '<tool_call>\n{"name": "now", "arguments": {"at": "\\ud83d"}}\n</tool_call>'
NOW = {"functionCall": {"name": "now", "args": {"at": "\ufffd"}}}


@pytest.mark.parametrize(
    ("written", "finish", "reason", "parts"),
    [
        ("Hi. <tool", "stop", "STOP", [{"text": "Hi. <tool"}]),
        ("Hi.", "length", "MAX_TOKENS", [{"text": "Hi."}]),
        (CALL, "stop", "STOP", [NOW]),
        (f"Hi.\n{CALL}\n{CALL}", "stop", "STOP", [{"text": "Hi."}, NOW, NOW]),
        (CALL, "length", "STOP", [NOW]),
        (f"Hi. {CALL[:-3]}", "length", "OTHER", [{"text": "Hi."}]),
        (f"{CALL} and so on", "stop", "MALFORMED_FUNCTION_CALL", []),
    ],
)
def test_an_answer_becomes_chunks(
    written: str, finish: Any, reason: str, parts: list[Object]
) -> None:
    chunks = chunks_for(request([said("user", "Hi.")]), TAGGED)
    played = [*written, ""]
    ends = [None] * len(written) + [finish]
    sent = [
        chunk
        for text, end in zip(played, ends, strict=True)
        for chunk in chunks.of(Piece(text, finish=end))
    ]
    told = [part for chunk in sent for part in chunk["candidates"][0]["content"]["parts"]]
    text = "".join(part.get("text", "") for part in told)
    found = ([{"text": text}] if text else []) + [part for part in told if "text" not in part]
    assert (parts, reason) == (found, sent[-1]["candidates"][0]["finishReason"])
    assert all("finishReason" not in chunk["candidates"][0] for chunk in sent[:-1])


def test_a_cancelled_answer_gives_nothing_more() -> None:
    chunks = chunks_for(request([said("user", "Hi.")]), TAGGED)
    assert [] == [*chunks.of(Piece("Hi", finish="cancelled"))]


@pytest.mark.parametrize(
    ("depth", "end", "expected"),
    [
        (MAX_DEPTH - 1, "stop", "STOP"),
        (MAX_DEPTH + 1, "stop", "MALFORMED_FUNCTION_CALL"),
        (MAX_DEPTH + 1, "length", "OTHER"),
        (3000, "stop", "MALFORMED_FUNCTION_CALL"),
        (3000, "length", "OTHER"),
    ],
)
def test_a_call_that_is_nested_too_deeply_is_malformed(depth: int, end: Any, expected: str) -> None:
    nested = "[" * depth + ("]" * depth + "}}" if end == "stop" else "")
    written = f'{{"name": "now", "arguments": {{"at": {nested}'
    for chunks, text in (
        (CallChunks("m", TAGGED), f"<tool_call>\n{written}\n</tool_call>"),
        (GrammarChunks("m"), written),
    ):
        (last,) = chunks.of(Piece(text, finish=end))
        assert expected == last["candidates"][0]["finishReason"]
