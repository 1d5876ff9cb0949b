"""Conversations with real servers, in both ways of use."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from multiturn import GenerativeModel, protos
from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    ContextTooLong,
    TimedOut,
    TurnCancelled,
    UsageError,
)
from multiturn.google_errors import MethodNotImplemented, NotFound, Unauthenticated
from multiturn.retry import NO_RETRY
from ways import Way, said, wire

from .conftest import Server

BRIEF = {"temperature": 0, "max_output_tokens": 16}


def model_of(server: Server, **options: Any) -> GenerativeModel:
    options = {"generation_config": BRIEF, "system_instruction": "Be brief.", **options}
    return GenerativeModel(server.model, backend=server.backend(), **options)


async def test_a_conversation_goes_on(way: Way, server: Server) -> None:
    chat = model_of(server).start_chat()
    first = await way.send(chat, "What is the capital of France?")
    assert "Paris" in first.text
    second = await way.send(chat, "And of Italy?")
    assert "Rome" in second.text
    assert 4 == len(chat.history)
    usage = second.usage_metadata
    assert usage.prompt_token_count > first.usage_metadata.prompt_token_count
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert second.model_version


async def test_a_stream_says_the_same_as_a_whole_answer(way: Way, server: Server) -> None:
    whole, streamed = model_of(server).start_chat(), model_of(server).start_chat()
    await way.send(whole, "What is the capital of France?")
    response = await way.send(streamed, "What is the capital of France?", stream=True)
    pieces = [chunk.text async for chunk in way.read(response)]
    assert len([piece for piece in pieces if piece]) > 1
    assert wire(whole) == wire(streamed)
    assert response.usage_metadata.candidates_token_count


async def test_the_limit_of_tokens_is_a_finish_reason(way: Way, server: Server) -> None:
    chat = model_of(server, generation_config={"max_output_tokens": 3}).start_chat()
    response = await way.send(chat, "Tell me a long story.")
    assert protos.Candidate.FinishReason.MAX_TOKENS == response.candidates[0].finish_reason


async def test_an_answer_keeps_to_a_schema(way: Way, server: Server) -> None:
    if not server.keeps_to_schemas:
        return  # it does not claim to
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    config = {
        "response_mime_type": "application/json", "response_schema": schema,
        "temperature": 0, "max_output_tokens": 100,
    }  # fmt: skip
    response = await way.generate(
        model_of(server), "Alice is 30. Describe her as JSON.", generation_config=config
    )
    assert {"name", "age"} == set(json.loads(response.text))


async def test_tokens_are_counted_where_the_server_counts_them(way: Way, server: Server) -> None:
    model = model_of(server)
    if not server.counts:
        with pytest.raises(MethodNotImplemented, match="does not count"):
            await way.count(model, "Hello")
        return
    counted = await way.count(model, "Hello")
    answered = await way.generate(model, "Hello")
    assert answered.usage_metadata.prompt_token_count == counted.total_tokens


def test_a_cancelled_answer_ends_at_once_and_the_server_answers_the_next(server: Server) -> None:
    long = {"max_output_tokens": 400, "temperature": 0}
    chat = model_of(server, generation_config=long).start_chat()
    response = chat.send_message("Write a long story about a whale.", stream=True)
    chunks = iter(response)
    next(chunks)
    threading.Timer(0.05, response.cancel).start()
    with pytest.raises(TurnCancelled):
        list(chunks)
    assert [] == chat.history
    chat.model = model_of(server)
    assert "Paris" in chat.send_message("What is the capital of France?").text


def test_a_cancelled_task_ends_at_once(server: Server) -> None:
    async def scenario() -> None:
        long = {"max_output_tokens": 400, "temperature": 0}
        chat = model_of(server, generation_config=long).start_chat()
        task = asyncio.create_task(chat.send_message_async("Write a long story about a whale."))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [] == chat.history

    asyncio.run(scenario())


async def test_a_server_that_is_down_is_named(way: Way) -> None:
    from multiturn import OpenAIBackend

    model = GenerativeModel("m", backend=OpenAIBackend("http://127.0.0.1:9/v1"), retry=NO_RETRY)
    with pytest.raises(ConnectionFailed) as caught:
        await way.generate(model, "Hi")
    assert "openai" == caught.value.backend
    assert caught.value.retryable


async def test_a_call_that_takes_too_long_is_given_up(way: Way, server: Server) -> None:
    long = {"max_output_tokens": 1000, "temperature": 0}
    model = model_of(server, generation_config=long, retry=NO_RETRY)
    with pytest.raises(TimedOut):
        await way.generate(model, "Count to a thousand.", request_options={"timeout": 0.05})


# -- what only llama.cpp's server can show ---------------------------------------------------


async def test_a_wrong_key_is_an_error_that_does_not_show_it(
    way: Way, llamacpp_server: Server
) -> None:
    wrong = llamacpp_server._replace(key="sk-a-secret-that-is-wrong")
    with pytest.raises(Unauthenticated) as caught:
        await way.generate(model_of(wrong), "Hi")
    assert 401 == caught.value.code
    assert not caught.value.retryable
    for shown in (str(caught.value), repr(caught.value), repr(caught.value.__dict__)):
        assert "sk-a-secret" not in shown


async def test_a_conversation_that_is_too_long_says_by_how_much(
    way: Way, llamacpp_server: Server
) -> None:
    with pytest.raises(ContextTooLong) as caught:
        await way.generate(model_of(llamacpp_server), "word " * 5000)
    assert caught.value.prompt_tokens > 5000 > caught.value.context_tokens


async def test_an_address_that_is_no_api_is_an_error(way: Way, llamacpp_server: Server) -> None:
    elsewhere = llamacpp_server._replace(base_url=llamacpp_server.base_url + "/nowhere")
    with pytest.raises(NotFound):
        await way.generate(model_of(elsewhere), "Hi")


async def test_what_the_server_refuses_leaves_the_session_usable(
    way: Way, llamacpp_server: Server
) -> None:
    chat = model_of(llamacpp_server).start_chat()
    schema = {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}
    config = {"response_mime_type": "application/json", "response_json_schema": schema}
    with pytest.raises(BackendError):
        await way.send(chat, "Hi", generation_config=config)
    with pytest.raises(UsageError):
        await way.send(chat, "Hi", generation_config={"response_mime_type": "text/x.enum"})
    assert "Paris" in (await way.send(chat, "What is the capital of France?")).text
    assert 2 == len(chat.history)


async def test_log_probabilities_come_along(way: Way, llamacpp_server: Server) -> None:
    config = {**BRIEF, "response_logprobs": True, "logprobs": 2}
    response = await way.generate(model_of(llamacpp_server), "Hi", generation_config=config)
    found = response.candidates[0].logprobs_result
    assert response.text.startswith("".join(c.token for c in found.chosen_candidates[:2]))
    assert {2} == {len(top.candidates) for top in found.top_candidates}


def test_the_server_s_models_are_listed(llamacpp_server: Server) -> None:
    assert 1 == len(llamacpp_server.backend().list_models())


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def shown_how() -> list[dict[str, Any]]:
    """Three turns in which the model called the function, from which it learns to."""
    history: list[dict[str, Any]] = []
    for city, found in (("Rome", "warm"), ("Oslo", "cold"), ("Lima", "mild")):
        call = {"function_call": {"name": "weather", "args": {"city": city}}}
        result = {"function_response": {"name": "weather", "response": {"result": found}}}
        history += [
            {"role": "user", "parts": [f"How is the weather in {city}?"]},
            {"role": "model", "parts": [call]},
            {"role": "user", "parts": [result]},
            {"role": "model", "parts": [f"It is {found} in {city}."]},
        ]
    return history


@pytest.mark.parametrize("stream", [False, True])
async def test_functions_that_the_model_calls_are_run(
    way: Way, calling_server: Server, stream: bool
) -> None:
    config = {**BRIEF, "max_output_tokens": 40}
    model = model_of(calling_server, tools=[weather], generation_config=config)
    chat = model.start_chat(history=shown_how(), enable_automatic_function_calling=True)
    response = await way.send(chat, "How is the weather in Paris?", stream=stream)
    await way.resolve(response)
    assert "sunny in Paris" in response.text
    question, call, result, answer = chat.history[-4:]
    assert {"city": "Paris"} == dict(call.parts[0].function_call.args)
    assert call.parts[0].function_call.id == result.parts[0].function_response.id != ""
    assert said(chat)[-1] == answer.text
    assert "How is the weather in Paris?" == question.text
