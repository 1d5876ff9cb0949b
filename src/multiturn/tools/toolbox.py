"""The functions of a session: what becomes of each call, as steps that run nothing.

Like a turn, a call is a generator: it yields an ``Invoke`` for each piece of the user's
code that has to run (hooks, the function itself), is sent what came of it, and returns
the part that answers the call.  ``run_calls.py`` and ``run_calls_async.py`` carry the
steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from multiturn.calls import Call, CallRules, result_part
from multiturn.errors import ArgumentMismatch, InvalidContent, ToolError, UsageError
from multiturn.messages.message import Object, copy_json
from multiturn.request import made_of
from multiturn.tools.async_values import is_async_function
from multiturn.tools.calling import Calling, CallingOptions, Refusal, calling_of
from multiturn.tools.functions import ToolFunction, functions_in
from multiturn.tools.result import tool_result

if TYPE_CHECKING:
    from multiturn.chat import ChatSession

# What is decided about calls, by their index: True, False, or a reason not to.
Decisions: TypeAlias = Mapping[int, "bool | str"]
# What the model is told of a call, and the media that go beside it.
Told: TypeAlias = tuple[Object, list[Object]]

# A model needs the gist; some libraries put whole documents into their messages.
_MESSAGE_CHARACTERS = 2_000


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

    @property
    def is_call(self) -> bool:
        """Whether it is the function that the model called."""
        return self.call is not None


CallSteps: TypeAlias = Generator[Invoke, Any, Object]
Deciding: TypeAlias = Generator[Invoke, Any, "dict[int, bool | str] | None"]


class Declined(Exception):
    """A call is not made; the model is told so."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.told: Told = (_error(kind, message), [])


def toolbox_for(tools: Any, options: CallingOptions, session: ChatSession | None = None) -> Toolbox:
    """Return the functions among a model's tools, with a session's options.

    Raises:
        UsageError: An option has no known form, or a parameter that is injected has no value.
    """
    return Toolbox(functions_in(tools), calling_of(options), session)


class Toolbox:
    """Functions by name, and how they are run; may be shared by threads.

    Args:
        functions: By the names that the model knows.
        calling: How they are run.
        session: Given to functions that want it.
    """

    def __init__(
        self,
        functions: Mapping[str, ToolFunction],
        calling: Calling,
        session: ChatSession | None = None,
    ) -> None:
        self.functions, self.calling, self.session = functions, calling, session
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

    def rules(self, tools: Sequence[Object]) -> CallRules:
        """Return what a turn may do about calls, given the tools the model is told of."""
        return CallRules(
            runnable=frozenset(self.functions),
            declared=made_of(tools, _declared_names) | self.functions.keys(),
            max_rounds=self.calling.max_rounds,
            on_limit=self.calling.on_round_limit,
        )

    def decide(self, calls: Sequence[Call], decisions: Decisions) -> Deciding:
        """Decide which calls may run; None if one has to wait for a person."""
        decided: dict[int, bool | str] = {}
        for call in calls:
            verdict: Any = decisions.get(call.index)
            if verdict is None and call.name not in self._guarded:
                verdict = True  # an unknown name runs nothing; it is answered with an error
            elif verdict is None and self.calling.approve is not None:
                verdict = yield from self._asked(call, self.calling.approve)
            if verdict is None:
                return None
            decided[call.index] = verdict
        return decided

    @staticmethod
    def _asked(call: Call, approve: Callable[[Call], Any]) -> Generator[Invoke, Any, Any]:
        verdict = yield _hook(approve, (call,))
        if verdict is None or isinstance(verdict, bool | str):
            return verdict
        raise InvalidContent("$.approve(…)", verdict, "True, False, a reason not to, or None")

    def answer(self, call: Call, verdict: bool | str) -> CallSteps:
        """Run one call and return the part that answers it.

        Raises:
            ToolError: The function failed, and the session wants to know.
        """
        made, failure, calling = call, None, self.calling
        try:
            function = self.functions.get(call.name)
            if verdict is not True or function is None or not isinstance(call.args, dict):
                raise self._declined(call, verdict)
            if calling.before_call is not None:
                made = yield from self._changed_before(call, calling.before_call)
            told: Told = yield self._invocation(made, function)
        except Declined as declined:
            told = declined.told
        except Exception as error:
            told, failure = (_error_of(error), []), error
        if calling.after_call is not None:
            seen = (made, copy_json(told[0]))
            try:
                limit = calling.max_result_bytes
                changed = yield _hook(calling.after_call, seen, _changed, limit)
                told = told if changed is None else (changed[0], [*told[1], *changed[1]])
            except Exception as error:
                told, failure = (_error_of(error), []), error
        part = result_part(call, told[0], told[1])
        if failure is not None and calling.on_tool_error == "raise":
            reason = f"{type(failure).__name__}: {_message_of(failure)}"
            raise ToolError(call, reason, part) from failure
        return part

    def _declined(self, call: Call, verdict: bool | str) -> Declined:
        """Return why a call is not made."""
        if verdict is not True:
            return Declined("Refused", verdict or "the user did not allow it")
        if call.name not in self.functions:
            known = ", ".join(sorted(self.functions)) or "none"
            return Declined("UnknownFunction", f"no function {call.name!r}; there are: {known}")
        mismatch = ArgumentMismatch("$", call.args, "an object with the arguments by name")
        return Declined("ArgumentMismatch", str(mismatch))

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

    def _invocation(self, call: Call, function: ToolFunction) -> Invoke:
        """Return the call with the function's own arguments."""
        calling, args = self.calling, call.args
        injected = calling.injected
        wants_call = function.wants_call
        if wants_call or function.wants_session:
            own = dict.fromkeys(wants_call, call)
            injected = {**own, **dict.fromkeys(function.wants_session, self.session), **injected}
        if wants_call or calling.after_call is not None:
            args = copy_json(args)  # the function may change what it is given; others see it, too
        try:
            values, named = function.bind(args, injected)
        except ArgumentMismatch as mismatch:
            raise Declined("ArgumentMismatch", str(mismatch)) from None
        limit, is_async = calling.max_result_bytes, function.is_async
        return Invoke(function.function, values, named, tool_result, limit, call, is_async)

    def unknown(self, call: Call) -> Object:
        """Return the part that answers a call whose end an earlier try did not see."""
        message = (
            "an earlier try of this call was interrupted, and whether it took effect is not known"
        )
        return result_part(call, _error("OutcomeUnknown", message))


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


def _error(kind: str, message: str) -> Object:
    """What the model reads when a call did not work: never arguments, never a traceback."""
    text = message.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return {"error": {"type": kind, "message": text[:_MESSAGE_CHARACTERS]}}


def _error_of(error: Exception) -> Object:
    return _error(type(error).__name__, _message_of(error))


def _message_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return "its message cannot be shown"
