"""Where an answer comes from: who was asked how, who answered, how fast and at what cost."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from multiturn.history import Outcome, Told
from multiturn.journal import Asked
from multiturn.messages.candidate import Candidate, FinishReason, UsageMetadata
from multiturn.messages.message import Object
from multiturn.usage import summed


class Round(NamedTuple):
    """One answer of a model; a turn with function calls has several.

    Attributes:
        model: The model that was asked, as the backend knows it; of several, the first.
        model_version: The model that answered, as it names itself, "" if it did not say;
            with a list of models, this says which of them it was.
        parameters: Members of the wire's GenerationConfig as asked, without those that
            were left to the model.
        tools: Names of the functions and other tools that were offered.
        stream: Whether the answer was asked for in pieces.
        usage: Tokens, as far as the server told.
        first_chunk_seconds: From the last attempt's request to the first piece of the
            answer; None if none arrived.
        seconds: From the last attempt's request to the end, the time that a reader of a
            stream took included.
        attempts: How often it was asked for, at least 1.
        request_id: What the server calls this answer, "" if it did not say.
        finish_reason: Why the answer ended; FINISH_REASON_UNSPECIFIED if it did not.
    """

    model: str
    model_version: str
    parameters: Mapping[str, Any]
    tools: tuple[str, ...]
    stream: bool
    usage: UsageMetadata
    first_chunk_seconds: float | None
    seconds: float
    attempts: int
    request_id: str
    finish_reason: FinishReason


class Provenance(NamedTuple):
    """What is known of a turn beside what was said.

    Attributes:
        outcome: How it ended, as in ``JournalEntry``.
        at: When, in seconds since 1970.
        rounds: Each answer of the model, oldest first; at least one.
    """

    outcome: Outcome
    at: float
    rounds: tuple[Round, ...]

    @property
    def model(self) -> str:
        """The model that was asked."""
        return self.rounds[-1].model

    @property
    def model_version(self) -> str:
        """The model that gave the answer, as it names itself."""
        return self.rounds[-1].model_version

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Members of the wire's GenerationConfig as asked."""
        return self.rounds[-1].parameters

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the functions and other tools that were offered."""
        return self.rounds[-1].tools

    @property
    def usage(self) -> UsageMetadata:
        """Tokens of all rounds together."""
        told = [round_.usage.json_object for round_ in self.rounds if round_.usage.json_object]
        return UsageMetadata.view(summed(told), frozen=True)

    @property
    def first_chunk_seconds(self) -> float | None:
        """From the first round's request to the first piece of its answer."""
        return self.rounds[0].first_chunk_seconds

    @property
    def seconds(self) -> float:
        """What all rounds took, without the functions between them."""
        return sum(round_.seconds for round_ in self.rounds)

    @property
    def attempts(self) -> int:
        """How often a model was asked, in all rounds."""
        return sum(round_.attempts for round_ in self.rounds)

    @property
    def request_id(self) -> str:
        """What the server calls the last answer."""
        return self.rounds[-1].request_id

    @property
    def finish_reason(self) -> FinishReason:
        """Why the last answer ended."""
        return self.rounds[-1].finish_reason


def provenance_of(told: Told, outcome: Outcome) -> Provenance | None:
    """Return what is known of a turn as people read it; None if nobody was asked."""
    known = told() if callable(told) else told
    members = told_object(known) if isinstance(known, tuple) else known or {}
    rounds = tuple(_round(each) for each in members.get("rounds") or ())
    return Provenance(outcome, members.get("at", 0.0), rounds) if rounds else None


def told_object(rounds: Sequence[Asked | Object]) -> Object:
    """Return rounds as they are written down, those that are not yet included."""
    at, written = time.time(), []
    for each in rounds:
        if isinstance(each, Asked):
            at = round(each.at * 1e3) / 1e3
        written.append(_round_object(each) if isinstance(each, Asked) else each)
    return {"at": at, "rounds": written}


def _round_object(asked: Asked) -> Object:
    told: Object = {"model": asked.model}
    if asked.stream:
        told["stream"] = True
    if asked.attempts > 1:
        told["attempts"] = asked.attempts
    # round() of a part of a second takes ten times as long.
    told["seconds"] = round((asked.ended_at - asked.asked_at) * 1e6) / 1e6
    if asked.first_at:
        told["first_chunk_seconds"] = round((asked.first_at - asked.asked_at) * 1e6) / 1e6
    if asked.generation_config:
        told["generationConfig"] = dict(asked.generation_config)
    if asked.tools and (names := _names(asked.tools)):
        told["tools"] = names
    answered = {
        "modelVersion": asked.model_version,
        "responseId": asked.response_id,
        "usageMetadata": asked.usage,
        "promptFeedback": asked.prompt_feedback,
        "finishReason": asked.finish_reason,
    }
    return told | {name: value for name, value in answered.items() if value is not None}


def _names(tools: Sequence[Object]) -> list[str | None]:
    return [
        declaration.get("name")
        for tool in tools
        for declaration in tool.get("functionDeclarations") or [{"name": next(iter(tool), "")}]
    ]


def _round(told: Object) -> Round:
    return Round(
        told.get("model", ""),
        told.get("modelVersion", ""),
        MappingProxyType(dict(told.get("generationConfig") or {})),
        tuple(told.get("tools") or ()),
        bool(told.get("stream")),
        UsageMetadata.view(told.get("usageMetadata") or {}, frozen=True),
        told.get("first_chunk_seconds") or None,
        told.get("seconds", 0.0),
        told.get("attempts", 1),
        told.get("responseId", ""),
        Candidate.view({"finishReason": told.get("finishReason")}).finish_reason,
    )
