"""The rule of a turn, as plain steps: no backend, no clock, no fake."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from multiturn.calls import Call, CallRules, Waiting
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    StopCandidateException,
    TooManyRounds,
    TurnCancelled,
)
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.reply import Reply
from multiturn.request import Request
from multiturn.retry import Retry
from multiturn.turn import AskModel, Commit, Note, Pause, RunCalls, Wait, answer, turn
from ways import AT_ONCE, BLOCKED, parts_chunk, text_chunk

MESSAGE = Content(role="user", parts=[{"text": "Hi"}]).frozen()
CALL = parts_chunk([{"functionCall": {"name": "f", "args": {"a": 1}}}], "STOP")
RULES = CallRules(frozenset({"f"}), frozenset({"f", "theirs"}), max_rounds=3)
RESULT: Object = {"functionResponse": {"name": "f", "response": {"result": 1}}}


def begin(rules: CallRules | None = None, request: Request | None = None, **options: Any) -> Any:
    retry = options.pop("retry", AT_ONCE)
    steps = turn(request or Request(), (MESSAGE,), retry, rules, **options)
    return steps, next(steps)


def reply(step: Any, *chunks: Object) -> Reply:
    """Fill a step's reply as a driver would."""
    assert isinstance(step, AskModel)
    for chunk in chunks:
        step.reply.add(chunk)
    return step.reply


def go_on(steps: Generator[Any, Any, None], outcome: Any) -> Any:
    """Send an outcome, and return the next step that is no note."""
    step = steps.send(outcome)
    while isinstance(step, Note):
        step = steps.send(None)
    return step


def finish(steps: Generator[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        steps.send(None)


def test_a_turn_asks_and_commits() -> None:
    steps, step = begin()
    assert ["Hi"] == [content.text for content in step.request.contents]
    step = go_on(steps, reply(step, text_chunk("Hello."), text_chunk("", "STOP")))
    assert isinstance(step, Commit)
    assert ["Hi", "Hello."] == [content.text for content in step.contents]
    assert ["user", "model"] == [content.role for content in step.contents]
    finish(steps)


def test_a_failure_that_may_pass_is_waited_out() -> None:
    steps, first = begin(retry=Retry(attempts=2, uniform=lambda lowest, highest: highest))
    pause = steps.throw(BackendError("busy", retryable=True))
    assert isinstance(pause, Wait)
    assert 0.5 == pause.seconds
    second = steps.send(None)
    assert isinstance(second, AskModel)
    assert second.reply is not first.reply
    with pytest.raises(BackendError, match="still") as caught:
        steps.throw(BackendError("still busy", retryable=True))
    assert 2 == caught.value.attempts


def test_a_failure_after_something_was_shown_is_final() -> None:
    steps, step = begin()
    reply(step, text_chunk("Hel"))
    with pytest.raises(BackendError) as caught:
        steps.throw(BackendError("cut", retryable=True))
    assert ("Hel", 1) == (caught.value.partial_text, caught.value.attempts)


def test_cancelling_ends_the_turn() -> None:
    steps, step = begin()
    reply(step, text_chunk("Hel"))
    with pytest.raises(TurnCancelled) as caught:
        steps.throw(TurnCancelled("enough"))
    assert "Hel" == caught.value.partial_text


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([], BrokenResponseError),
        ([text_chunk("a")], BrokenResponseError),
        ([text_chunk("a", "SAFETY")], StopCandidateException),
        ([text_chunk("a", "BORED")], StopCandidateException),
        ([BLOCKED], BlockedPromptException),
    ],
)
def test_an_answer_that_no_history_can_hold_is_refused(
    chunks: list[Object], error: type[Exception]
) -> None:
    steps, step = begin()
    with pytest.raises(error):
        go_on(steps, reply(step, *chunks))


def test_calls_are_run_and_their_results_sent() -> None:
    steps, step = begin(RULES)
    step = go_on(steps, reply(step, CALL))
    assert RunCalls((Call(0, "f", {"a": 1}),), {}) == step
    step = go_on(steps, [RESULT])
    assert ["user", "model", "user"] == [content.role for content in step.request.contents]
    step = go_on(steps, reply(step, text_chunk("One.", "STOP")))
    assert isinstance(step, Commit)
    assert ["user", "model", "user", "model"] == [content.role for content in step.contents]
    assert [RESULT] == step.contents[2].json_object["parts"]
    finish(steps)


@pytest.mark.parametrize("name", ["f", "theirs"])
def test_a_call_that_is_the_callers_to_run_ends_the_turn(name: str) -> None:
    steps, step = begin(RULES if name == "theirs" else None)
    chunk = parts_chunk([{"functionCall": {"name": name}}], "STOP")
    assert isinstance(go_on(steps, reply(step, chunk)), Commit)


def test_a_call_that_waits_for_approval_pauses_the_turn() -> None:
    steps, step = begin(RULES)
    go_on(steps, reply(step, CALL))
    waiting = Waiting((Call(0, "f", {"a": 1}),), {})
    step = go_on(steps, waiting)
    assert isinstance(step, Pause)
    assert (2, waiting) == (len(step.contents), step.waiting)
    finish(steps)
    steps = turn(Request(), step.contents, AT_ONCE, RULES, {0: True})
    assert isinstance(next(steps), Note)
    assert RunCalls((Call(0, "f", {"a": 1}),), {0: True}) == go_on(steps, None)


@pytest.mark.parametrize("on_limit", ["raise", "answer"])
def test_rounds_are_limited(on_limit: Any) -> None:
    rules = RULES._replace(on_limit=on_limit)
    steps, step = begin(rules, Request(tools=({"functionDeclarations": []},)))
    for _ in range(2):
        go_on(steps, reply(step, CALL))
        step = go_on(steps, [RESULT])
    if on_limit == "raise":
        with pytest.raises(TooManyRounds) as caught:
            go_on(steps, reply(step, CALL))
        assert (3, "f") == (caught.value.rounds, caught.value.calls[0].name)
        return
    go_on(steps, reply(step, CALL))
    step = go_on(steps, [RESULT])
    assert "NONE" == step.request.tool_config["functionCallingConfig"]["mode"]
    assert isinstance(go_on(steps, reply(step, text_chunk("Well.", "STOP"))), Commit)


def test_a_call_is_forced_in_the_first_round_only() -> None:
    forced = {"functionCallingConfig": {"mode": "ANY"}}
    steps, step = begin(RULES, Request(tool_config=forced))
    assert forced == step.request.tool_config
    go_on(steps, reply(step, CALL))
    step = go_on(steps, [RESULT])
    assert {"functionCallingConfig": {"mode": "AUTO"}} == step.request.tool_config


def test_a_malformed_call_is_asked_for_anew() -> None:
    steps, step = begin(RULES)
    for _ in range(2):
        step = go_on(steps, reply(step, parts_chunk([], "MALFORMED_FUNCTION_CALL")))
        assert isinstance(step, AskModel)
    with pytest.raises(StopCandidateException):
        go_on(steps, reply(step, parts_chunk([], "MALFORMED_FUNCTION_CALL")))


def test_outside_a_conversation_whatever_ended_is_given() -> None:
    for chunk in (text_chunk("a", "SAFETY"), BLOCKED):
        steps = answer(Request(), AT_ONCE)
        step: Any = next(steps)
        with pytest.raises(StopIteration):
            go_on(steps, reply(step, chunk))
    steps = answer(Request(), AT_ONCE)
    step = next(steps)
    with pytest.raises(BrokenResponseError):
        go_on(steps, reply(step, text_chunk("a")))


def test_an_end_without_a_stated_reason_is_an_end() -> None:
    steps = turn(Request(), (Content(role="user", parts=[{"text": "Hi"}]),), Retry())
    ask = next(steps)
    assert isinstance(ask, AskModel)
    ask.reply.add(
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": "One"}], "role": "model"},
                    "finishReason": "FINISH_REASON_UNSPECIFIED",
                }
            ]
        }
    )

    assert isinstance(steps.send(ask.reply), Commit)
