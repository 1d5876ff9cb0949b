"""A call that the limit of tokens cut off is no good answer, and not asked for again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gemini.wire_server import WireServer, whole
from multiturn.errors import StopCandidateException
from openai.test_backend import completion, model_of, piece, streamed
from ways import Way, said


def weather(city: str) -> str:
    """Tell the weather."""
    return f"cold in {city}"


def answer(arguments: str, stream: bool, finish: str = "length") -> bytes:
    function = {"name": "weather", "arguments": arguments}
    call = {"index": 0, "id": "c1", "type": "function", "function": function}
    if stream:
        return streamed(piece(tool_calls=[call]), piece(finish=finish))
    return whole(completion("", finish, tool_calls=[call]))


def last(stream: bool) -> bytes:
    return streamed(piece("Cold."), piece(finish="stop")) if stream else whole(completion("Cold."))


@pytest.fixture
def server() -> Iterator[WireServer]:
    server = WireServer()
    yield server
    server.close()


def chat_of(server: WireServer, *script: Any) -> Any:
    server.script[:] = script
    model = model_of(server, tools=[weather])
    return model.start_chat(enable_automatic_function_calling=True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("arguments", ['{"city":"Os', "", '{"city":"' + "Oslo " * 1000])
async def test_it_is_an_error_at_once_that_says_what_arrived_and_what_helps(
    way: Way, server: WireServer, stream: bool, arguments: str
) -> None:
    chat = chat_of(server, answer(arguments, stream), last(stream))
    with pytest.raises(StopCandidateException) as caught:
        await way.resolve(await way.send(chat, "Oslo?", stream=stream))
    told = f"limit of tokens; raise max_output_tokens: weather({arguments[:400]}"
    assert told in str(caught.value)
    assert (1, []) == (len(server.requests), said(chat))


@pytest.mark.parametrize("stream", [False, True])
async def test_one_that_is_malformed_within_the_limit_is_asked_for_anew(
    way: Way, server: WireServer, stream: bool
) -> None:
    chat = chat_of(server, answer('{"city":"Os', stream, "tool_calls"), last(stream))
    await way.resolve(await way.send(chat, "Oslo?", stream=stream))
    assert (["Oslo?", "Cold."], 2) == (said(chat), len(server.requests))


async def test_a_whole_call_before_the_limit_is_run(way: Way, server: WireServer) -> None:
    chat = chat_of(server, answer('{"city":"Oslo"}', False), last(False))
    await way.send(chat, "Oslo?")
    assert {"result": "cold in Oslo"} == chat.history[2].parts[0].function_response.response
