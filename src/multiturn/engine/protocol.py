"""What the embedded engine takes and gives: messages, sampling, pieces."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from multiturn.engine.calls import CallSyntax
from multiturn.errors import InvalidContent, UsageError

# A result is what a function gave; the call stands in what the assistant said before.
Role = Literal["system", "user", "assistant", "result"]
Message = tuple[Role, str]
Messages = Sequence[Message]
Finish = Literal["stop", "length", "cancelled"]

ROLES: tuple[Role, ...] = ("system", "user", "assistant", "result")


class Flag(Protocol):
    """Anything that says whether to stop, as ``threading.Event``."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; None leaves a choice to llama.cpp's default.

    Attributes:
        temperature: 0 is greedy; llama.cpp's default is 0.8.
        max_tokens: Largest answer, at least 1; None fills the context window.
        stop: Texts that end the answer; they are not part of it.
        seed: 0 to 2**32 - 2; None draws one. The same seed repeats an answer where the same
            part of the prompt is cached; otherwise rounding can tip a close choice.
        dry_multiplier: Strength of the penalty on repeated phrases; 0 is off.
        json_schema: The answer is JSON that this JSON Schema allows; ``{}`` allows any JSON.
        grammar: The answer is what this GBNF grammar allows; not with ``json_schema``.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    dry_multiplier: float | None = None
    json_schema: Mapping[str, Any] | None = field(default=None, hash=False)
    grammar: str | None = None

    def __post_init__(self) -> None:
        for name, lowest, highest in _RANGES:
            value = getattr(self, name)
            if value is not None and not _within(value, name in _WHOLE, lowest, highest):
                kind = "whole number" if name in _WHOLE else "number"
                raise UsageError(f"{name} is {value!r}; give a {kind} from {lowest} to {highest}")
        if isinstance(self.stop, str) or not all(isinstance(s, str) and s for s in self.stop):
            raise UsageError(f"stop is {self.stop!r}; give a tuple of texts that are not empty")
        if self.json_schema is not None and self.grammar is not None:
            raise UsageError("json_schema and grammar are both given; give one of them")


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0, 100),
    ("top_p", 0, 1),
    ("top_k", 0, 2**31 - 1),
    ("min_p", 0, 1),
    ("max_tokens", 1, 2**31 - 1),
    ("seed", 0, 2**32 - 2),
    ("presence_penalty", -100, 100),
    ("frequency_penalty", -100, 100),
    ("dry_multiplier", 0, 100),
)
_WHOLE = {"top_k", "max_tokens", "seed"}


def _within(value: object, whole: bool, lowest: float, highest: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return math.isfinite(value) and lowest <= value <= highest


@dataclass(frozen=True, slots=True)
class Function:
    """A function that the model is told of; ``parameters`` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions of one request, for a model whose template has ``calls``.

    Attributes:
        functions: All that the model is shown.
        allowed: Names of those that it may call now.
        forced: It must call, not answer.
    """

    functions: tuple[Function, ...]
    allowed: frozenset[str]
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer as it is generated.

    Attributes:
        text: What to append; may be "".
        tokens: Ids of the tokens that the engine reported with it.
        finish: None except on the last piece: ``stop`` the answer is complete,
            ``length`` it reached ``max_tokens`` or the end of the context window,
            ``cancelled`` the cancel flag was set.
        prompt_tokens: On the last piece, the size of the prompt.
        cached_tokens: On the last piece, how many of them came from the key/value cache.
        completion_tokens: On the last piece, how many tokens were generated.
    """

    text: str
    tokens: tuple[int, ...] = ()
    finish: Finish | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Template:
    """What the model's chat template does, found by rendering it.

    Attributes:
        source: The template, in Jinja.
        system: ``own`` if it renders a system message, ``merged`` if the system text
            is put before the first user message because it does not.
        inserts_system: It speaks for the user when no system message is given; an
            empty one is sent then.
        alternates: It refuses two messages of one role in a row; they are joined then.
        trims: Roles whose text it strips of white space at both ends.
        calls: How it writes calls of functions; None if it has none, or none that we can use.
    """

    source: str
    system: Literal["own", "merged"]
    inserts_system: bool
    alternates: bool
    trims: frozenset[str]
    calls: CallSyntax | None = None


class Engine(Protocol):
    """A model in this process. Every method may be called from any thread."""

    @property
    def context_tokens(self) -> int:
        """Size of the window that a prompt and its answer share."""
        ...

    @property
    def template(self) -> Template:
        """What the chat template does; loads the model if need be."""
        ...

    def stream(
        self,
        messages: Messages,
        sampling: Sampling = ...,
        *,
        tools: Tools | None = None,
        cancel: Flag | None = None,
    ) -> Iterator[Piece]:
        """Generate the answer to ``messages``; closing or dropping the iterator stops it."""
        ...

    def stream_async(
        self,
        messages: Messages,
        sampling: Sampling = ...,
        *,
        tools: Tools | None = None,
        cancel: Flag | None = None,
    ) -> AsyncIterator[Piece]:
        """Do the same without blocking the event loop."""
        ...

    def count(self, messages: Messages, tools: Tools | None = None) -> int:
        """Return the exact size, in tokens, of the prompt that ``messages`` become."""
        ...

    def close(self) -> None:
        """Free the memory; answers under way end with an error, a later use loads again."""
        ...


def check_messages(messages: Messages) -> None:
    """Raise InvalidContent unless ``messages`` can become a prompt."""
    if not messages:
        raise InvalidContent("$.messages", messages, "at least one message")
    for index, (role, text) in enumerate(messages):
        if role not in ROLES:
            raise InvalidContent(f"$.messages[{index}].role", role, f"one of {', '.join(ROLES)}")
        try:
            text.encode()
        except (AttributeError, UnicodeEncodeError):
            expected = "text that UTF-8 can encode"
            raise InvalidContent(f"$.messages[{index}].text", text, expected) from None
