"""Errors: one tree, that survives copying, whose messages say what to do."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import multiturn
from multiturn import ChatSession, GenerativeModel, errors, protos, types
from multiturn.calls import Call
from multiturn.testing import Pause, ScriptedBackend, ScriptedReply

_CALL = Call(0, "lookup", {"key": 3}, "id-1")
_CANDIDATE = protos.Candidate(finish_reason="SAFETY", content={"parts": [{"text": "One"}]})
_BLOCKED = protos.GenerateContentResponse(prompt_feedback={"block_reason": "SAFETY"})

ERRORS: list[errors.MultiturnError] = [
    errors.MultiturnError("m"),
    errors.UsageError("m"),
    errors.InvalidContent("$.a", {"v": 1}, "something else"),
    errors.FrozenContent("Part"),
    errors.UnknownName("model", "gemni", ["gemini", "gemma"]),
    errors.SchemaError("lookup", "key", "it has no type; annotate it"),
    errors.ArgumentMismatch("$.key", "x", "an integer"),
    errors.InvalidResult("$.rows", {1}, "what JSON has"),
    errors.IncompleteIterationError("m"),
    errors.MissingKey("m"),
    errors.NoSuchTurn("cannot rewind 2 turn(s): the history has 1", 1),
    errors.SessionBusy("m"),
    errors.BackendError("m", backend="b", retryable=True, partial_text="p"),
    errors.ContextTooLong(5, 4, backend="b"),
    errors.MalformedReply("m", {"x": 1}, backend="b"),
    errors.ConnectionFailed("m"),
    errors.TimedOut("m", retryable=True),
    errors.StatusError("m", status="INTERNAL", code=500, details=[{"a": 1}], request_id="r"),
    errors.EngineError("m", code=3),
    errors.WeightsError("m", path=Path("/w")),
    errors.WeightsMissing("n", "fetch them", path=Path("/w")),
    errors.WeightsBroken(Path("/w"), "truncated", "fetch them again"),
    errors.DownloadFailed("n", "no route", "try again", path=Path("/w"), retryable=True),
    errors.ReplyError("m", {"candidates": []}),
    errors.BlockedPromptException(_BLOCKED, _BLOCKED),
    errors.StopCandidateException(_CANDIDATE, protos.GenerateContentResponse()),
    errors.BrokenResponseError("m", None),
    errors.TooManyRounds(3, (_CALL,)),
    errors.ToolError(_CALL, "KeyError: 3"),
    errors.ApprovalNeeded((_CALL,)),
    errors.TurnCancelled("m", "p"),
]
every_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
COPIERS: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy] + [
    lambda value, n=n: pickle.loads(pickle.dumps(value, n))
    for n in range(pickle.HIGHEST_PROTOCOL + 1)
]


def test_every_error_class_is_tried_here() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.MultiturnError)
    }
    assert classes == {type(error) for error in ERRORS}


@pytest.mark.parametrize("copied", COPIERS)
@every_error
def test_every_error_is_copied_with_all_it_knows(error: Any, copied: Any) -> None:
    error.attempts = 3
    error.__notes__ = ["noted"]
    other = copied(error)
    assert type(error) is type(other)
    assert vars(error) == vars(other)
    assert (str(error), repr(error), error.args) == (str(other), repr(other), other.args)


@every_error
def test_every_error_stands_in_the_tree_of_the_documentation(error: Any) -> None:
    assert errors.__doc__ is not None
    assert re.search(rf"\b{type(error).__name__}\b", errors.__doc__)


@every_error
def test_every_error_class_is_documented(error: Any) -> None:
    assert (type(error).__doc__ or "").strip()


@every_error
def test_no_message_shows_what_was_not_given(error: Any) -> None:
    assert "None" not in str(error)
    assert "object at 0x" not in str(error)


@every_error
def test_every_error_can_be_caught_as_one(error: Any) -> None:
    assert isinstance(error, multiturn.MultiturnError)
    assert error.retryable in (True, False)


def test_the_errors_of_the_old_sdk_have_its_names() -> None:
    for name in (
        "BlockedPromptException",
        "StopCandidateException",
        "BrokenResponseError",
        "IncompleteIterationError",
    ):
        assert getattr(types, name) is getattr(errors, name)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.InvalidContent, TypeError),
        (errors.InvalidContent, ValueError),
        (errors.FrozenContent, AttributeError),
        (errors.UnknownName, LookupError),
        (errors.SessionBusy, RuntimeError),
        (errors.ConnectionFailed, ConnectionError),
        (errors.TimedOut, TimeoutError),
    ],
)
def test_errors_are_also_what_python_would_raise(error: type, base: type) -> None:
    assert issubclass(error, base)


def test_a_long_value_is_cut_in_a_message() -> None:
    message = str(errors.InvalidContent("$.a", "x" * 1000, "less"))
    assert len(message) < 150
    assert "…" in message


def test_a_foreign_error_is_pickled_by_its_name() -> None:
    assert errors.picklable(None) is None
    shown = errors.picklable(ZeroDivisionError("by zero"))
    assert isinstance(shown, errors.BackendError)
    assert "ZeroDivisionError: by zero" == str(shown)


# -- messages -----------------------------------------------------------------------------


def _chat(*lines: Any, **options: Any) -> ChatSession:
    return GenerativeModel(backend=ScriptedBackend(*lines), **options).start_chat()


def _send(line: Any, content: Any = "Hi", **options: Any) -> Callable[[], object]:
    return lambda: _chat(line).send_message(content, **options)


def _half_read() -> object:
    return _chat(["One", "Two"]).send_message("Hi", stream=True).text


def _write_to_history() -> None:
    chat = _chat("One")
    chat.send_message("Hi")
    chat.history[0].role = "model"


def _cancelled() -> object:
    chat = _chat(["One", "Two"])
    response = chat.send_message("Hi", stream=True)
    response.cancel()
    return list(response)


def _left() -> object:
    chat = _chat(["One", Pause(0), "Two"])
    response = chat.send_message("Hi", stream=True)
    for _ in response:
        break
    return list(response)


# What is done; the error; words of its message: what happened, the value, what to do.
MESSAGES: list[tuple[Callable[[], object], type[Exception], list[str]]] = [
    (_send("x", ""), errors.InvalidContent, ["$.content", "''", "something to say", "a string"]),
    (_send("x", None), errors.InvalidContent, ["$.content", "something to say"]),
    (_send("x", 3), errors.InvalidContent, ["$.content", "3", "a string", "Blob", "Path"]),
    (_send("x", ["a", 3]), errors.InvalidContent, ["$.content[1]", "3", "a string"]),
    (
        _send("x", {"parts": ["a", {"text": 3}]}),
        errors.InvalidContent,
        ["$.content.parts[1].text", "3", "a string"],
    ),
    (_send("x", "a\udfffb"), errors.InvalidContent, ["udfff", "surrogate", "index 1"]),
    (
        _send("x", generation_config={"temprature": 1}),
        errors.UnknownName,
        ["temprature", "temperature", "$.generation_config"],
    ),
    (
        _send("x", generation_config={"top_p": 3}),
        errors.InvalidContent,
        ["$.generation_config.top", "3", "from 0 to 1"],
    ),
    (
        _send("x", generation_config={"candidate_count": 2}),
        errors.InvalidContent,
        ["candidate_count", "2", "one answer"],
    ),
    (
        _send("x", safety_settings={"hat": "none"}),
        errors.UnknownName,
        ["harm category", "'hat'", "HATE"],
    ),
    (
        _send("x", request_options={"timeout": 0}),
        errors.InvalidContent,
        ["$.request_options.timeout", "0", "seconds, more than 0"],
    ),
    (
        _send("x", request_options={"timeuot": 0}),
        errors.UnknownName,
        ["request option", "timeuot", "'timeout'"],
    ),
    (lambda: _chat().rewind(), errors.NoSuchTurn, ["rewind 1 turn", "history has 0"]),
    (lambda: _chat().rewind(0), errors.InvalidContent, ["n is 0", "at least 1"]),
    (_half_read, errors.IncompleteIterationError, ["still arriving", "resolve()"]),
    (_write_to_history, errors.FrozenContent, ["Content", "copy.deepcopy", "chat.history"]),
    (_cancelled, errors.TurnCancelled, ["response.cancel()"]),
    (_left, errors.BrokenResponseError, ["left before its end"]),
    (_send([]), errors.BrokenResponseError, ["without any answer", "send it again"]),
    (
        _send(ScriptedReply(("One",), finish=None)),
        errors.BrokenResponseError,
        ["no finish reason", ".response", "send the message again"],
    ),
    (
        _send(ScriptedReply(("One",), finish="SPII")),
        errors.StopCandidateException,
        ["SPII", "not added to the history", ".candidate", "One"],
    ),
    (_send({"candidates": [3]}), errors.MalformedReply, ["chunk", "GenerateContentResponse"]),
    (
        _send({"promptFeedback": {"blockReason": "SAFETY"}}),
        errors.BlockedPromptException,
        ["refused", "SAFETY", "not added to the history"],
    ),
    (
        lambda: protos.Part({"txt": "a"}),
        errors.UnknownName,
        ["member of Part", "'txt'", "'text'"],
    ),
    (lambda: "txt" in protos.Part(), errors.UnknownName, ["member of Part", "'text'"]),
    (
        lambda: protos.Content(parts=[{"text": "a"}, {"text": 3}]),
        errors.InvalidContent,
        ["$.parts[1].text", "3", "a string"],
    ),
    (lambda: protos.Content("Hi"), errors.InvalidContent, ["Content", "'Hi'", "a dict"]),
    (lambda: protos.Content(protos.Part(text="a")), errors.InvalidContent, ["a Content", "'a'"]),
    (
        lambda: _chat("x").model.generate_content([]),
        errors.InvalidContent,
        ["$.contents", "something to say"],
    ),
    (
        lambda: _chat({"candidates": []}).model.generate_content("x").text,
        errors.MultiturnError,
        ["without any answer"],
    ),
]


@pytest.mark.parametrize(("act", "error", "words"), MESSAGES)
def test_a_message_says_what_happened_with_which_value_and_what_to_do(
    act: Callable[[], object], error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as caught:
        act()
    message = str(caught.value)
    assert [] == [word for word in words if word not in message], message
    assert not re.search(r"object at 0x|<class|\$\.\.|  |\.\.$", message), message
    assert message == message.strip()


def test_what_the_server_said_of_an_end_is_told() -> None:
    said = "Malformed function call: print(default_api.f(\n"
    candidate = protos.Candidate(finish_reason="MALFORMED_FUNCTION_CALL", finish_message=said)
    told = str(errors.StopCandidateException(candidate, None))
    assert "MALFORMED_FUNCTION_CALL (Malformed function call: print(default_api.f() and" in told
    response = protos.GenerateContentResponse(candidates=[candidate])
    with pytest.raises(ValueError, match=r"valid: Malformed function call: print\(default_api"):
        _ = types.GenerateContentResponse.from_response(response).text


def test_only_the_embedded_model_is_said_to_have_a_window_of_ones_own() -> None:
    assert "EmbeddedBackend(context_tokens=…)" in str(
        errors.ContextTooLong(5, 4, backend="embedded")
    )
    assert "EmbeddedBackend" not in str(errors.ContextTooLong(5, 4))
