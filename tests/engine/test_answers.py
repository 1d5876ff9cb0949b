"""Answers of the embedded engine: pieces, counts, stops, schemas, errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from multiturn.engine import Message, Sampling
from multiturn.engine.llama import LlamaEngine, open_engine
from multiturn.errors import (
    ContextTooLong,
    EngineError,
    InvalidContent,
    UsageError,
    WeightsBroken,
    WeightsMissing,
)

from .asking import GREEDY, STORY, answer, last_of


def test_the_pieces_of_an_answer_join_to_its_text(engine: LlamaEngine) -> None:
    pieces = list(engine.stream(STORY, GREEDY))
    ids = [token for piece in pieces for token in piece.tokens]
    last = last_of(pieces)

    assert len(pieces) > 6
    assert "".join(piece.text for piece in pieces) == engine._use().prompts.detokenize(ids)
    assert (last.finish, last.completion_tokens) == ("length", 12)
    assert engine.count(STORY) == last.prompt_tokens


def test_greedy_answers_are_the_same_every_time(engine: LlamaEngine) -> None:
    answer(engine, STORY)
    assert answer(engine, STORY) == answer(engine, STORY) != ""


def test_a_seed_repeats_an_answer(engine: LlamaEngine) -> None:
    answer(engine, STORY)  # what is in the cache changes the rounding, so it is there each time
    once, again, other = (
        answer(engine, STORY, Sampling(temperature=1.2, seed=seed, max_tokens=16))
        for seed in (7, 7, 8)
    )
    assert once == again
    assert once != other


def test_an_answer_that_ends_by_itself_says_stop(engine: LlamaEngine) -> None:
    messages: list[Message] = [("user", "Say hello.")]
    last = last_of(list(engine.stream(messages, Sampling(temperature=0, max_tokens=200))))
    assert last.finish == "stop"


def test_a_stop_text_ends_the_answer_before_it(engine: LlamaEngine) -> None:
    whole = answer(engine, STORY)
    stop = whole.split()[3]
    pieces = list(engine.stream(STORY, Sampling(temperature=0, max_tokens=12, stop=(stop,))))
    assert whole[: whole.index(stop)] == "".join(piece.text for piece in pieces)
    assert pieces[-1].finish == "stop"


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "colour": {"enum": ["red", "green"]},
    },
    "required": ["name", "age", "colour"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("temperature", [0, 2.0])
def test_an_answer_held_to_a_schema_is_such_json(engine: LlamaEngine, temperature: float) -> None:
    sampling = Sampling(temperature=temperature, seed=1, max_tokens=120, json_schema=PERSON)
    pieces = list(engine.stream([("user", "Bob is 42 and likes green.")], sampling))
    value = json.loads("".join(piece.text for piece in pieces))

    assert len(pieces) > 5
    assert set(value) == {"name", "age", "colour"}
    assert isinstance(value["age"], int)
    assert value["colour"] in ("red", "green")


def test_any_json_can_be_asked_for(engine: LlamaEngine) -> None:
    sampling = Sampling(temperature=0, max_tokens=20, json_schema={})
    text = answer(engine, [("user", "Describe Bob, aged 42, as JSON.")], sampling)
    assert text[0] in '{["-0123456789tfn'


@pytest.mark.parametrize("schema", [{"type": "nope"}, {"$ref": "#/nope"}])
def test_a_schema_that_the_engine_would_ignore_is_refused(
    engine: LlamaEngine, schema: dict[str, object]
) -> None:
    with pytest.raises(EngineError, match="JSON Schema"):
        answer(engine, STORY, Sampling(max_tokens=4, json_schema=schema))


def test_a_grammar_holds_the_answer(engine: LlamaEngine) -> None:
    sampling = Sampling(temperature=0, max_tokens=9, grammar='root ::= "yes" | "no"')
    assert answer(engine, [("user", "Is water wet?")], sampling) in ("yes", "no")


def test_a_broken_grammar_is_an_engine_error(engine: LlamaEngine) -> None:
    with pytest.raises(EngineError, match="grammar") as caught:
        answer(engine, STORY, Sampling(grammar="root ::= ("))
    assert caught.value.code == 400


def test_a_prompt_longer_than_the_window_is_refused_with_both_sizes(engine: LlamaEngine) -> None:
    messages: list[Message] = [("user", "word " * 2000)]
    with pytest.raises(ContextTooLong) as caught:
        answer(engine, messages)
    assert engine.count(messages) == caught.value.prompt_tokens
    assert caught.value.context_tokens == 1024


def test_an_answer_that_fills_the_window_ends_with_length(weights_path: Path) -> None:
    small = open_engine(weights_path, context_tokens=64, slots=1, threads=1)
    last = last_of(list(small.stream(STORY, Sampling(temperature=0))))
    small.close()
    assert last.finish == "length"
    assert last.prompt_tokens + last.completion_tokens == 64


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ([], "$.messages"),
        ([("tool", "x")], "$.messages[0].role"),
        ([("user", "a\ud800b")], "$.messages[0].text"),
        ([("user", "fine"), ("assistant", 5)], "$.messages[1].text"),
    ],
)
def test_messages_that_cannot_be_sent_are_named(
    engine: LlamaEngine, messages: list[Message], path: str
) -> None:
    with pytest.raises(InvalidContent, match=re.escape(path)):
        answer(engine, messages)


def test_unusual_text_reaches_the_model_unchanged(engine: LlamaEngine) -> None:
    text = "NUL \x00 newline\r\n é 日本語 👩‍👩‍👧 \u202e end "
    prompts = engine._use().prompts
    assert text in prompts.detokenize(prompts.build([("user", text)]).tokens)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1}, {"temperature": float("nan")}, {"top_p": 1.5}, {"top_k": 0.5},
        {"max_tokens": 0}, {"seed": -1}, {"seed": True}, {"stop": "word"}, {"stop": ("",)},
        {"json_schema": {}, "grammar": "root ::= [a]"},
    ],
)  # fmt: skip
def test_sampling_out_of_range_is_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Sampling(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"context_tokens": 0}, {"context_tokens": 100_000}, {"slots": 0}, {"threads": 0.5}],
)
def test_an_engine_out_of_range_is_refused_at_once(
    weights_path: Path, wrong: dict[str, int]
) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        open_engine(weights_path, **wrong)


def test_a_file_that_is_not_gguf_never_reaches_the_engine(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"NOTGGUF" * 100)
    with pytest.raises(WeightsBroken, match="NOTG"):
        open_engine(tmp_path / "a.gguf")
    with pytest.raises(WeightsMissing):
        open_engine(tmp_path / "missing.gguf")


def test_a_truncated_file_never_reaches_the_engine(weights_path: Path, tmp_path: Path) -> None:
    with weights_path.open("rb") as whole:
        (tmp_path / "a.gguf").write_bytes(whole.read(5_000_000))
    with pytest.raises(WeightsBroken, match="5000000"):
        open_engine(tmp_path / "a.gguf")


def test_a_window_that_does_not_fit_the_memory_is_refused(
    weights_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiturn.engine.memory.available_bytes", lambda: 200_000_000)
    with pytest.raises(EngineError, match="200 MB are available"):
        open_engine(weights_path, context_tokens=2000).count(STORY)


def test_equal_calls_share_one_engine(weights_path: Path, engine: LlamaEngine) -> None:
    assert open_engine(str(weights_path), context_tokens=1024, threads=1) is engine
    assert open_engine(weights_path, context_tokens=1023, threads=1) is not engine
