"""The backend that plays a script, which other people's tests rely on."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

from multiturn import GenerativeModel
from multiturn.backends import Backend
from multiturn.errors import BackendError
from multiturn.testing import (
    Pause,
    ScriptedBackend,
    ScriptedReply,
    UnexpectedRequest,
    UnplayedReplies,
    function_calls,
)
from ways import Way, chat_with, conversation, read_into, said, text_chunk


def test_it_is_a_backend() -> None:
    assert isinstance(ScriptedBackend(), Backend)
    assert "scripted" == ScriptedBackend.name


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("One", ["One"]),
        (["One", "Two"], ["One", "Two"]),
        (("One", "Two"), ["One", "Two"]),
        ((text for text in ["One", "Two"]), ["One", "Two"]),
        (text_chunk("One", "STOP"), ["One"]),
        ([text_chunk("One"), "Two"], ["One", "Two"]),
        (ScriptedReply(("One", "Two")), ["One", "Two"]),
        (["One", Pause(0.001), "Two"], ["One", "Two"]),
        (lambda request: request.contents[-1].text, ["Hi"]),
        (lambda request: lambda request: ["a", "b"], ["a", "b"]),
        (["One", {"usageMetadata": {"totalTokenCount": 3}}], ["One", ""]),
    ],
)
async def test_every_kind_of_line(way: Way, line: Any, expected: list[str]) -> None:
    if hasattr(line, "send"):
        line = ["One", "Two"]
    chat, _ = conversation(line)
    response = await way.send(chat, "Hi", stream=True)
    assert expected == [chunk.text async for chunk in way.read(response)]
    assert ["Hi", "".join(expected)] == said(chat)


async def test_requests_are_kept_in_order(way: Way) -> None:
    chat, backend = conversation("A.", "B.")
    await way.send(chat, "a")
    await way.send(chat, "b", stream=True)
    assert [["a"], ["a", "A.", "b"]] == [[c.text for c in r.contents] for r in backend.requests]
    assert [False, True] == [request.stream for request in backend.requests]


async def test_a_request_too_many_is_an_assertion_that_shows_it(way: Way) -> None:
    chat, _ = conversation("A.")
    await way.send(chat, "a")
    with pytest.raises(UnexpectedRequest, match=r"request 2 has no scripted reply.*surplus"):
        await way.send(chat, "surplus")
    assert issubclass(UnexpectedRequest, AssertionError)


def test_replies_that_nobody_asked_for_are_an_assertion() -> None:
    backend = ScriptedBackend("A.", "B.")
    with pytest.raises(UnplayedReplies, match=r"1 scripted replies.*'B\.'"), backend:
        chat_with(backend).send_message("a")
    with pytest.raises(UnplayedReplies):
        backend.require_played()
    chat_with(backend).send_message("b")
    backend.require_played()


def test_an_error_in_the_block_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedBackend("A."):
        raise ZeroDivisionError


async def test_a_script_may_repeat(way: Way) -> None:
    backend = ScriptedBackend("A.", "B.", repeat=True)
    chat = chat_with(backend)
    for message in "abc":
        await way.send(chat, message)
    assert ["a", "A.", "b", "B.", "c", "A."] == said(chat)
    backend.require_played()


async def test_replies_can_be_added(way: Way) -> None:
    chat, backend = conversation()
    backend.add("A.", "B.")
    await way.send(chat, "a")
    await way.send(chat, "b")
    assert ["a", "A.", "b", "B."] == said(chat)


async def test_faults_are_raised_where_they_stand(way: Way) -> None:
    chat, backend = conversation(["One", BackendError("cut"), "never"])
    response = await way.send(chat, "a", stream=True)
    texts: list[str] = []
    with pytest.raises(BackendError, match="cut"):
        await read_into(texts, way.read(response))
    assert (["One"], 0) == (texts, backend.open_streams)


async def test_a_pause_takes_its_time(way: Way) -> None:
    chat, _ = conversation([Pause(0.01), "One"])
    begin = time.monotonic()
    await way.send(chat, "a")
    assert time.monotonic() - begin >= 0.009


async def test_open_streams_are_counted(way: Way) -> None:
    chat, backend = conversation(["One", "Two"])
    assert 0 == backend.open_streams
    response = await way.send(chat, "a", stream=True)
    assert 1 == backend.open_streams
    await way.resolve(response)
    assert 0 == backend.open_streams


async def test_chunks_of_a_script_are_not_shared_with_the_conversation(way: Way) -> None:
    chunk = text_chunk("One", "STOP")
    chat, backend = conversation(chunk, chunk)
    response = await way.send(chat, "a", stream=True)
    async for piece in way.read(response):
        piece._chunks[0].clear()
    await way.send(chat, "b")
    assert "One" == chunk["candidates"][0]["content"]["parts"][0]["text"]
    assert 2 == len(backend.requests)


async def test_words_are_counted_as_tokens(way: Way) -> None:
    model = GenerativeModel(backend=ScriptedBackend())
    assert 3 == (await way.count(model, "one two three")).total_tokens


async def test_calls_can_be_scripted(way: Way) -> None:
    chat, _ = conversation(function_calls(("f", {"a": 1}), ("g", {})))
    response = await way.send(chat, "a")
    assert ["f", "g"] == [part.function_call.name for part in response.parts]
    assert {"a": 1} == response.parts[0].function_call.args


def test_it_is_pickled_with_what_is_left_of_its_script() -> None:
    backend = ScriptedBackend("A.", "B.")
    chat_with(backend).send_message("a")
    other = pickle.loads(pickle.dumps(backend))
    assert 1 == len(other.requests)
    assert "B." == chat_with(other).send_message("b").text
