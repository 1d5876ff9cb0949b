"""How the functions that a model calls are run: the options of a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

from multiturn.calls import Call, EndedCall, OnLimit
from multiturn.checks import one_of, seconds, unknown, whole
from multiturn.errors import InvalidContent


class Refusal(NamedTuple):
    """What ``before_call`` returns so that a call is not made; the model is told why."""

    reason: str


BeforeCall: TypeAlias = Callable[[Call], "Mapping[str, Any] | Refusal | Any | None"]
AfterCall: TypeAlias = Callable[[EndedCall, dict[str, Any]], "Mapping[str, Any] | Any | None"]
Approve: TypeAlias = Callable[[Call], "bool | str | Any | None"]


class CallingOptions(TypedDict, total=False):
    """How functions are run; each has a default.

    Attributes:
        tool_mode: "sequential", one after another in the order of the calls (the
            default), or "concurrent", those of one reply at once.
        max_concurrent_calls: How many run at once at most; 16.
        max_rounds: How often the model is asked within one turn; 10.
        on_round_limit: "raise" TooManyRounds (the default), or ask for a last "answer"
            without functions.
        on_tool_error: What becomes of a function's exception: a "result" that the model
            reads, with the error's type and message (the default; the log
            ``multiturn.tools`` has the traceback), or "raise" ToolError, which ends the
            turn and leaves the history as it was.
        tool_timeout_seconds: A call that takes longer becomes an error result, and its
            thread is left behind.  None (the default) sets no limit, and lets functions
            that are not async run in the caller's own thread in blocking code.
        max_result_bytes: A result whose JSON is larger becomes an error; 1 MiB.
        before_call: Called with each Call before it is made; returns None to go on,
            other arguments as a dict, or a Refusal.
        after_call: Called with each call, whose ``error`` is what the function raised, and
            the response to it, errors and refusals included; returns None to keep it, or
            another one.
        approve: Asked for each call: True to run it, False or a reason not to, None to
            let the turn wait for a person; what it raises ends the turn.  Without it,
            only functions marked with ``requires_approval`` wait.
        injected: Values of the parameters that the model never sees, by name; kept, not
            copied.

    The hooks may be async; what they raise ends the turn.  If it can go on, what a
    function gave is kept until then, and ``after_call`` sees it.
    """

    tool_mode: Literal["sequential", "concurrent"]
    max_concurrent_calls: int
    max_rounds: int
    on_round_limit: OnLimit
    on_tool_error: Literal["result", "raise"]
    tool_timeout_seconds: float | None
    max_result_bytes: int
    before_call: BeforeCall | None
    after_call: AfterCall | None
    approve: Approve | None
    injected: Mapping[str, Any]


class Calling(NamedTuple):
    """The options with their defaults filled in; meanings as in ``CallingOptions``."""

    tool_mode: Literal["sequential", "concurrent"] = "sequential"
    max_concurrent_calls: int = 16
    max_rounds: int = 10
    on_round_limit: OnLimit = "raise"
    on_tool_error: Literal["result", "raise"] = "result"
    tool_timeout_seconds: float | None = None
    max_result_bytes: int = 2**20
    before_call: BeforeCall | None = None
    after_call: AfterCall | None = None
    approve: Approve | None = None
    injected: Mapping[str, Any] = {}


# The other arguments with which a conversation begins.
_OF_CHATS = (
    "history", "enable_automatic_function_calling", "request_options", "session", "store",
    "busy", "unfinished",
)  # fmt: skip


def _hook(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise InvalidContent(name, value, "a function, or None")


def _by_names(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise InvalidContent(name, value, "values by names of parameters")


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "tool_mode": partial(one_of, choices=("sequential", "concurrent")),
    "max_concurrent_calls": whole,
    "max_rounds": whole,
    "on_round_limit": partial(one_of, choices=("raise", "answer")),
    "on_tool_error": partial(one_of, choices=("result", "raise")),
    "tool_timeout_seconds": partial(seconds, or_none=True),
    "max_result_bytes": whole,
    "before_call": _hook,
    "after_call": _hook,
    "approve": _hook,
    "injected": _by_names,
}


def calling_of(options: CallingOptions) -> Calling:
    """Return the options with defaults.

    Raises:
        InvalidContent: An option is not known, or its value is none of the choices, no
            count, or cannot be called.
    """
    for name, value in options.items():
        if name not in _CHECKS:
            raise unknown(name, value, (*_OF_CHATS, *_CHECKS))
        _CHECKS[name](name, value)
    return Calling(**options)
