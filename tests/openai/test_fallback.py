"""Several models as one: the first that can answer does."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from multiturn import FallbackBackend, GenerativeModel
from multiturn.backends import Backend
from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    MissingKey,
    MultiturnError,
    TimedOut,
    UsageError,
)
from multiturn.google_errors import (
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    ServiceUnavailable,
)
from multiturn.retry import NO_RETRY
from multiturn.testing import ScriptedBackend
from ways import AT_ONCE, Way, said

DOWN = [
    ConnectionFailed("nobody is there"),
    TimedOut("too slow"),
    ServiceUnavailable("overloaded", retryable=True),
    ResourceExhausted("the quota is used up"),
    MissingKey("no key"),
]


def model_of(*backends: Any, **options: Any) -> GenerativeModel:
    pairs = [(backend, f"model {i}") for i, backend in enumerate(backends)]
    return GenerativeModel(backend=FallbackBackend(pairs), **{"retry": NO_RETRY, **options})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error", DOWN, ids=lambda error: type(error).__name__)
async def test_the_next_is_asked_when_one_cannot_answer(
    way: Way, error: MultiturnError, stream: bool
) -> None:
    first, second = ScriptedBackend(error), ScriptedBackend("Here I am.")
    chat = model_of(first, second).start_chat()
    response = await way.send(chat, "Hi", stream=stream)
    await way.resolve(response)
    assert ["Hi", "Here I am."] == said(chat)
    assert "model 1" == response.model_version
    assert "model 1" == second.requests[0].model
    assert ["answered"] == [entry.outcome for entry in chat.journal]
    assert 0 == first.open_streams


async def test_the_first_answers_when_it_can(way: Way) -> None:
    first, second = ScriptedBackend("First."), ScriptedBackend()
    response = await way.generate(model_of(first, second), "Hi")
    assert ("First.", "model 0") == (response.text, response.model_version)


async def test_the_server_s_own_name_of_its_model_is_kept(way: Way) -> None:
    chunk = {
        "candidates": [{"content": {"parts": [{"text": "A"}]}, "finishReason": "STOP"}],
        "modelVersion": "gpt-5-2030-01-01",
    }
    response = await way.generate(model_of(ScriptedBackend(chunk)), "Hi")
    assert "gpt-5-2030-01-01" == response.model_version


@pytest.mark.parametrize("error", [InvalidArgument("bad"), PermissionDenied("not you")])
async def test_what_the_request_is_to_blame_for_goes_to_nobody_else(
    way: Way, error: MultiturnError
) -> None:
    second = ScriptedBackend()
    with pytest.raises(type(error)):
        await way.generate(model_of(ScriptedBackend(error), second), "Hi")
    assert [] == second.requests


async def test_once_content_was_shown_nobody_else_is_asked(way: Way) -> None:
    second = ScriptedBackend()
    chat = model_of(ScriptedBackend(["It beg", ConnectionFailed("cut")]), second).start_chat()
    response = await way.send(chat, "Hi", stream=True)
    with pytest.raises(ConnectionFailed) as caught:
        await way.resolve(response)
    assert "It beg" == caught.value.partial_text
    assert [] == second.requests
    assert [] == chat.history


async def test_when_nobody_can_answer_the_last_error_tells_of_the_others(way: Way) -> None:
    model = model_of(
        ScriptedBackend(ConnectionFailed("nobody is there")),
        ScriptedBackend(ResourceExhausted("the quota is used up")),
    )
    with pytest.raises(ResourceExhausted) as caught:
        await way.generate(model, "Hi")
    assert ["before it, 'model 0' failed: ConnectionFailed: nobody is there"] == (
        caught.value.__notes__
    )


async def test_all_are_asked_again_when_trying_again_may_help(way: Way) -> None:
    first = ScriptedBackend(ConnectionFailed("down"), "Back.")
    second = ScriptedBackend(ServiceUnavailable("overloaded", retryable=True))
    response = await way.generate(model_of(first, second, retry=AT_ONCE), "Hi")
    assert ("Back.", "model 0") == (response.text, response.model_version)


async def test_the_first_who_can_be_asked_counts(way: Way) -> None:
    class Deaf(ScriptedBackend):
        def count_tokens(self, request: Any) -> Any:
            raise ConnectionFailed("down")

    assert 2 == (await way.count(model_of(Deaf(), ScriptedBackend()), "two words")).total_tokens
    with pytest.raises(BackendError):
        await way.count(model_of(Deaf()), "two words")


async def test_a_list_of_names_ends_with_the_embedded_model(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:9/v1")
    model = GenerativeModel(
        ["gemini-2.5-flash", "openai/gpt-5", "vllm/m", "smollm2"],
        generation_config={"max_output_tokens": 4},
    )
    chat = model.start_chat()
    response = await way.send(chat, "Hi")
    assert "smollm2" == response.model_version
    assert 2 == len(chat.history)


def test_a_model_with_fallbacks_can_be_pickled() -> None:
    model = GenerativeModel(["openai/gpt-5", "smollm2"])
    again = pickle.loads(pickle.dumps(model))
    assert ("openai/gpt-5", "smollm2") == again.backend.models
    assert "openai/gpt-5" == again.model_name


def test_what_makes_no_list_of_models_is_refused() -> None:
    for wrong in ([], [1], ["smollm2", None]):
        with pytest.raises(UsageError):
            GenerativeModel(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="contradict"):
        GenerativeModel(["a", "b"], backend=ScriptedBackend())


async def test_a_key_of_a_call_is_not_given_to_every_server(way: Way) -> None:
    first = ScriptedBackend()
    with pytest.raises(UsageError, match="several servers"):
        await way.generate(model_of(first), "Hi", request_options={"api_key": "k" * 20})
    assert [] == first.requests


def test_it_is_a_backend_like_any_other() -> None:
    assert isinstance(FallbackBackend(["smollm2"]), Backend)
