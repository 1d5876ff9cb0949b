"""The functions of a session: what becomes of each call, as steps that run nothing.

Like a turn, a call is a generator: it yields an ``Invoke`` for each piece of the user's
code that has to run (hooks, the function itself), is sent what came of it, and returns
the part that answers the call.  ``run_calls.py`` carries the steps out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from multiturn.calling import Calling, CallingOptions, Refusal, calling_of
from multiturn.calls import Call, CallRules, result_part
from multiturn.errors import ToolError, UsageError
from multiturn.message import Object
from multiturn.tool_functions import ToolFunction, functions_in
from multiturn.tool_result import tool_result

# What is decided about calls, by their index: True, False, or a reason not to.
Decisions: TypeAlias = Mapping[int, "bool | str"]

# A model needs the gist; some libraries put whole documents into their messages.
_MESSAGE_CHARACTERS = 2_000


class Invoke(NamedTuple):
    """A piece of the user's code that has to run; async code is awaited.

    Attributes:
        function: What to call.
        args: With these.
        kwargs: And these.
        is_timed: Whether the session's time limit holds for it.
    """

    function: Callable[..., Any]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    is_timed: bool = False


CallSteps: TypeAlias = Generator[Invoke, Any, Object]
Deciding: TypeAlias = Generator[Invoke, Any, "dict[int, bool | str] | None"]


def toolbox_for(tools: Any, options: CallingOptions) -> Toolbox:
    """Return the functions among a model's tools, with a session's options."""
    return Toolbox(functions_in(tools), calling_of(options))


class Toolbox:
    """Functions by name, and how they are run; may be shared by threads."""

    def __init__(self, functions: Mapping[str, ToolFunction], calling: Calling) -> None:
        self.functions, self.calling = functions, calling

    def rules(self, tools: Iterable[Object]) -> CallRules:
        """Return what a turn may do about calls, given the tools the model is told of."""
        declared = {
            str(declaration.get("name"))
            for tool in tools
            for declaration in tool.get("functionDeclarations") or ()
        }
        return CallRules(
            runnable=frozenset(self.functions),
            declared=frozenset(declared | self.functions.keys()),
            max_rounds=self.calling.max_rounds,
            on_limit=self.calling.on_round_limit,
        )

    def decide(self, calls: Sequence[Call], decisions: Decisions) -> Deciding:
        """Decide which calls may run; None if one has to wait for a person."""
        decided: dict[int, bool | str] = {}
        for call in calls:
            verdict: Any = decisions.get(call.index)
            if verdict is None:
                verdict = yield from self._verdict(call)
            if verdict is None:
                return None
            decided[call.index] = verdict
        return decided

    def _verdict(self, call: Call) -> Generator[Invoke, Any, Any]:
        function = self.functions.get(call.name)
        if function is None:
            return True  # an unknown name runs nothing; it is answered with an error
        if self.calling.approve is not None:
            return (yield Invoke(self.calling.approve, (call,)))
        return None if function.requires_approval else True

    def answer(self, call: Call, verdict: bool | str) -> CallSteps:
        """Run one call and return the part that answers it.

        Raises:
            ToolError: The function failed, and the session wants to know.
        """
        try:
            response, media = yield from self._response(call, verdict)
        except UsageError as error:  # arguments that do not fit, a result that JSON cannot hold
            response, media = _error(type(error).__name__, str(error)), []
        except Exception as error:
            if self.calling.on_tool_error == "raise":
                raise ToolError(call, f"{type(error).__name__}: {error}") from error
            response, media = _error(type(error).__name__, str(error)), []
        return result_part(call, response, media)

    def _response(
        self, call: Call, verdict: bool | str
    ) -> Generator[Invoke, Any, tuple[Object, list[Object]]]:
        if verdict is not True:
            reason = verdict if isinstance(verdict, str) else "the user did not allow it"
            return _error("Refused", reason), []
        function = self.functions.get(call.name)
        if function is None:
            known = ", ".join(sorted(self.functions)) or "none"
            return _error("UnknownFunction", f"no function {call.name!r}; there are: {known}"), []
        if self.calling.before_call is not None:
            changed = yield Invoke(self.calling.before_call, (call,))
            if isinstance(changed, Refusal):
                return _error("Refused", changed.reason), []
            call = call if changed is None else call._replace(args=dict(changed))
        args, kwargs = function.bind(call.args, self.calling.injected)
        value = yield Invoke(function.function, args, kwargs, is_timed=True)
        response, media = tool_result(value, self.calling.max_result_bytes)
        if self.calling.after_call is not None:
            changed = yield Invoke(self.calling.after_call, (call, response))
            if changed is not None:
                response, more = tool_result(changed, self.calling.max_result_bytes)
                media = [*media, *more]
        return response, media


def _error(kind: str, message: str) -> Object:
    """What the model reads when a call did not work: never arguments, never a traceback."""
    return {"error": {"type": kind, "message": message[:_MESSAGE_CHARACTERS]}}
