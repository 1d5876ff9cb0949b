"""Whether every function call of a conversation has its result, as the Gemini API wants it; pure.

The service refuses for good a conversation in which that is not so.  Its rules: results
follow directly on their calls, there are as many as calls, and a conversation does not
begin with a call.  Neighbours of one role count as one content, and calls at the very end
are the next message's to answer.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from multiturn.messages.message import Object

# Where calls and results do not meet, what stands there, and what was expected.
Problem: TypeAlias = tuple[str, object, str]


class State(NamedTuple):
    """What stays open behind a content.

    Attributes:
        calls: The calls that the last step made, in order.
        results: How many of them have a result.
        problem: The first thing that the service would refuse, None if there is none.
    """

    calls: tuple[Object, ...] = ()
    results: int = 0
    problem: Problem | None = None

    @property
    def waits(self) -> bool:
        """Whether a call has no result yet."""
        return self.results < len(self.calls)


NOTHING_OPEN = State()


def paired(state: State, content: Object, index: int) -> State:
    """Return what stays open behind a content.

    Args:
        state: What was open before it.
        content: The wire's Content.
        index: How many contents precede it.
    """
    parts = content.get("parts")
    if state.problem is not None:
        return state
    if content.get("role") == "model":
        calls = _found(parts, "functionCall")
        return _called(state, calls, index) if calls or state.calls else NOTHING_OPEN
    results = _found(parts, "functionResponse")
    if results:
        return _answered(state, results, index)
    if state.waits:
        return _refused(index, _words(parts), _missing(state))
    return NOTHING_OPEN


def _refused(index: int, value: object, expected: str) -> State:
    return State(problem=(f"$.contents[{index}]", value, expected))


def _called(state: State, calls: tuple[Object, ...], index: int) -> State:
    if calls and index == 0:
        return _refused(
            index, f"a call of {_list(calls)}", "what a user said first: nobody has asked for it"
        )
    if state.results:
        if state.waits:
            return _refused(index, "the model's next content", _missing(state))
        return State(calls) if calls else NOTHING_OPEN
    return State((*state.calls, *calls))


def _answered(state: State, results: tuple[Object, ...], index: int) -> State:
    total = state.results + len(results)
    if not state.calls:
        return _refused(
            index,
            f"the result of {_list(results)}",
            "no result here: the content before it calls no function; a conversation that "
            "was cut begins with what a user said",
        )
    if total > len(state.calls):
        return _refused(
            index,
            f"{total} results, the last of {_list(results[-1:])}",
            f"{len(state.calls)}, one for each call of {_list(state.calls)}",
        )
    return State(state.calls, total)


def _missing(state: State) -> str:
    calls = state.calls
    told = f"the results of {_list(calls)}, which the model has called"
    if state.results:
        told = f"{told} ({state.results} of {len(calls)} are there)"
    return (
        f"{told}; send them first, as {{'function_response': {{'name': {_name(calls[-1])!r}, "
        "'response': {…}}}, or take the call off with chat.rewind()"
    )


def _found(parts: object, kind: str) -> tuple[Object, ...]:
    listed: list[Object] = parts if isinstance(parts, list) else []
    return tuple([one for part in listed if isinstance(one := part.get(kind), dict)])


def _list(named: tuple[Object, ...]) -> str:
    return ", ".join([f"{_name(one)}()" for one in named])


def _name(named: Object) -> str:
    return str(named.get("name") or "?")


def _words(parts: object) -> str:
    listed: list[Object] = parts if isinstance(parts, list) else []
    return " ".join(str(part["text"]) for part in listed if "text" in part) or "no result"
