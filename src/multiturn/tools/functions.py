"""The functions among a model's tools, ready to be called with what a model sends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

from multiturn.calls import Call
from multiturn.errors import UsageError, safe_repr
from multiturn.messages.message import Object
from multiturn.tools.async_values import is_async_function
from multiturn.tools.declarations import CallableFunctionDeclaration
from multiturn.tools.function_library import to_function_library

Bind: TypeAlias = Callable[[Object, Mapping[str, Any]], tuple[Sequence[Any], Mapping[str, Any]]]
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_APPROVAL_MARK = "__multiturn_requires_approval__"


def requires_approval(function: FunctionT) -> FunctionT:
    """Mark a function that a person must approve each time the model wants to call it.

    Raises:
        UsageError: It takes no marks, as bound methods and what is built in.
    """
    try:
        setattr(function, _APPROVAL_MARK, True)
    except AttributeError:
        raise UsageError(
            f"{safe_repr(function)} cannot be marked; mark the function that it comes from, or "
            "decide with the option approve=…"
        ) from None
    return function


class ToolFunction(NamedTuple):
    """A function that can be called from here.

    Attributes:
        function: The function itself.
        bind: Turns the arguments of a call, and the injected ones by name, into those of
            the function, positional ones first; raises ArgumentMismatch with what does
            not fit.
        is_async: Whether calling it gives async code, as far as is known before.
        requires_approval: Whether a person must approve each call.
        takes: Parameters that the program gives, by ``injected``.
        demanded: Those of them that must be given a value.
        wants_call: Parameters that are given the Call.
        wants_session: Parameters that are given the session.
    """

    function: Callable[..., Any]
    bind: Bind
    is_async: bool = False
    requires_approval: bool = False
    takes: frozenset[str] = frozenset()
    demanded: frozenset[str] = frozenset()
    wants_call: frozenset[str] = frozenset()
    wants_session: frozenset[str] = frozenset()


def functions_in(tools: Any) -> dict[str, ToolFunction]:
    """Return the functions among tools of any form, by the names the model knows."""
    library = to_function_library(tools)
    if library is None:
        return {}
    if library.functions is None:
        library.functions = {
            declared.name: _tool_function(declared)
            for declared in library.declarations
            if isinstance(declared, CallableFunctionDeclaration)
        }
    return library.functions


def _tool_function(declared: CallableFunctionDeclaration) -> ToolFunction:
    from multiturn.chat import ChatSession
    from multiturn.schema import function_schema

    function = declared.function
    marked, is_async = bool(getattr(function, _APPROVAL_MARK, False)), is_async_function(function)
    try:
        schema = function_schema(function, name=declared.name)
    except UsageError:
        # Declared by hand, since its signature says too little: the arguments go in as sent.
        takes = _named_parameters(function) - _declared_parameters(declared)
        return ToolFunction(function, partial(_as_sent, takes), is_async, marked, takes)
    wants_call = _of_type(schema.injected, Call)
    wants_session = _of_type(schema.injected, ChatSession)
    takes = frozenset(schema.injected)
    demanded = schema.demanded - wants_call - wants_session
    return ToolFunction(
        function, schema.bind, is_async, marked, takes, demanded, wants_call, wants_session
    )


def _as_sent(
    takes: frozenset[str], args: Object, injected: Mapping[str, Any]
) -> tuple[tuple[()], dict[str, Any]]:
    return (), {**args, **{name: injected[name] for name in takes if name in injected}}


def _named_parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return the parameters of a function that have a name; what ``**`` takes has none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return frozenset()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(parameter.name for parameter in parameters if parameter.kind in kinds)


def _declared_parameters(declared: CallableFunctionDeclaration) -> frozenset[str]:
    told = declared.to_proto().json_object
    schema = told.get("parameters") or told.get("parametersJsonSchema") or {}
    return frozenset(schema.get("properties") or ())


def _of_type(injected: Mapping[str, Any], wanted: type) -> frozenset[str]:
    return frozenset(
        name
        for name, kind in injected.items()
        if isinstance(kind, type) and issubclass(kind, wanted)
    )
