"""The model itself: asked outside a conversation, and made with its defaults."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel, MemoryStore, protos, types
from multiturn.errors import (
    BackendError,
    BrokenResponseError,
    InvalidContent,
    TurnCancelled,
    UnknownName,
    UsageError,
)
from multiturn.testing import ScriptedBackend, ScriptedReply
from ways import AT_ONCE, BLOCKED, Way, text_chunk


def model_of(*lines: Any, **options: Any) -> tuple[GenerativeModel, ScriptedBackend]:
    backend = ScriptedBackend(*lines)
    return GenerativeModel(backend=backend, retry=AT_ONCE, **options), backend


def test_a_path_names_a_model_as_its_text_does(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")

    assert str(tmp_path / "x.gguf") == GenerativeModel(tmp_path / "x.gguf").model_name


async def test_contents_are_answered(way: Way) -> None:
    model, backend = model_of("Hello.")
    response = await way.generate(model, "Hi")
    assert "Hello." == response.text
    assert ["Hi"] == [content.text for content in backend.requests[0].contents]


async def test_a_list_of_contents_is_a_conversation(way: Way) -> None:
    model, backend = model_of("Hello.")
    await way.generate(
        model, [{"role": "user", "parts": ["a"]}, {"role": "model", "parts": ["b"]}, {"parts": "c"}]
    )
    assert ["a", "b", "c"] == [content.text for content in backend.requests[0].contents]


async def test_answers_stream(way: Way) -> None:
    model, backend = model_of(["One", "Two"])
    response = await way.generate(model, "Hi", stream=True)
    assert ["One", "Two"] == [chunk.text async for chunk in way.read(response)]
    assert ("OneTwo", 0) == (response.text, backend.open_streams)
    assert backend.requests[0].stream


async def test_a_refusal_and_a_bad_end_are_the_callers_to_read(way: Way) -> None:
    model, _ = model_of(BLOCKED, ScriptedReply(("One",), finish="SAFETY"))
    refused = await way.generate(model, "Hi")
    assert "SAFETY" == refused.prompt_feedback.block_reason.name
    with pytest.raises(UsageError, match="the prompt was refused"):
        _ = refused.text
    stopped = await way.generate(model, "Hi")
    assert ("One", "SAFETY") == (stopped.text, stopped.candidates[0].finish_reason.name)


@pytest.mark.parametrize("line", [[], ScriptedReply(("One",), finish=None), {"usageMetadata": {}}])
async def test_an_answer_without_an_end_is_broken(way: Way, line: Any) -> None:
    model, _ = model_of(line)
    with pytest.raises(BrokenResponseError):
        await way.generate(model, "Hi")


async def test_failures_are_retried_and_raised(way: Way) -> None:
    busy = BackendError("busy", retryable=True)
    model, backend = model_of(busy, "One", BackendError("no"))
    assert "One" == (await way.generate(model, "Hi")).text
    with pytest.raises(BackendError, match="no"):
        await way.generate(model, "Hi")
    assert 3 == len(backend.requests)


async def test_an_answer_can_be_cancelled_and_left(way: Way) -> None:
    model, backend = model_of(["One", "Two"], ["One", "Two"])
    response = await way.generate(model, "Hi", stream=True)
    response.cancel()
    with pytest.raises(TurnCancelled):
        await way.resolve(response)
    async for _ in way.read(await way.generate(model, "Hi", stream=True)):
        break
    await way.idle()
    assert 0 == backend.open_streams


@pytest.mark.parametrize("contents", [None, "", [], (), {}, iter(())])
async def test_nothing_to_say_is_refused(way: Way, contents: Any) -> None:
    model, backend = model_of("Never.")
    with pytest.raises(InvalidContent, match=r"\$\.contents"):
        await way.generate(model, contents)
    assert [] == backend.requests


@pytest.mark.parametrize("contents", [None, [], iter(())])
async def test_what_is_sent_with_nothing_said_can_be_counted(way: Way, contents: Any) -> None:
    model, _ = model_of("Never.")

    assert 0 == (await way.count(model, contents)).total_tokens


async def test_several_answers_are_told_apart(way: Way) -> None:
    chunk = {
        "candidates": [
            {"index": i, "content": {"parts": [{"text": t}]}, "finishReason": "STOP"}
            for i, t in enumerate("ab")
        ]
    }
    model, _ = model_of(chunk, generation_config={"candidate_count": 2})
    response = await way.generate(model, "Hi")
    assert ["a", "b"] == [c.content.text for c in response.candidates]
    with pytest.raises(UsageError, match=r"2 candidates.*candidates\[i\]"):
        _ = response.text


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"functionCall": {"name": "f"}}, "function_call"),
        ({"inlineData": {"mimeType": "image/png", "data": ""}}, "inline_data"),
    ],
)
async def test_an_answer_that_is_not_text_says_so(way: Way, part: Any, shown: str) -> None:
    chunk = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    model, _ = model_of(chunk)
    with pytest.raises(ValueError, match=f"holds a {shown}.*response.parts"):
        _ = (await way.generate(model, "Hi")).text


async def test_an_answer_without_parts_tells_its_reason(way: Way) -> None:
    model, _ = model_of({"candidates": [{"finishReason": "RECITATION"}]})
    with pytest.raises(ValueError, match=r"no parts.*RECITATION.*copyrighted"):
        _ = (await way.generate(model, "Hi")).text


async def test_code_and_its_output_stand_in_fences(way: Way) -> None:
    parts = [
        {"text": "So:"},
        {"executableCode": {"language": "PYTHON", "code": "\nprint(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
        {"text": "hidden", "thought": True},
    ]
    model, _ = model_of({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})
    expected = "So:\n``` python\nprint(1)\n```\n\n```\n1\n```\n\n``` failed\nno\n```\n"
    assert expected == (await way.generate(model, "Hi")).text


def test_a_model_shows_its_defaults() -> None:
    model, _ = model_of(system_instruction="Be brief.", generation_config={"top_k": 3})
    assert "Be brief." in repr(model)
    assert "topK" in repr(model)
    assert str(model) == repr(model)
    assert "scripted" == model.model_name


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"generation_config": {"temprature": 1}}, UnknownName),
        ({"safety_settings": {"hat": 1}}, UnknownName),
        ({"system_instruction": 3}, InvalidContent),
    ],
)
def test_a_bad_default_is_refused_when_the_model_is_made(options: Any, error: type) -> None:
    with pytest.raises(error):
        model_of(**options)


def test_a_response_can_be_made_of_a_whole_or_an_iterator() -> None:
    chunks = [protos.GenerateContentResponse.view(text_chunk(t)) for t in ("One", "Two")]
    streamed = types.GenerateContentResponse.from_iterator(iter(chunks))
    assert ["One", "Two"] == [chunk.text for chunk in streamed]
    assert "OneTwo" == streamed.text
    assert "One" == types.GenerateContentResponse.from_response(chunks[0]).text


async def test_what_an_iterator_of_the_caller_raises_ends_the_reply_made_of_it(way: Way) -> None:
    first = protos.GenerateContentResponse.view(text_chunk("One"))

    def chunks() -> Iterator[protos.GenerateContentResponse]:
        yield first
        raise TurnCancelled("the caller's own")

    async def chunks_async() -> AsyncIterator[protos.GenerateContentResponse]:
        for chunk in chunks():
            yield chunk

    reply: Any
    if way.name == "async":
        reply = await types.AsyncGenerateContentResponse.from_aiterator(chunks_async())
    else:
        reply = types.GenerateContentResponse.from_iterator(chunks())
    for _ in range(2):
        with pytest.raises(TurnCancelled, match="the caller's own"):
            await way.resolve(reply)
    assert "One" == reply.text


def test_a_models_own_key_is_kept_from_sight() -> None:
    model = GenerativeModel("openai/gpt-5", api_key="sk-sentinel")

    assert "sk-sentinel" not in repr(model)
    assert b"sk-sentinel" not in pickle.dumps(model)


@pytest.mark.parametrize("name", [None, "ada"])
def test_a_subclass_begins_its_own_conversations_in_a_loop_too(name: str | None) -> None:
    class Named(GenerativeModel):
        def start_chat(self, **given: Any) -> ChatSession:
            return super().start_chat(**given, busy="raise")

    store = MemoryStore() if name else None
    begun = Named(backend=ScriptedBackend()).start_chat_async(session=name, store=store)
    assert "raise" == asyncio.run(begun)._busy
