"""Any conversation as one that every chat model takes; pure.

What models disagree on is put in order: neighbours of one role become one message, calls
and results are paired and have names for one another, and nothing hangs in the air.  The
conversation itself is never changed; this is how it is told to a model.

The rules, each needed by some server:

- Contents of one role that follow one another are one message.
- A call without an id gets one, made from its place: nine letters and digits (the form
  that Mistral's models insist on).  An id is replaced by one if it is longer than 40
  characters (OpenAI's limit) or is that of another call of the same message.
- A result belongs to the open call with its id, else to the first open one of its name,
  else, without a name, to the first one open.  Each call has one result: one without
  gets a note that says so, before anything else is said.
- A result that belongs to no call is told as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from multiturn.messages.content import Content
from multiturn.messages.message import Object

Role: TypeAlias = Literal["user", "model"]
LONGEST_ID = 40
# Stands between contents that become one message.
BETWEEN = "\n\n"
NO_RESULT = {"error": "this call was given no result"}


class Located(NamedTuple):
    """A part, with where it stands in the conversation, as ``$.contents[0].parts[1]``."""

    part: Object
    path: str


class Said(NamedTuple):
    """One message of a user or a model; calls in it have ids."""

    role: Role
    parts: tuple[Located, ...]


class Result(NamedTuple):
    """The result of a call, one message of its own."""

    id: str
    name: str
    response: Object


Message: TypeAlias = Said | Result


class OpenCall(NamedTuple):
    """A call whose result is still to come."""

    id: str
    name: str


class State(NamedTuple):
    """What stays open between two contents.

    Attributes:
        said: The message that the next content may still add to.
        calls: Calls of the last message that have no result yet.
        n_calls: How many calls there were.
    """

    said: Said | None = None
    calls: tuple[OpenCall, ...] = ()
    n_calls: int = 0


START = State()


def project(state: State, content: Content, index: int) -> tuple[list[Message], State]:
    """Return the messages that a content completes, and what stays open behind it.

    Args:
        state: What was open before it.
        content: What is said.
        index: How many contents precede it.
    """
    given = content.json_object.get("parts") or ()
    path = f"$.contents[{index}].parts"
    parts = [Located(part, f"{path}[{i}]") for i, part in enumerate(given) if part]
    if content.json_object.get("role") == "model":
        return _model_says(state, parts)
    results = [located for located in parts if "functionResponse" in located.part]
    messages: list[Message] = []
    if results:
        told, state, parts = _results(state, results, parts)
        messages += told
    if parts or not results:
        told, state = _says(state, "user", parts)
        messages += told
    return messages, state


def close(state: State) -> list[Message]:
    """Return the messages that are still open when nothing more is said.

    Calls at the very end stay without results: whoever asks wants them answered.
    """
    return [] if state.said is None else [state.said]


def projected(contents: Sequence[Content]) -> list[Message]:
    """Return a whole conversation as messages."""
    messages: list[Message] = []
    state = START
    for index, content in enumerate(contents):
        told, state = project(state, content, index)
        messages += told
    return messages + close(state)


def _says(state: State, role: Role, parts: list[Located]) -> tuple[list[Message], State]:
    """Add parts to the open message, or end that and open another."""
    said = state.said
    if said is not None and said.role == role and not state.calls:
        between = [Located({"text": BETWEEN}, "")] if said.parts and parts else []
        return [], state._replace(said=Said(role, (*said.parts, *between, *parts)))
    messages: list[Message] = [] if said is None else [said]
    messages += [Result(call.id, call.name, NO_RESULT) for call in state.calls]
    return messages, state._replace(said=Said(role, tuple(parts)), calls=())


def _model_says(state: State, parts: list[Located]) -> tuple[list[Message], State]:
    messages, state = _says(state, "model", parts)
    calls: list[OpenCall] = []
    named: list[Located] = []
    for part, path in parts:
        call = part.get("functionCall")
        if not isinstance(call, dict):
            named.append(Located(part, path))
            continue
        known = str(call.get("id") or "")
        if not known or len(known) > LONGEST_ID or known in [open_.id for open_ in calls]:
            known = f"call{(state.n_calls + len(calls)) % 100_000:05d}"
        calls.append(OpenCall(known, str(call.get("name") or "")))
        named.append(Located({**part, "functionCall": {**call, "id": known}}, path))
    if calls:
        assert state.said is not None
        kept = state.said.parts[: len(state.said.parts) - len(parts)]
        state = state._replace(
            said=Said("model", (*kept, *named)),
            calls=tuple(calls),
            n_calls=state.n_calls + len(calls),
        )
    return messages, state


def _results(
    state: State, results: list[Located], parts: list[Located]
) -> tuple[list[Message], State, list[Located]]:
    """Tell results to the calls they belong to; return also what is said beside them."""
    calls = list(state.calls)
    messages: list[Message] = []
    beside: list[Located] = []
    for part, path in results:
        answer = part["functionResponse"]
        call = _call_of(answer, calls)
        if call is None:
            beside.append(Located({"text": _orphan(answer)}, path))
        else:
            calls.remove(call)
            messages.append(Result(call.id, call.name, answer.get("response") or {}))
        media = answer.get("parts") or ()
        beside += [Located(one, f"{path}.parts[{i}]") for i, one in enumerate(media)]
    if messages:
        said = [] if state.said is None else [state.said]
        messages = [*said, *messages]
        state = state._replace(said=None, calls=tuple(calls))
    return messages, state, beside + [p for p in parts if "functionResponse" not in p.part]


def _call_of(answer: Object, calls: list[OpenCall]) -> OpenCall | None:
    known, name = answer.get("id"), answer.get("name")
    for call in calls:
        if known and call.id == known:
            return call
    for call in calls:
        if not name or call.name == name:
            return call
    return None


def _orphan(answer: Object) -> str:
    shown = json.dumps(answer.get("response") or {}, ensure_ascii=False)
    return f"[result of {answer.get('name') or 'a function'}: {shown}]"
