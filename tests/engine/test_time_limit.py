"""A generation in this process ends with its time limit, and leaves no trace."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import pytest

from multiturn import EmbeddedBackend, GenerativeModel, InvalidContent, TimedOut, TurnCancelled
from multiturn.backends.embedded import backend as embedded
from multiturn.backends.embedded.deadline import Deadline
from multiturn.cancel import Cancel
from multiturn.engine import Piece
from ways import Way

LONG = "Write a very long story about the sea."
SOON = {"timeout": 0.05}
CANCELLED = Piece("", finish="cancelled")


@pytest.fixture
def model(weights_path: Path) -> GenerativeModel:
    model = GenerativeModel(str(weights_path), generation_config={"max_output_tokens": 2048})
    model.count_tokens("Hi")  # loads it
    return model


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_answer_that_takes_too_long_is_given_up(
    way: Way, model: GenerativeModel, stream: bool
) -> None:
    chat = model.start_chat()
    with pytest.raises(TimedOut, match=r"within the time limit of 0\.05 s; .* max_output_tokens"):
        await way.resolve(await way.send(chat, LONG, stream=stream, request_options=SOON))
    assert ([], "failed") == (chat.history, chat.journal[0].outcome)
    config = {"max_output_tokens": 2}
    await way.resolve(await way.send(chat, "Hi", stream=stream, generation_config=config))
    assert 2 == len(chat.history)


async def test_an_answer_in_time_is_whole(way: Way, model: GenerativeModel) -> None:
    config = {"max_output_tokens": 2}
    options = {"timeout": 600}
    await way.generate(model, "Hi", generation_config=config, request_options=options)
    timers = [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)


async def test_the_time_counts_from_when_the_weights_are_loaded(
    way: Way, weights_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, was_loaded = EmbeddedBackend(context_tokens=256, slots=1), []
    engine: Any = backend.engine(str(weights_path))
    engine.close()

    class Noting(Deadline):
        def __init__(self, seconds: float | None, turn: Cancel) -> None:
            was_loaded.append(engine._loaded is not None)
            super().__init__(seconds, turn)

    monkeypatch.setattr(embedded, "Deadline", Noting)
    model = GenerativeModel(str(weights_path), backend=backend)
    config = {"max_output_tokens": 2}
    options = {"timeout": 600}
    await way.generate(model, "Hi", generation_config=config, request_options=options)
    assert [True] == was_loaded


async def test_a_limit_without_end_is_none(way: Way, model: GenerativeModel) -> None:
    config = {"max_output_tokens": 2}
    problems: list[object] = []
    threading.excepthook, hook = problems.append, threading.excepthook
    try:
        for seconds in (math.inf, 1e12):
            options = {"timeout": seconds}
            await way.generate(model, "Hi", generation_config=config, request_options=options)
    finally:
        threading.excepthook = hook
    assert [] == problems


def test_a_turn_that_is_cancelled_was_not_too_slow(model: GenerativeModel) -> None:
    chat = model.start_chat()
    response = chat.send_message(LONG, stream=True, request_options={"timeout": 600})
    response.cancel()
    with pytest.raises(TurnCancelled):
        response.resolve()
    assert [] == chat.history


def test_what_was_cancelled_first_counts() -> None:
    turn = Cancel()
    deadline = Deadline(600, turn)
    turn.set("by hand")
    assert "by hand" == deadline.cancel.reason
    deadline._time_is_over()
    deadline.require_end(CANCELLED)
    deadline.close()
    late = Deadline(600, Cancel())
    late._time_is_over()
    with pytest.raises(TimedOut):
        late.require_end(CANCELLED)
    late.close()


def test_without_a_limit_the_turn_alone_decides() -> None:
    turn = Cancel()
    assert turn is Deadline(None, turn).cancel


def test_nothing_to_count_is_refused(model: GenerativeModel) -> None:
    with pytest.raises(InvalidContent, match=r"\$\.contents is \[\]; expected something to count"):
        model.count_tokens()
