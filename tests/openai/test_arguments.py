"""Arguments of calls in the OpenAI protocol: JSON in a text, read as strictly as all else."""

from __future__ import annotations

import json

import pytest

from multiturn.backends.openai.function_calls import CallAssembler


def called(arguments: str) -> CallAssembler:
    calls = CallAssembler()
    calls.add({"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}})
    return calls


@pytest.mark.parametrize(
    "arguments",
    ['{"x": NaN}', '{"x": 1e999}', '{"x": "\\ud83d"}', '{"x": 1} 2', "[1]", '{"x": "\ud83d"}'],
)
def test_arguments_that_no_history_could_hold_make_no_call(arguments: str) -> None:
    assert called(arguments).calls() is None


@pytest.mark.parametrize("args", [{}, {"x": 10**30, "y": 0.1}, {"ä": ["✓", {"z": None}]}])
def test_arguments_are_read_as_they_are_written_wrapped_in_a_text_or_not(args: object) -> None:
    text = json.dumps(args)
    for written in (text, json.dumps(text)):
        calls = called(written).calls()
        assert calls is not None
        assert args == calls[0]["functionCall"]["args"]
