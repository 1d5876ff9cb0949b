"""Conversations through any-llm; ``openai/test_any_llm.py`` runs them with a Python that has it.

They stand here, and the tests' own place comes last, because the tests have a package
``openai`` that hides the one which any-llm needs.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import pytest

from gemini.wire_server import LAST_CHUNK, STREAM_HEAD, Close, Pause, WireServer, chunked, whole
from multiturn import GenerativeModel
from multiturn.backends.any_llm.backend import AnyLlmBackend
from multiturn.errors import (
    BlockedPromptException,
    BrokenResponseError,
    ConnectionFailed,
    MissingKey,
    MultiturnError,
    StatusError,
    TimedOut,
    TurnCancelled,
    UsageError,
)
from multiturn.google_errors import ResourceExhausted, Unauthenticated
from multiturn.retry import NO_RETRY

WIRE = Path(__file__).parents[1] / "openai" / "wire"
KEY = "sk-very-secret-0123456789"
BRIEF = {"temperature": 0, "max_output_tokens": 16}
# What any-llm 1.40 does not read as we do by ourselves: servers off the protocol's path.
LOST = {
    "gateway.error_object_instead_of_events": "an error in place of a stream is an empty stream",
    "gateway.one_object_instead_of_events": "an answer in place of a stream is an empty stream",
    "gemini_compatible.no_index_and_signature": "a call without an index is refused",
    "llamacpp.error_line_of_old_servers": "the line is passed over",
    "mistral.thinking_in_a_list": "a list is refused; its provider 'mistral' reads it",
    "openai.parallel_calls": "a chunk without 'created' is refused",
    "sglang.arguments_before_name": "a call without an index is refused",
    "vllm.error_in_the_stream": "an error without an envelope is one of unknown kind",
    "tgi.call_is_no_list_and_arguments_are_an_object": "a call that is no list is refused",
}


def model_of(server: WireServer, name: str = "openai/m", **options: Any) -> GenerativeModel:
    backend = AnyLlmBackend(KEY, f"{server.url}/v1")
    return GenerativeModel(name, backend=backend, retry=NO_RETRY, **options)


def here(**options: Any) -> GenerativeModel:
    """Return llama.cpp's server as a model."""
    backend = AnyLlmBackend(os.environ["LLAMACPP_KEY"], os.environ["LLAMACPP_URL"])
    options = {"generation_config": BRIEF, "system_instruction": "Be brief.", **options}
    return GenerativeModel("openai/smollm2", backend=backend, **options)


def completion(**members: Any) -> Any:
    choice = {"index": 0, "message": {"role": "assistant", **members}, "finish_reason": "stop"}
    base = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return whole({**base, "choices": [choice]}, **{"Content-Type": "application/json"})


def event(*deltas: str) -> bytes:
    said = "".join(
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
        f'"choices":[{{"index":0,"delta":{{"content":"{delta}"}},"finish_reason":null}}]}}\n\n'
        for delta in deltas
    )
    return STREAM_HEAD + chunked(said.encode())


def test_a_real_server_is_talked_with_in_both_ways() -> None:
    chat = here().start_chat()
    assert "Paris" in chat.send_message("What is the capital of France?").text
    pieces = [chunk.text for chunk in chat.send_message("And of Italy?", stream=True)]
    assert "Rome" in "".join(pieces)
    assert len(pieces) > 1

    async def scenario() -> None:
        other = here().start_chat()
        response = await other.send_message_async("What is the capital of France?", stream=True)
        assert "Paris" in "".join([chunk.text async for chunk in response])
        assert response.usage_metadata.candidates_token_count

    asyncio.run(scenario())
    asyncio.run(scenario())  # another event loop


def test_a_cancelled_answer_ends_at_once_and_the_server_answers_the_next() -> None:
    chat = here(generation_config={"max_output_tokens": 400}).start_chat()
    response = chat.send_message("Write a long story about a whale.", stream=True)
    chunks = iter(response)
    next(chunks)
    threading.Timer(0.05, response.cancel).start()
    with pytest.raises(TurnCancelled):
        list(chunks)
    assert [] == chat.history
    chat.model = here()
    assert "Paris" in chat.send_message("What is the capital of France?").text


def test_a_silent_server_is_left_when_cancelled_and_by_its_time() -> None:
    async def scenario(model: GenerativeModel) -> None:
        task = asyncio.create_task(model.generate_content_async("Hi"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with WireServer([Pause(30)]) as server:
        began = time.monotonic()
        asyncio.run(scenario(model_of(server)))
        with pytest.raises(TimedOut):
            model_of(server).generate_content("Hi", request_options={"timeout": 0.3})
        assert time.monotonic() - began < 5


def test_calls_and_their_results_travel_with_their_ids() -> None:
    call = {"id": "call_7", "type": "function"}
    call["function"] = {"name": "weather", "arguments": '{"city":"Paris"}'}  # type: ignore[assignment]

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sun in {city}"

    with WireServer(completion(content=None, tool_calls=[call]), completion(content="Sun.")) as s:
        chat = model_of(s, tools=[weather]).start_chat(enable_automatic_function_calling=True)
        assert "Sun." == chat.send_message("How is it in Paris?").text
        told = s.requests[1].json["messages"]
    assert ["user", "assistant", "tool"] == [message["role"] for message in told]
    assert "call_7" == told[1]["tool_calls"][0]["id"] == told[2]["tool_call_id"]
    assert "weather" == s.requests[0].json["tools"][0]["function"]["name"]
    assert f"Bearer {KEY}" == s.requests[0].headers["authorization"]


def test_errors_are_those_of_the_one_tree_and_asked_once() -> None:
    busy = whole({"error": {"message": f"No, {KEY}"}}, 429, **{"Retry-After": "7"})
    with WireServer(busy) as server:
        with pytest.raises(ResourceExhausted) as caught:
            model_of(server).generate_content("Hi")
        assert 1 == len(server.requests)
    error = caught.value
    assert (429, 7.0, True, "any/openai") == (
        error.code, error.retry_after_seconds, error.retryable, error.backend,
    )  # fmt: skip
    assert KEY not in str(error)
    unknown = whole({"error": {"message": "No."}}, 401)
    with WireServer(unknown) as server, pytest.raises(Unauthenticated):
        model_of(server).generate_content("Hi", stream=True).resolve()
    refused = whole({"error": {"message": "No.", "code": "content_filter"}}, 400)
    with WireServer(refused) as server, pytest.raises(BlockedPromptException):
        model_of(server).start_chat().send_message("Hi")
    with WireServer([Close]) as server, pytest.raises(ConnectionFailed):
        model_of(server).generate_content("Hi")
    for steps in ([event("Hel"), Close], [event("Hel"), LAST_CHUNK]):
        with WireServer(steps) as server:
            chat = model_of(server).start_chat()
            with pytest.raises((ConnectionFailed, BrokenResponseError)):
                list(chat.send_message("Hi", stream=True))
            assert [] == chat.history


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        GenerativeModel("any/openai/m").generate_content("Hi")
    with pytest.raises(UsageError, match=r"any-llm-sdk\[bedrock\]"):
        GenerativeModel("any/bedrock/m").generate_content("Hi")
    with pytest.raises(UsageError, match="opnai"):
        GenerativeModel("any/opnai/m").generate_content("Hi")


def test_a_backend_is_pickled_without_its_key() -> None:
    backend = AnyLlmBackend(KEY, "http://127.0.0.1:9/v1")
    assert KEY.encode() not in pickle.dumps(backend)
    assert KEY not in repr(backend)


def test_another_protocol_is_spoken() -> None:
    said = {
        "id": "m1", "type": "message", "role": "assistant", "model": "claude",
        "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"},
                    {"type": "text", "text": "Four."}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 3, "output_tokens": 5},
    }  # fmt: skip
    with WireServer(whole(said, **{"Content-Type": "application/json"})) as server:
        response = model_of(server, "anthropic/claude", generation_config=BRIEF).generate_content(
            "2+2?"
        )
        assert server.requests[0].target.endswith("/messages")
    parts = response.candidates[0].content.parts
    assert [("Hm.", True), ("Four.", False)] == [(part.text, part.thought) for part in parts]
    assert (3, 5) == (
        response.usage_metadata.prompt_token_count, response.usage_metadata.candidates_token_count
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in WIRE.glob("*.sse")))
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, of any-llm's own objects
def test_a_quirk_is_read_as_without_it(name: str) -> None:
    body = STREAM_HEAD + chunked((WIRE / f"{name}.sse").read_bytes()) + LAST_CHUNK
    with WireServer(body) as server:
        from multiturn import OpenAIBackend

        ours = GenerativeModel("m", backend=OpenAIBackend(f"{server.url}/v1"), retry=NO_RETRY)
        assert (_said(ours) == _said(model_of(server))) is (name not in LOST), LOST.get(name)


def _said(model: GenerativeModel) -> Any:
    """Return everything an answer says, and what went wrong; words of errors aside."""
    said: Any = []
    response = None
    try:
        response = model.generate_content("Hi", stream=True)
        response.resolve()
    except MultiturnError as error:
        said.append(type(error).__name__ if not isinstance(error, StatusError) else "status")
    if response is not None:
        said.append(response.to_dict() if response.candidates else None)
    return said
