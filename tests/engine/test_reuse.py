"""What was said is not evaluated again, whichever way a conversation goes."""

from __future__ import annotations

import random

import pytest

from multiturn.engine import Sampling
from multiturn.engine.llama import LlamaEngine

from .asking import QUESTIONS, Conversation

SYSTEM = "You are a helpful assistant. Be brief and kind, always answer in one sentence."


# At 1.5 with nothing cut off the model does not spell its answers as the tokenizer would.
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0, max_tokens=16),
        Sampling(temperature=1.5, top_k=0, top_p=1, min_p=0, seed=3, max_tokens=24),
    ],
)
def test_a_turn_evaluates_only_its_new_tokens(
    fresh_engine: LlamaEngine, sampling: Sampling
) -> None:
    talk = Conversation(fresh_engine, sampling)
    for question in QUESTIONS:
        talk.ask(question)
    assert talk.new == talk.evaluated


def test_an_answer_with_characters_of_several_tokens_is_not_evaluated_again(
    fresh_engine: LlamaEngine,
) -> None:
    talk = Conversation(
        fresh_engine, Sampling(temperature=0, max_tokens=30, grammar='root ::= "😊🎉 日本🦜" "."*')
    )
    for question in QUESTIONS[:3]:
        assert "😊🎉 日本🦜" in talk.ask(question)
    assert talk.new == talk.evaluated


def test_an_answer_cut_by_a_stop_text_is_not_evaluated_again(fresh_engine: LlamaEngine) -> None:
    talk = Conversation(fresh_engine, Sampling(temperature=0, max_tokens=40, stop=(".", ",")))
    for question in QUESTIONS[:4]:
        talk.ask(question)
    # The token that the stop text is in was evaluated for nothing, or never.
    assert all(
        evaluated <= new + 2 for evaluated, new in zip(talk.evaluated, talk.new, strict=True)
    )


@pytest.mark.parametrize("sessions", [4, 6])
def test_interleaved_sessions_evaluate_only_their_new_tokens(
    fresh_engine: LlamaEngine, sessions: int
) -> None:
    talks = [Conversation(fresh_engine, system=f"{SYSTEM} ({i})") for i in range(sessions)]
    order = random.Random(1)
    for question in QUESTIONS[:3]:
        for talk in order.sample(talks, len(talks)):
            talk.ask(question)
    for talk in talks:
        assert all(e <= n for e, n in zip(talk.evaluated, talk.new, strict=True))


def test_a_rewound_session_evaluates_only_its_new_tokens(fresh_engine: LlamaEngine) -> None:
    talk = Conversation(fresh_engine)
    heads = []
    for question in QUESTIONS:
        talk.ask(question)
        heads.append(talk.fork())
    for head in (heads[6], heads[3], heads[1], heads[7]):
        head.ask("Something new instead.")
        assert head.evaluated[-1] <= head.new[-1]


def test_forks_that_alternate_evaluate_only_their_new_tokens(fresh_engine: LlamaEngine) -> None:
    talk = Conversation(fresh_engine)
    for question in QUESTIONS[:5]:
        talk.ask(question)
    branches = [talk.fork() for _ in range(3)]
    for question in QUESTIONS[5:]:
        for number, branch in enumerate(branches):
            branch.ask(f"{question} ({number})")
    for branch in branches:
        assert all(e <= n for e, n in zip(branch.evaluated, branch.new, strict=True))


def test_a_reused_cache_does_not_change_the_answer(fresh_engine: LlamaEngine) -> None:
    talk = Conversation(fresh_engine)
    for question in QUESTIONS[:4]:
        talk.ask(question)
    branch, other = talk.fork(), talk.fork()
    branch.ask("And then?")
    warm = other.ask("Why is that so?")
    fresh_engine.close()
    cold = talk.ask("Why is that so?")
    assert talk.evaluated[-1] > talk.new[-1]
    assert cold == warm
