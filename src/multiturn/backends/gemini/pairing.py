"""Whether every function call of a conversation has its result, as the Gemini API wants it; pure.

The service refuses for good a conversation in which that is not so.  Its rules: results
follow directly on their calls, there are as many as calls, and a conversation does not
begin with a call.  Neighbours of one role count as one content, and calls at the very end
are the next message's to answer, all of them.

A result is that of the call with its id, or else of the first call of its name that has
none yet; the others are told apart by their order.  What they are called is no concern of
the service: a model may call ``default_api.f``, and be answered by ``f``.  An id that no
call has is refused, since the result is of another conversation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from multiturn.messages.message import Object


class Problem(NamedTuple):
    """What the service would refuse.

    Attributes:
        content: Its index.
        value: What it says.
        expected: What it should say.
        missing: The calls whose results are wanted there.
    """

    content: int
    value: str
    expected: str
    missing: tuple[Object, ...] = ()


class State(NamedTuple):
    """What stays open behind a content.

    Attributes:
        calls: The calls that the last step made, in order.
        missing: Those of them that have no result yet.
        problem: The first thing that the service would refuse, None if there is none.
    """

    calls: tuple[Object, ...] = ()
    missing: tuple[Object, ...] = ()
    problem: Problem | None = None

    @property
    def n_results(self) -> int:
        """How many calls have a result."""
        return len(self.calls) - len(self.missing)


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
    if state.missing:
        return _unanswered(state, index, _words(parts))
    return NOTHING_OPEN


def refusal(state: State, n_contents: int) -> tuple[str, str, str] | None:
    """Return what the service would refuse of a conversation: where, what, what was expected.

    Args:
        state: What stays open behind its last content.
        n_contents: How many it has.
    """
    problem, last = state.problem, n_contents - 1
    if problem is not None:
        advice = (
            "send them first" if problem.content == last else "set chat.history with them there"
        )
    elif state.missing and state.n_results:
        told = f"{state.n_results} of {len(state.calls)} results"
        expected = f"in the same message the results of {_list(state.missing)}"
        problem = Problem(last, told, expected, state.missing)
        advice = "send all of them at once"
    else:
        return None
    expected = problem.expected
    if problem.missing:
        expected += (
            f"; {advice}, as {{'function_response': {{'name': {_name(problem.missing[0])!r}, "
            "'response': {…}}}, or take the call off with chat.rewind()"
        )
    return f"$.contents[{problem.content}]", problem.value, expected


def _refused(*problem: Any) -> State:
    return State(problem=Problem(*problem))


def _called(state: State, calls: tuple[Object, ...], index: int) -> State:
    if calls and index == 0:
        return _refused(
            index, f"a call of {_list(calls)}", "what a user said first: nobody has asked for it"
        )
    if state.n_results:
        if state.missing:
            return _unanswered(state, index, "the model's next content")
        return State(calls, calls) if calls else NOTHING_OPEN
    return State((*state.calls, *calls), (*state.missing, *calls))


def _answered(state: State, results: tuple[Object, ...], index: int) -> State:
    if not state.calls:
        return _refused(
            index,
            f"the result of {_list(results)}",
            "no result here: the content before it calls no function; a conversation that "
            "was cut begins with what a user said",
        )
    missing = state.missing
    if len(results) > len(missing):
        return _refused(
            index,
            f"{state.n_results + len(results)} results, the last of {_told(results[-1])}",
            f"{len(state.calls)}, one for each call of {_list(state.calls)}",
        )
    # Nearly always: all results, in the order of the calls; then none is left.
    if [result.get("id") for result in results] == [call.get("id") for call in missing]:
        return State(state.calls)
    left, others = [*missing], [*results]
    for is_of in (_has_id_of, _has_name_of):
        others = [result for result in others if not _is_taken(result, left, is_of)]
    for result in others:
        if not any(_may_be(result, call) for call in state.calls):
            return _refused(
                index, f"the result of {_told(result)}", f"that of {' or '.join(map(_told, left))}"
            )
    return State(state.calls, tuple(left[len(others) :]))


def _is_taken(
    result: Object, left: list[Object], is_of: Callable[[Object, Object], object]
) -> bool:
    """Take the call of a result off those that are left, if one is."""
    for place, call in enumerate(left):
        if is_of(result, call):
            del left[place]
            return True
    return False


def _has_id_of(result: Object, call: Object) -> object:
    return result.get("id") and result["id"] == call.get("id")


def _has_name_of(result: Object, call: Object) -> bool:
    return result.get("name") == call.get("name") and _may_be(result, call)


def _may_be(result: Object, call: Object) -> bool:
    """Whether ids do not contradict each other; many programs give, or keep, none."""
    known, of_call = result.get("id"), call.get("id")
    return not known or not of_call or known == of_call


def _unanswered(state: State, index: int, value: str) -> State:
    expected = f"the results of {_list(state.missing)}, which the model has called"
    if state.n_results:
        expected += f" ({state.n_results} of {len(state.calls)} are there)"
    return _refused(index, value, expected, state.missing)


def _found(parts: object, kind: str) -> tuple[Object, ...]:
    listed: list[Object] = parts if isinstance(parts, list) else []
    return tuple([one for part in listed if isinstance(one := part.get(kind), dict)])


def _list(named: tuple[Object, ...]) -> str:
    return ", ".join([f"{_name(one)}()" for one in named])


def _told(named: Object) -> str:
    known = named.get("id")
    return f"{_name(named)}()" + (f" with the id {known!r}" if known else "")


def _name(named: Object) -> str:
    return str(named.get("name") or "?")


def _words(parts: object) -> str:
    listed: list[Object] = parts if isinstance(parts, list) else []
    return " ".join(str(part["text"]) for part in listed if "text" in part) or "no result"
