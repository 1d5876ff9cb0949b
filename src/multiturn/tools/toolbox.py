"""The functions of a session: what becomes of each call, as steps that run nothing.

Like a turn, calls are a generator: it yields an ``Invoke`` for each piece of the user's
code that has to run (hooks, the functions themselves), is sent what came of it, and
returns the parts that answer the calls.  ``run_calls.py`` and ``run_calls_async.py``
carry the steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from multiturn.calls import Call, CallRules, EndedCall, Waiting, result_part
from multiturn.cancel import Cancel
from multiturn.errors import (
    ArgumentMismatch,
    InvalidContent,
    ToolError,
    TurnCancelled,
    UsageError,
)
from multiturn.messages.message import Object, copy_json
from multiturn.request import made_of
from multiturn.tools.async_values import is_async_function
from multiturn.tools.calling import Calling, CallingOptions, Refusal, calling_of
from multiturn.tools.failure import (
    Declined,
    Told,
    error_object,
    log_failure,
    message_of,
    told_of,
)
from multiturn.tools.functions import ToolFunction, functions_in
from multiturn.tools.result import tool_result

if TYPE_CHECKING:
    from multiturn.chat import ChatSession

# What is decided about calls, by their index: True, False, or a reason not to.
Decisions: TypeAlias = Mapping[int, "bool | str"]
# Told by index of a call that it has begun (None) or the part that answers it.
Note: TypeAlias = Callable[[int, Object | None], None]

_NOTHING: Mapping[int, Object | None] = {}


def _as_it_is(value: Any, max_bytes: int) -> Any:
    return value


@dataclass(slots=True)
class Invoke:
    """A piece of the user's code that has to run; async code is awaited.

    Attributes:
        function: What to call.
        args: With these.
        kwargs: And these.
        finish: Makes the outcome of what the function gave, and of ``max_bytes``; runs
            where it ran, since reading an iterator runs the function's code.
        max_bytes: How much of a result is read, about.
        call: The call, if it is the function that the model called: the session's time
            limit holds for it, and the journal notes that it has begun.
        is_async: Whether calling it gives async code, as far as is known before.
    """

    function: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    finish: Callable[[Any, int], Any] = _as_it_is
    max_bytes: int = 2**20
    call: Call | None = None
    is_async: bool = False


CallSteps: TypeAlias = Generator[Invoke, Any, dict[int, Object]]
Deciding: TypeAlias = Generator[Invoke, Any, "dict[int, bool | str] | Waiting"]


class CallJournal(Protocol):
    """Where calls are written down, for whoever goes on with them in another process."""

    def begin(self, call: Call) -> None:
        """Write down that a function is about to run; if that fails, so does the turn."""

    def returned(self, call: Call, part: Object) -> None:
        """Write down what answers a call."""


def toolbox_for(
    tools: Any,
    options: CallingOptions,
    session: ChatSession | None = None,
    unseen: set[int] | None = None,
) -> Toolbox:
    """Return the functions among a model's tools, with a session's options.

    Raises:
        UsageError: An option has no known form, or a parameter that is injected has no value.
    """
    return Toolbox(functions_in(tools), calling_of(options), session, None, unseen)


class Toolbox:
    """Functions by name, and how they are run; may be shared by threads.

    Args:
        functions: By the names that the model knows.
        calling: How they are run.
        session: Given to functions that want it.
        notes: Told of each call, None if nobody wants to know.
        unseen: Indexes of calls whose noted result ``after_call`` has not seen, for
            whoever goes on with them; kept up to date.
    """

    def __init__(
        self,
        functions: Mapping[str, ToolFunction],
        calling: Calling,
        session: ChatSession | None = None,
        notes: CallJournal | None = None,
        unseen: set[int] | None = None,
    ) -> None:
        self.functions, self.calling, self.session = functions, calling, session
        self.notes = notes
        self.unseen: set[int] = set() if unseen is None else unseen
        # Names of the functions of which each call is decided on.
        self._guarded = {
            name
            for name, function in functions.items()
            if function.requires_approval or calling.approve is not None
        }
        for name, function in functions.items():
            missing = function.demanded - calling.injected.keys()
            if missing:
                listed = ", ".join(sorted(missing))
                raise UsageError(
                    f"the function {name!r} needs {listed}, which the model never sees; give it "
                    f"with injected={{{sorted(missing)[0]!r}: …}}"
                )
        if calling.injected:
            self._refuse_misspelt(calling.injected.keys())

    def _refuse_misspelt(self, given: Set[str]) -> None:
        """Refuse a name that no function takes, and that is nearly one that is missing.

        Any other name may be for functions of another model or message.
        """
        taken = {name for function in self.functions.values() for name in function.takes}
        missing = taken - given
        if not missing or not given - taken:
            return
        from difflib import get_close_matches

        for name in sorted(map(str, given - taken)):
            if near := get_close_matches(name, sorted(missing), n=1):
                raise UsageError(
                    f"injected has {name!r}, which no function takes; did you mean {near[0]!r}?"
                )

    def rules(self, tools: Sequence[Object]) -> CallRules:
        """Return what a turn may do about calls, given the tools the model is told of."""
        return CallRules(
            runnable=frozenset(self.functions),
            declared=made_of(tools, _declared_names) | self.functions.keys(),
            max_rounds=self.calling.max_rounds,
            on_limit=self.calling.on_round_limit,
        )

    def decide(self, calls: Sequence[Call], decisions: Decisions) -> Deciding:
        """Decide which calls may run, or say which of them have to wait for a person.

        What is not among the outcome may: nobody has to decide on it.
        """
        decided: dict[int, bool | str] = {}
        undecided: list[Call] = []
        for call in calls:
            verdict: Any = decisions.get(call.index)
            if verdict is None:
                if call.name not in self._guarded:
                    continue  # an unknown name runs nothing; it is answered with an error
                if self.calling.approve is not None:
                    verdict = yield from self._asked(call, self.calling.approve)
                if verdict is None:
                    undecided.append(call)
                    continue
            decided[call.index] = verdict
        return Waiting(tuple(undecided), decided) if undecided else decided

    @staticmethod
    def _asked(call: Call, approve: Callable[[Call], Any]) -> Generator[Invoke, Any, Any]:
        verdict = yield _hook(approve, (call,))
        if verdict is None or isinstance(verdict, bool | str):
            return verdict
        raise InvalidContent("$.approve(…)", verdict, "True, False, a reason not to, or None")

    def in_order(
        self,
        calls: Sequence[Call],
        decided: Decisions,
        cancel: Cancel,
        note: Note,
        earlier: Mapping[int, Object | None] = _NOTHING,
    ) -> CallSteps:
        """Answer calls one after another, as steps, noting each; give the parts by index.

        Args:
            calls: What is to be run.
            decided: As ``decide`` has it.
            cancel: Once it is raised, no call begins.
            note: Told of the part that answers a call.
            earlier: By index, what a call gave that has run in an earlier try.

        Raises:
            ToolError: A function failed, and the session wants to know.
            TurnCancelled: The turn was cancelled between two calls.
            Exception: What a hook raises, as it is.
        """
        parts: dict[int, Object] = {}
        for call in calls:
            if cancel.reason is not None:
                raise TurnCancelled(cancel.reason)
            index, made, failure = call.index, call, None
            if index in earlier:
                told = _told_before(earlier[index])
            else:
                try:
                    function = self._function(call, decided.get(index, True))
                    if self.calling.before_call is not None:
                        made = yield from self._changed_before(call, self.calling.before_call)
                    step = self._invocation(made, function)
                except Declined as declined:
                    told, failure = declined.told, declined.failure
                else:
                    if self.notes is not None:
                        yield Invoke(self.notes.begin, (call,), {})
                    try:
                        told = yield step
                    except Exception as error:
                        told, failure = told_of(error), error
            if self.calling.after_call is not None:
                told = yield from self._changed_after(call, made, told, failure, note)
            parts[index] = self._answered(call, told, failure, note)
        return parts

    def _answered(self, call: Call, told: Told, failure: Exception | None, note: Note) -> Object:
        """Return the part that answers a call, once it is noted; then a failure is told."""
        part = result_part(call, *told)
        note(call.index, part)
        self.unseen.discard(call.index)
        if self.notes is not None:
            self.notes.returned(call, part)
        if failure is not None:
            self._tell_failure(call, failure, part)
        return part

    def _tell_failure(self, call: Call, failure: Exception, part: Object) -> None:
        """Tell the program that a function failed, or its log."""
        if self.calling.on_tool_error == "raise":
            reason = f"{type(failure).__name__}: {message_of(failure)}"
            raise ToolError(call, reason, part) from failure
        log_failure(call, failure)

    def _function(self, call: Call, verdict: bool | str) -> ToolFunction:
        """Return the function that a call is for, or raise why it is not made."""
        if verdict is not True:
            raise Declined("Refused", verdict or "the user did not allow it")
        if (function := self.functions.get(call.name)) is None:
            known = ", ".join(sorted(self.functions)) or "none"
            raise Declined("UnknownFunction", f"no function {call.name!r}; there are: {known}")
        if not isinstance(call.args, dict):
            mismatch = ArgumentMismatch("$", call.args, "an object with the arguments by name")
            raise Declined("ArgumentMismatch", str(mismatch))
        return function

    @staticmethod
    def _changed_before(
        call: Call, before_call: Callable[[Call], Any]
    ) -> Generator[Invoke, Any, Call]:
        """Return the call with the arguments that the hook leaves."""
        seen = call._replace(args=copy_json(call.args))
        changed = yield _hook(before_call, (seen,))
        if isinstance(changed, Refusal):
            raise Declined("Refused", changed.reason)
        if changed is not None and not isinstance(changed, Mapping):
            raise InvalidContent("$.before_call(…)", changed, "None, arguments or a Refusal")
        return call if changed is None else call._replace(args=dict(changed))

    def _changed_after(
        self, call: Call, made: Call, told: Told, failure: Exception | None, note: Note
    ) -> Generator[Invoke, Any, Told]:
        """Return what the hook leaves of what the model is told.

        What the call gave is noted before, since the hook may fail, or take long.
        """
        calling, ended = self.calling, EndedCall(*made)
        ended.error = failure
        part = result_part(call, *told)
        if failure is None:
            self.unseen.add(call.index)
        note(call.index, part)
        if self.notes is not None:
            self.notes.returned(call, part)
        assert calling.after_call is not None
        seen = ended, copy_json(told[0])
        try:
            changed = yield _hook(calling.after_call, seen, _changed, calling.max_result_bytes)
        except Exception as error:
            if failure is None:
                raise
            try:
                self._tell_failure(call, failure, part)
            except ToolError as told_error:
                too = f"{type(error).__name__}: {message_of(error)}"
                told_error.add_note(f"after_call failed too: {too}")
                raise
            raise error from failure
        return told if changed is None else (changed[0], [*told[1], *changed[1]])

    def _invocation(self, call: Call, function: ToolFunction) -> Invoke:
        """Return the call with the function's own arguments."""
        calling, args = self.calling, call.args
        injected = calling.injected
        if function.wants_call or function.wants_session:
            own = dict.fromkeys(function.wants_call, call)
            injected = {**own, **dict.fromkeys(function.wants_session, self.session), **injected}
        if function.wants_call or calling.after_call is not None:
            args = copy_json(args)  # the function may change what it is given; others see it, too
        try:
            values, named = function.bind(args, injected)
        except ArgumentMismatch as mismatch:
            raise Declined("ArgumentMismatch", str(mismatch)) from None
        except Exception as error:  # code of a class that is an argument's
            raise Declined(type(error).__name__, message_of(error), error) from error
        limit, is_async = calling.max_result_bytes, function.is_async
        return Invoke(function.function, values, named, tool_result, limit, call, is_async)

    def unknown(self, call: Call) -> Object:
        """Return the part that answers a call whose end an earlier try did not see."""
        message = (
            "an earlier try of this call was interrupted, and whether it took effect is not known"
        )
        return result_part(call, error_object("OutcomeUnknown", message))


def _told_before(part: Object | None) -> Told:
    """Return what a call gave, of the part that was recorded."""
    answer = (part or {}).get("functionResponse") or {}
    return answer.get("response") or {}, answer.get("parts") or []


def _declared_names(tools: Sequence[Object]) -> frozenset[str]:
    return frozenset(
        [
            str(declaration.get("name"))
            for tool in tools
            for declaration in tool.get("functionDeclarations") or ()
        ]
    )


def _hook(
    hook: Callable[..., Any],
    args: tuple[Any, ...],
    finish: Callable[[Any, int], Any] = _as_it_is,
    max_bytes: int = 2**20,
) -> Invoke:
    return Invoke(hook, args, {}, finish, max_bytes, is_async=is_async_function(hook))


def _changed(value: Any, max_bytes: int) -> Told | None:
    return None if value is None else tool_result(value, max_bytes)
