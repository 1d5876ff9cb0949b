"""Whether every function call of a conversation has its result, as the Gemini API wants it; pure.

The service refuses for good a conversation in which that is not so.  Its rules: results
follow directly on their calls, there are as many as calls, and a conversation does not
begin with a call.  Neighbours of one role count as one content, and calls at the very end
are the next message's to answer.
"""

from __future__ import annotations

from typing import NamedTuple

from multiturn.errors import InvalidContent
from multiturn.history import Path
from multiturn.messages.content import Content
from multiturn.messages.message import Object


class State(NamedTuple):
    """What stays open behind a content.

    Attributes:
        calls: Names of the calls that the last step made, in order.
        results: How many of them have a result.
    """

    calls: tuple[str, ...] = ()
    results: int = 0

    @property
    def waits(self) -> bool:
        """Whether a call has no result yet."""
        return self.results < len(self.calls)


_NOTHING_OPEN = State()


class Pairing:
    """A ``history.Fold`` without bytes, so that each content is looked at once, ever."""

    start = _NOTHING_OPEN

    def step(self, state: State, content: Content, index: int) -> tuple[bytes, State]:
        """Return what stays open; raise InvalidContent if a call and a result do not meet."""
        parts = content.json_object.get("parts") or ()
        if not state.calls:
            for part in parts:
                if "functionCall" in part or "functionResponse" in part:
                    break
            else:
                return b"", _NOTHING_OPEN
        if content.json_object.get("role") == "model":
            return b"", _called(state, _named(parts, "functionCall"), index)
        results = _named(parts, "functionResponse")
        if results:
            return b"", _answered(state, results, index)
        if state.waits:
            raise InvalidContent(_place(index), _words(parts), _missing(state))
        return b"", _NOTHING_OPEN

    def end(self, state: State) -> bytes:
        """Return nothing."""
        return b""


_PAIRING = Pairing()


def require_pairs(contents: Path) -> None:
    """Refuse a conversation that the service would refuse for its calls and results.

    Raises:
        InvalidContent: Its ``path`` is the content at which they do not meet.
    """
    contents.last_state(_PAIRING)


def _place(index: int) -> str:
    return f"$.contents[{index}]"


def _called(state: State, calls: tuple[str, ...], index: int) -> State:
    if calls and index == 0:
        raise InvalidContent(
            _place(index),
            f"a call of {_list(calls)}",
            "what a user said first: nobody has asked for it",
        )
    if state.results:
        if state.waits:
            raise InvalidContent(_place(index), "the model's next content", _missing(state))
        return State(calls)
    return state._replace(calls=(*state.calls, *calls))


def _answered(state: State, results: tuple[str, ...], index: int) -> State:
    total = state.results + len(results)
    if not state.calls:
        raise InvalidContent(
            _place(index),
            f"the result of {_list(results)}",
            "no result here: the content before it calls no function; a conversation that "
            "was cut begins with what a user said",
        )
    if total > len(state.calls):
        raise InvalidContent(
            _place(index),
            f"{total} results, the last of {results[-1]}()",
            f"{len(state.calls)}, one for each call of {_list(state.calls)}",
        )
    return state._replace(results=total)


def _missing(state: State) -> str:
    calls = state.calls
    told = f"the results of {_list(calls)}, which the model has called"
    if state.results:
        told = f"{told} ({state.results} of {len(calls)} are there)"
    return (
        f"{told}; send them first, as {{'function_response': {{'name': {calls[-1]!r}, "
        "'response': {…}}}, or take the call off with chat.rewind()"
    )


def _named(parts: object, kind: str) -> tuple[str, ...]:
    listed: list[Object] = parts if isinstance(parts, list) else []
    found = [part[kind] for part in listed if isinstance(part.get(kind), dict)]
    return tuple(str(one.get("name") or "?") for one in found)


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}()" for name in names)


def _words(parts: object) -> str:
    listed: list[Object] = parts if isinstance(parts, list) else []
    return " ".join(str(part["text"]) for part in listed if "text" in part) or "no result"
