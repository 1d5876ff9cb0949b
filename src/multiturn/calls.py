"""Calls that a model asks for, and what is sent back; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

from multiturn.messages.content import Content
from multiturn.messages.message import Object, copy_json

OnLimit: TypeAlias = Literal["raise", "answer"]


class Call(NamedTuple):
    """One function that the model wants to be called.

    A function gets its own call if a parameter is annotated so; the model never sees it.

    Attributes:
        index: Its place among the calls of its content, from 0.
        name: The function's name.
        args: Arguments as JSON has them; a copy.
        id: The model's name for this call, "" if it gave none.
    """

    index: int  # type: ignore[assignment]  # it hides the method of tuples, unused here
    name: str
    args: dict[str, Any]
    id: str = ""


Call.__multiturn_injected__ = True  # type: ignore[attr-defined]  # a named tuple takes no mark


class EndedCall(Call):
    """A call that has ended, as ``after_call`` gets it.

    Attributes:
        error: What the function raised, with its traceback, or what was wrong with its
            result; None if it gave one, or was not run.
    """

    error: Exception | None = None


class Waiting(NamedTuple):
    """Calls that wait for a person's decision, before which no call of their reply begins.

    Attributes:
        calls: Those that wait; none of them has run.
        verdicts: By index of the others that were decided on: True to run it, False or a
            reason not to.
    """

    calls: tuple[Call, ...]
    verdicts: Mapping[int, bool | str]


NOTHING_WAITS = Waiting((), MappingProxyType({}))


def waiting_object(waiting: Waiting) -> Object:
    """Return which calls wait as JSON, to be written down."""
    verdicts = {str(index): verdict for index, verdict in waiting.verdicts.items()}
    return {"calls": [call.index for call in waiting.calls], "verdicts": verdicts}


def waiting_among(calls: tuple[Call, ...], told: Object | None) -> Waiting:
    """Return which of a reply's calls wait, of what was written down; all if nothing was."""
    if told is None:
        return Waiting(calls, {})
    verdicts = {int(index): verdict for index, verdict in told["verdicts"].items()}
    return Waiting(tuple(call for call in calls if call.index in told["calls"]), verdicts)


class CallRules(NamedTuple):
    """What a turn may do about calls.

    Attributes:
        runnable: Names of the functions that can be run here.
        declared: Names of all functions that the model was told of.
        max_rounds: How often the model is asked within one turn, at least 1.
        on_limit: "raise" TooManyRounds, or ask for an "answer" without functions.
        malformed_retries: How often an answer with a malformed call is asked for anew.
    """

    runnable: frozenset[str]
    declared: frozenset[str]
    max_rounds: int = 10
    on_limit: OnLimit = "raise"
    malformed_retries: int = 2

    def can_run(self, calls: Iterable[Call]) -> bool:
        """Return whether no call is meant for the caller.

        A function that was declared without code is the caller's to run, and the calls
        beside it too.  A name that was never declared is answered with an error.
        """
        return {call.name for call in calls}.isdisjoint(self.declared - self.runnable)


def is_models(content: Content) -> bool:
    """Return whether a content is the model's."""
    return content.json_object.get("role") == "model"


def calls_of(content: Content) -> tuple[Call, ...]:
    """Return the calls of a content, in order; none if it is not the model's."""
    return calls_in(content.json_object.get("parts") or ()) if is_models(content) else ()


def calls_in(parts: Iterable[Object]) -> tuple[Call, ...]:
    """Return the calls among the parts of one of the model's contents, in order."""
    calls: list[Call] = []
    for part in parts:
        if isinstance(asked := part.get("functionCall"), dict):
            name, call_id = str(asked.get("name") or ""), str(asked.get("id") or "")
            calls.append(Call(len(calls), name, copy_json(asked.get("args") or {}), call_id))
    return tuple(calls)


def result_part(call: Call, response: Object, media: Sequence[Object] = ()) -> Object:
    """Return the part that answers a call; media go beside the response.  Both are kept."""
    answer: Object = {"name": call.name, "response": response}
    if call.id:
        answer["id"] = call.id
    if media:
        answer["parts"] = media
    return {"functionResponse": answer}


def with_mode(tool_config: Object | None, mode: str) -> Object:
    """Return the rules of calling with another mode, for all functions."""
    return {**(tool_config or {}), "functionCallingConfig": {"mode": mode}}


def forced_first(tool_config: Object | None, number: int) -> Object | None:
    """Return the rules of calling for a round: a call is forced in the first one only.

    Forced in every round, the model could never answer.
    """
    calling = (tool_config or {}).get("functionCallingConfig") or {}
    if number == 1 or calling.get("mode") != "ANY":
        return tool_config
    return with_mode(tool_config, "AUTO")
