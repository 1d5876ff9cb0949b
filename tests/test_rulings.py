"""What the conversation does where the old SDK was weak."""

from __future__ import annotations

import copy
import gc
import threading
from typing import Any

import pytest
from ways import (
    BLOCKED,
    Way,
    chat_with,
    conversation,
    in_thread,
    parts_chunk,
    said,
    text_chunk,
    wire,
)

from multiturn import GenerativeModel, Retry, protos
from multiturn.candidate import FinishReason
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    MalformedReply,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.testing import ScriptedBackend, ScriptedReply

BEFORE = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]

# What a backend plays; the error that it makes; how the journal names it; its partial text.
FAULTS: dict[str, tuple[Any, type[BaseException], str, str]] = {
    "refused": (BackendError("no"), BackendError, "failed", ""),
    "cut": (["One", BackendError("cut")], BackendError, "failed", "One"),
    "foreign": (["One", ZeroDivisionError("0")], ZeroDivisionError, "failed", "One"),
    "malformed": (["One", MalformedReply("bad", "{")], MalformedReply, "failed", "One"),
    "blocked": (BLOCKED, BlockedPromptException, "blocked", ""),
    "empty": ([], BrokenResponseError, "failed", ""),
    "no candidate": ({"usageMetadata": {}}, BrokenResponseError, "failed", ""),
    "no end": (ScriptedReply(("One",), finish=None), BrokenResponseError, "failed", "One"),
    "unsafe": (
        ScriptedReply(("One", "Two"), finish="SAFETY"),
        StopCandidateException,
        "stopped",
        "OneTwo",
    ),
    "unknown end": (
        ScriptedReply(("One",), finish="BORED"),
        StopCandidateException,
        "stopped",
        "One",
    ),
    "unspecified end": (
        ScriptedReply(("One",), finish="FINISH_REASON_UNSPECIFIED"),
        StopCandidateException,
        "stopped",
        "One",
    ),
}


@pytest.fixture(params=[*FAULTS])
def fault(request: pytest.FixtureRequest) -> tuple[Any, type[BaseException], str, str]:
    return FAULTS[request.param]


async def test_a_turn_that_failed_leaves_nothing_and_the_next_send_works(
    way: Way, fault: tuple[Any, type[BaseException], str, str]
) -> None:
    line, error, outcome, partial = fault
    chat, backend = conversation(line, "Fine.", history=BEFORE)
    with pytest.raises(error) as caught:
        await way.send(chat, "b")
    assert ["q", "a"] == said(chat)
    entry = chat.journal[-1]
    assert (outcome, "b", partial) == (entry.outcome, entry.content.text, entry.partial_text)
    assert entry.turn is None
    assert str(caught.value) == str(entry.error)
    assert chat.last is not None
    assert chat.last.error is caught.value
    assert 0 == backend.open_streams
    await way.send(chat, "b")
    assert ["q", "a", "b", "Fine."] == said(chat)
    assert ["q", "a", "b"] == [c.text for c in backend.requests[-1].contents]


async def test_a_stream_that_failed_raises_from_the_iteration(
    way: Way, fault: tuple[Any, type[BaseException], str, str]
) -> None:
    line, error, outcome, partial = fault
    chat, backend = conversation(line, ["Fi", "ne."], history=BEFORE)
    response = await way.send(chat, "b", stream=True)
    texts = []
    with pytest.raises(error) as caught:
        async for chunk in way.read(response):
            texts.append(chunk.text)
    assert partial == "".join(texts)
    assert ["q", "a"] == said(chat)
    assert outcome == chat.journal[-1].outcome
    assert chat.last is response
    assert response.error is caught.value
    with pytest.raises(error) as again:
        await way.resolve(response)
    assert again.value is caught.value
    assert 0 == backend.open_streams
    response = await way.send(chat, "b", stream=True)
    await way.resolve(response)
    assert ["q", "a", "b", "Fine."] == said(chat)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_of_a_blocking_send_is_noted_as_such(error: BaseException) -> None:
    chat, backend = conversation(["One", error], "Fine.")
    with pytest.raises(type(error)):
        chat.send_message("b")
    assert ("interrupted", "One") == (chat.journal[0].outcome, chat.journal[0].partial_text)
    chat.send_message("b")
    assert (0, ["b", "Fine."]) == (backend.open_streams, said(chat))


async def test_errors_hold_the_text_that_had_arrived(way: Way) -> None:
    chat, _ = conversation(["One", "Two", BackendError("cut")])
    with pytest.raises(BackendError) as caught:
        await way.send(chat, "b")
    assert "OneTwo" == caught.value.partial_text
    assert 1 == caught.value.attempts


async def test_the_stopped_candidate_is_in_the_error(way: Way) -> None:
    chat, _ = conversation(ScriptedReply(("One",), finish="SAFETY"))
    with pytest.raises(StopCandidateException) as caught:
        await way.send(chat, "b")
    candidate = caught.value.args[0]
    assert isinstance(candidate, protos.Candidate)
    assert candidate is caught.value.candidate
    assert (FinishReason.SAFETY, "One") == (candidate.finish_reason, candidate.content.text)


async def test_the_refusal_is_in_the_error(way: Way) -> None:
    chat, _ = conversation(BLOCKED)
    with pytest.raises(BlockedPromptException) as caught:
        await way.send(chat, "b")
    response = caught.value.args[0]
    assert isinstance(response, protos.GenerateContentResponse)
    assert "SAFETY" == response.prompt_feedback.block_reason.name


# -- reading is pure ----------------------------------------------------------------------


async def test_reading_never_changes_state_at_any_moment(way: Way) -> None:
    chat, _ = conversation(["One", "Two"], BackendError("no"), history=BEFORE)

    def look() -> tuple[Any, ...]:
        _ = repr(chat), str(chat), copy.copy(chat), chat.turns
        return wire(chat), chat.last, [entry.outcome for entry in chat.journal]

    assert look() == look()
    response = await way.send(chat, "b", stream=True)
    assert look() == look()
    reader = way.read(response)
    await anext(reader)
    assert look() == look()
    assert ["Two"] == [chunk.text async for chunk in reader]
    assert look() == look()
    with pytest.raises(BackendError):
        await way.send(chat, "c")
    assert look() == look()
    assert 4 == len(chat.history)


# -- abandoned streams --------------------------------------------------------------------


async def _break(way: Way, response: Any) -> None:
    async for _ in way.read(response):
        break


async def _raise_within(way: Way, response: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async for _ in way.read(response):
            raise ZeroDivisionError


async def _drop_reader(way: Way, response: Any) -> None:
    reader = way.read(response)
    await anext(reader)
    del reader


async def _cancel(way: Way, response: Any) -> None:
    reader = way.read(response)
    await anext(reader)
    in_thread(response.cancel)
    with pytest.raises(TurnCancelled, match="response.cancel"):
        await anext(reader)


@pytest.mark.parametrize("leave", [_break, _raise_within, _drop_reader, _cancel])
async def test_a_stream_that_is_left_is_closed_and_frees_its_session(way: Way, leave: Any) -> None:
    chat, backend = conversation(["One", "Two", "Three"], "Fine.", history=BEFORE)
    response = await way.send(chat, "b", stream=True)
    await leave(way, response)
    await way.idle()
    assert 0 == backend.open_streams
    assert ["q", "a"] == said(chat)
    entry = chat.journal[-1]
    assert ("cancelled" if leave is _cancel else "abandoned") == entry.outcome
    assert "One" == entry.partial_text
    assert response.error is not None
    with pytest.raises((BrokenResponseError, TurnCancelled)):
        await way.resolve(response)
    await way.send(chat, "b")
    assert ["q", "a", "b", "Fine."] == said(chat)


async def test_a_stream_that_nobody_holds_is_closed_at_once(way: Way) -> None:
    chat, backend = conversation(["One", "Two"], "Fine.", history=BEFORE)
    gc.disable()
    try:
        await way.send(chat, "b", stream=True)
        await way.idle()
        assert 0 == backend.open_streams
        assert "abandoned" == chat.journal[-1].outcome
    finally:
        gc.enable()
    await way.send(chat, "b")
    assert ["q", "a", "b", "Fine."] == said(chat)


async def test_a_stream_that_is_kept_half_read_does_not_hold_up_its_own_reader(way: Way) -> None:
    chat, backend = conversation(["One", "Two"], "Fine.", history=BEFORE)
    response = await way.send(chat, "b", stream=True)
    reader = way.read(response)
    await anext(reader)
    await way.send(chat, "c")
    await way.idle()
    assert ["q", "a", "c", "Fine."] == said(chat)
    with pytest.raises(BrokenResponseError, match="another call on this session began"):
        await anext(reader)
    assert 0 == backend.open_streams
    assert ["abandoned", "answered"] == [entry.outcome for entry in chat.journal]


async def test_a_cancelled_turn_says_what_had_arrived(way: Way) -> None:
    chat, _ = conversation(["One", "Two", "Three"])
    response = await way.send(chat, "b", stream=True)
    reader = way.read(response)
    await anext(reader)
    response.cancel()
    response.cancel()
    with pytest.raises(TurnCancelled) as caught:
        await anext(reader)
    assert "One" == caught.value.partial_text
    assert "cancelled" == chat.journal[-1].outcome


async def test_cancelling_a_reply_that_has_ended_does_nothing(way: Way) -> None:
    chat, _ = conversation("One")
    response = await way.send(chat, "b")
    response.cancel()
    assert "One" == response.text
    assert response.error is None
    assert 2 == len(chat.history)


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
