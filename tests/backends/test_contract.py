"""What every backend keeps, held over each of them by the same tests."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gemini import wire_server as google
from multiturn import FallbackBackend, GenerativeModel, OpenAIBackend
from multiturn.access import Access
from multiturn.backends import Backend
from multiturn.backends.embedded.backend import backend as embedded_backend
from multiturn.backends.gemini.backend import Gemini
from multiturn.cancel import Cancel
from multiturn.history import empty_path
from multiturn.messages.content import Content
from multiturn.protos import Candidate
from multiturn.request import Request
from openai import test_backend as openai
from ways import AT_ONCE, Way, wire

SHORT = {"temperature": 0, "max_output_tokens": 8}
Made = tuple[Backend, str]


def embedded() -> Iterator[Made]:
    yield embedded_backend(), "smollm2"


def gemini() -> Iterator[Made]:
    with google.WireServer(google.answers("Hello there.")) as server:
        yield Gemini(Access(api_key="k", endpoint=server.url)), "gemini-test"


def openai_protocol() -> Iterator[Made]:
    with google.WireServer(openai.answers("Hello there.")) as server:
        yield OpenAIBackend(f"{server.url}/v1"), "m"


def fallback() -> Iterator[Made]:
    with google.WireServer(openai.answers("Hello there.")) as server:
        down = OpenAIBackend("http://127.0.0.1:9/v1")
        yield FallbackBackend([(down, "a"), (OpenAIBackend(f"{server.url}/v1"), "b")]), "a"


MAKERS: dict[str, Callable[[], Iterator[Made]]] = {
    "embedded": embedded,
    "gemini": gemini,
    "openai": openai_protocol,
    "fallback": fallback,
}


@pytest.fixture(params=[*MAKERS])
def made(request: pytest.FixtureRequest) -> Iterator[Made]:
    yield from MAKERS[request.param]()


def model_of(made: Made) -> GenerativeModel:
    backend, name = made
    return GenerativeModel(name, backend=backend, retry=AT_ONCE, generation_config=SHORT)


def request_of(made: Made, stream: bool = True) -> Request:
    said = Content.view({"role": "user", "parts": [{"text": "Say hello"}]}, frozen=True)
    path = empty_path().plus(said)
    config = {"temperature": 0, "maxOutputTokens": 8}
    return Request(model=made[1], contents=path, generation_config=config, stream=stream)


def test_it_has_the_members_of_the_protocol_and_a_name(made: Made) -> None:
    assert isinstance(made[0], Backend)
    assert made[0].name


async def test_a_turn_is_added_and_the_next_goes_on(way: Way, made: Made) -> None:
    chat = model_of(made).start_chat()
    first = await way.send(chat, "Say hello")
    assert first.text
    await way.send(chat, "Again")
    assert ["user", "model", "user", "model"] == [content["role"] for content in wire(chat)]
    reason = first.candidates[0].finish_reason
    assert reason in (Candidate.FinishReason.STOP, Candidate.FinishReason.MAX_TOKENS)
    assert first.model_version or made[0].name == "gemini"


async def test_a_stream_leaves_the_history_that_a_whole_answer_leaves(way: Way, made: Made) -> None:
    whole, streamed = model_of(made).start_chat(), model_of(made).start_chat()
    await way.send(whole, "Say hello")
    response = await way.send(streamed, "Say hello", stream=True)
    pieces = [chunk.text async for chunk in way.read(response)]
    assert len(pieces) > 1
    assert "".join(pieces) == response.text
    assert wire(whole) == wire(streamed)


@pytest.mark.parametrize("stream", [False, True])
def test_chunks_are_dicts_of_which_one_says_why_it_ended(made: Made, stream: bool) -> None:
    chunks = list(made[0].stream(request_of(made, stream), Cancel()))
    assert {dict} == {type(chunk) for chunk in chunks}
    reasons = [
        candidate["finishReason"]
        for chunk in chunks
        for candidate in chunk.get("candidates") or ()
        if "finishReason" in candidate
    ]
    assert 1 == len(reasons)


def test_chunks_are_handed_over(made: Made) -> None:
    chunks: Any = made[0].stream(request_of(made), Cancel())
    first = next(chunks)
    kept = copy.deepcopy(first)
    for chunk in chunks:
        chunk.clear()
    assert kept == first


def test_a_request_is_not_changed(made: Made) -> None:
    request = request_of(made)
    before = copy.deepcopy(request)
    list(made[0].stream(request, Cancel()))
    assert before._replace(contents=request.contents) == request
    assert [c.json_object for c in before.contents] == [c.json_object for c in request.contents]


def test_a_cancelled_answer_just_ends(made: Made) -> None:
    cancel = Cancel()
    chunks = iter(made[0].stream(request_of(made), cancel))
    next(chunks)
    cancel.set()
    list(chunks)


async def test_an_answer_that_is_left_half_read_leaves_the_session_usable(
    way: Way, made: Made
) -> None:
    chat = model_of(made).start_chat()
    response = await way.send(chat, "Say hello", stream=True)
    reader = way.read(response)
    await reader.__anext__()
    response.cancel()
    assert [] == chat.history
    assert (await way.send(chat, "Say hello")).text
    assert 2 == len(chat.history)


def test_threads_share_it(made: Made) -> None:
    model = model_of(made)
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(model.generate_content("Say hello").text))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 4 == len(answers)
    assert all(answers)
