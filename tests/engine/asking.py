"""One conversation with an engine, and what it cost."""

from __future__ import annotations

import time

from multiturn.engine import Engine, Message, Piece, Sampling
from multiturn.engine.llama import LlamaEngine

GREEDY = Sampling(temperature=0, max_tokens=12)
STORY: list[Message] = [("user", "Write a long story about a dragon.")]
QUESTIONS = (
    "Tell me about the sea.", "And the mountains?", "What do birds eat?", "Name a colour.",
    "Why?", "Who wrote Hamlet?", "What is a prime number?", "How tall is a giraffe?",
)  # fmt: skip


def answer(engine: Engine, messages: list[Message], sampling: Sampling = GREEDY) -> str:
    return "".join(piece.text for piece in engine.stream(messages, sampling))


class Conversation:
    """Asks turn after turn.

    Attributes:
        evaluated: Tokens that each turn's prompt took to evaluate.
        new: Tokens of each turn's prompt that this conversation had not evaluated before.
    """

    def __init__(
        self, engine: Engine, sampling: Sampling = GREEDY, system: str | None = None
    ) -> None:
        self.engine, self.sampling = engine, sampling
        self.messages: list[Message] = [] if system is None else [("system", system)]
        self.evaluated: list[int] = []
        self.new: list[int] = []
        self._held_tokens = 0

    def ask(self, question: str) -> str:
        self.messages.append(("user", question))
        pieces = list(self.engine.stream(self.messages, self.sampling))
        text, last = "".join(piece.text for piece in pieces), pieces[-1]
        self.messages.append(("assistant", text))
        self.evaluated.append(last.prompt_tokens - last.cached_tokens)
        self.new.append(last.prompt_tokens - self._held_tokens)
        # The token sampled last is in the next prompt but was not evaluated.
        self._held_tokens = last.prompt_tokens + last.completion_tokens - 1
        return text

    def fork(self) -> Conversation:
        other = Conversation(self.engine, self.sampling)
        other.messages, other._held_tokens = list(self.messages), self._held_tokens
        return other


def last_of(pieces: list[Piece]) -> Piece:
    assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    return pieces[-1]


def wait_until_idle(engine: LlamaEngine) -> float:
    """Return the seconds until no answer is under way."""
    start = time.perf_counter()
    with engine._idle:
        assert engine._idle.wait_for(lambda: not engine._runs, 20)
    return time.perf_counter() - start
