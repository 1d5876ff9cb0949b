"""The functions among a model's tools, ready to be called with what a model sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from multiturn.declarations import CallableFunctionDeclaration
from multiturn.errors import UsageError
from multiturn.function_library import to_function_library
from multiturn.message import Object

Bind: TypeAlias = Callable[[Object, Mapping[str, Any]], tuple[Sequence[Any], Mapping[str, Any]]]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_APPROVAL_MARK = "__multiturn_requires_approval__"


def requires_approval(function: FunctionT) -> FunctionT:
    """Mark a function that a person must approve each time the model wants to call it."""
    setattr(function, _APPROVAL_MARK, True)
    return function


class ToolFunction(NamedTuple):
    """A function that can be called from here.

    Attributes:
        function: The function itself.
        bind: Turns the arguments of a call, and the injected ones by name, into those of
            the function, positional ones first; raises UsageError with what does not fit.
        requires_approval: Whether a person must approve each call.
    """

    function: Callable[..., Any]
    bind: Bind
    requires_approval: bool


def functions_in(tools: Any) -> dict[str, ToolFunction]:
    """Return the functions among tools of any form, by the names the model knows."""
    library = to_function_library(tools)
    found: dict[str, ToolFunction] = {}
    for declared in library.declarations if library else ():
        if isinstance(declared, CallableFunctionDeclaration):
            marked = bool(getattr(declared.function, _APPROVAL_MARK, False))
            found[declared.name] = ToolFunction(declared.function, _binder(declared), marked)
    return found


def _binder(declared: CallableFunctionDeclaration) -> Bind:
    from multiturn.schema import function_schema

    try:
        return function_schema(declared.function).bind
    except UsageError:
        # Declared by hand, since its signature says too little: the arguments go in as sent.
        return lambda args, injected: ((), {**args, **injected})
