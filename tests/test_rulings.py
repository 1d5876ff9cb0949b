"""What the conversation does where the old SDK was weak."""

from __future__ import annotations

import contextlib
import copy
import gc
from typing import Any

import pytest

from multiturn import protos
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    MalformedReply,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.messages.candidate import FinishReason
from multiturn.testing import ScriptedReply
from ways import (
    BLOCKED,
    Way,
    conversation,
    in_thread,
    read_into,
    said,
    wire,
)

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
    texts: list[str] = []
    with pytest.raises(error) as caught:
        await read_into(texts, way.read(response))
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
    feedback, response = caught.value.args[0], caught.value.response
    assert isinstance(feedback, protos.GenerateContentResponse.PromptFeedback)
    assert "SAFETY" == feedback.block_reason.name
    assert isinstance(response, protos.GenerateContentResponse)
    assert feedback == response.prompt_feedback


async def test_outside_a_chat_the_refusal_is_in_the_error_s_response(way: Way) -> None:
    model = conversation(BLOCKED)[0].model
    with pytest.raises(BlockedPromptException) as caught:
        await way.resolve(await way.generate(model, "b", stream=True))
    response = caught.value.args[0]
    assert response is caught.value.response
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
    with contextlib.suppress(ZeroDivisionError):
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
    with pytest.raises(TurnCancelled, match=r"response\.cancel"):
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


async def test_a_reply_that_was_cancelled_and_then_left_is_journalled_as_cancelled(
    way: Way,
) -> None:
    chat, _ = conversation(["One", "Two", "Three"])
    response = await way.send(chat, "a", stream=True)
    async for _chunk in way.read(response):
        response.cancel()
        break
    await way.idle()

    assert "cancelled" == chat.journal[-1].outcome
    assert [] == chat.history
