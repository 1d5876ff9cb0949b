"""What was received is kept, what was passed in is left alone, what failed is asked again."""

from __future__ import annotations

import copy
import threading
from typing import Any

import pytest

from multiturn import GenerativeModel, Retry, protos
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.messages.candidate import FinishReason
from multiturn.testing import ScriptedBackend, ScriptedReply
from ways import (
    BLOCKED,
    Way,
    chat_with,
    conversation,
    parts_chunk,
    said,
    text_chunk,
    wire,
)

BEFORE = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]

# -- fidelity -----------------------------------------------------------------------------


async def test_a_reply_that_was_cut_short_by_its_length_is_whole(way: Way) -> None:
    chat, _ = conversation(ScriptedReply(("One",), finish="MAX_TOKENS"))
    response = await way.send(chat, "b")
    assert FinishReason.MAX_TOKENS == response.candidates[0].finish_reason
    assert ["b", "One"] == said(chat)


async def test_an_unknown_finish_reason_is_kept_as_it_came(way: Way) -> None:
    chat, _ = conversation(ScriptedReply(("One",), finish="BORED"))
    with pytest.raises(StopCandidateException, match="BORED") as caught:
        await way.send(chat, "b")
    assert "BORED" == caught.value.args[0].finish_reason.name
    assert "BORED" == chat.last.candidates[0].finish_reason.name  # type: ignore[union-attr]
    assert "BORED" in repr(chat.last)


async def test_a_bad_finish_reason_in_any_chunk_is_a_stop(way: Way) -> None:
    chat, _ = conversation([text_chunk("One", "SAFETY"), text_chunk("Two")])
    with pytest.raises(StopCandidateException):
        await way.send(chat, "b")
    assert [] == chat.history


async def test_a_block_reason_in_a_later_chunk_is_a_refusal(way: Way) -> None:
    chat, _ = conversation([{"usageMetadata": {"promptTokenCount": 3}}, BLOCKED])
    with pytest.raises(BlockedPromptException):
        await way.send(chat, "b")


async def test_a_last_chunk_without_parts_does_not_lose_the_turn(way: Way) -> None:
    end = {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}
    usage = {"usageMetadata": {"totalTokenCount": 9}, "modelVersion": "m-1"}
    chat, _ = conversation([text_chunk("One"), end, usage])
    response = await way.send(chat, "b", stream=True)
    assert ["One", "", ""] == [chunk.text async for chunk in way.read(response)]
    assert ["b", "One"] == said(chat)
    assert (9, "m-1") == (response.usage_metadata.total_token_count, response.model_version)


async def test_a_first_chunk_without_parts_is_no_error(way: Way) -> None:
    chat, _ = conversation([{"candidates": [{"content": {"role": "model"}}]}, "One"])
    response = await way.send(chat, "b", stream=True)
    assert ["", "One"] == [chunk.text async for chunk in way.read(response)]


async def test_unknown_parts_and_members_are_kept_and_sent_back(way: Way) -> None:
    parts = [
        {"text": "thinking", "thought": True},
        {"text": "", "thoughtSignature": "c2ln"},
        {"hologram": {"depth": 3}},
        {"text": "One", "partMetadata": {"k": [1, 2.5, None]}, "shade": "blue"},
    ]
    chat, backend = conversation(parts_chunk(parts, "STOP"), "Two.")
    await way.send(chat, "b")
    assert parts == wire(chat)[1]["parts"]
    await way.send(chat, "c")
    assert parts == backend.requests[1].contents[1].json_object["parts"]
    again = chat_with(backend, history=chat.history)
    assert wire(chat) == wire(again)


# -- arguments ----------------------------------------------------------------------------

ARGUMENTS: list[Any] = [
    {"parts": ["x", {"text": "y"}], "role": "user"},
    {"parts": ["x"]},
    ["x", {"text": "y"}, {"mime_type": "image/png", "data": b"\x89PNG"}],
    protos.Content(parts=[{"text": "x"}]),
    protos.Part(text="x"),
    [protos.Part(text="x"), protos.Blob(mime_type="a/b", data=b"c")],
    {"function_response": {"name": "f", "response": {"a": [1, {"b": 2}]}}},
]


@pytest.mark.parametrize("content", ARGUMENTS)
async def test_nothing_that_is_passed_in_is_modified(way: Way, content: Any) -> None:
    chat, _ = conversation("One", history=copy.deepcopy(BEFORE))
    options: dict[str, Any] = {
        "generation_config": {"stop_sequences": ["a"], "response_schema": {"type": "STRING"}},
        "safety_settings": [{"category": "hate", "threshold": "none"}],
        "tools": [{"google_search": {}}],
        "tool_config": {"function_calling_config": {"mode": "none"}},
        "request_options": {"timeout": 3, "retry": None},
    }
    before = copy.deepcopy((content, options))
    await way.send(chat, content, **options)
    assert before == (content, options)


async def test_editing_an_argument_later_does_not_show_in_the_history(way: Way) -> None:
    message: dict[str, Any] = {"parts": [{"text": "x"}], "role": "user"}
    past = [protos.Content(role="user", parts=[{"text": "y"}])]
    chat, _ = conversation("One", history=past)
    await way.send(chat, message)
    message["parts"][0]["text"] = past[0].parts[0].text = "changed"
    past.clear()
    assert ["y", "x", "One"] == said(chat)


async def test_a_generator_does_not_lose_its_first_item(way: Way) -> None:
    chat, backend = conversation("One")
    await way.send(chat, (text for text in ["a", "b"]))
    assert [{"text": "a"}, {"text": "b"}] == backend.requests[0].contents[0].json_object["parts"]


# -- asking again -------------------------------------------------------------------------


async def test_what_can_be_retried_is_asked_again_until_an_answer_begins(way: Way) -> None:
    gone = BackendError("busy", retryable=True)
    chat, backend = conversation(gone, gone, "One")
    await way.send(chat, "b")
    assert (3, ["b", "One"]) == (len(backend.requests), said(chat))
    assert ["answered"] == [entry.outcome for entry in chat.journal]


async def test_once_a_piece_was_shown_nothing_is_asked_again(way: Way) -> None:
    chat, backend = conversation(["One", BackendError("cut", retryable=True)], "Never.")
    with pytest.raises(BackendError):
        await way.send(chat, "b")
    assert 1 == len(backend.requests)


async def test_the_last_of_all_attempts_says_how_many_there_were(way: Way) -> None:
    chat, backend = conversation(*[BackendError("busy", retryable=True)] * 4)
    with pytest.raises(BackendError) as caught:
        await way.send(chat, "b")
    assert (4, 4) == (caught.value.attempts, len(backend.requests))


async def test_retries_can_be_switched_off_for_one_message(way: Way) -> None:
    chat, backend = conversation(*[BackendError("busy", retryable=True)] * 3)
    for retry, count in ((False, 1), (Retry(attempts=2, uniform=lambda a, b: 0.0), 3)):
        with pytest.raises(BackendError):
            await way.send(chat, "b", request_options={"retry": retry})
        assert count == len(backend.requests)


async def test_a_wait_between_attempts_can_be_cancelled(way: Way) -> None:
    error = BackendError("busy", retryable=True)
    error.retry_after_seconds = 60
    chat, backend = conversation(error)

    def uniform_is_not_used(lowest: float, highest: float) -> float:
        raise AssertionError

    def cancel() -> None:
        while chat.last is None:
            pass
        chat.last.cancel()

    chat.model = GenerativeModel(backend=backend, retry=Retry(uniform=uniform_is_not_used))
    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(TurnCancelled):
        await way.send(chat, "b")
    thread.join()
    assert "cancelled" == chat.journal[0].outcome


async def test_the_models_own_backend_wins(way: Way) -> None:
    mine, other = ScriptedBackend("Mine."), ScriptedBackend("Other.")
    response = await way.generate(GenerativeModel("gemini-pro", backend=mine), "x")
    assert "Mine." == response.text
    assert "gemini-pro" == mine.requests[0].model
    assert [] == other.requests
