"""What can be known of a callable: its name, signature, text and where its names come from."""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any, cast

from multiturn.schema.aliases import type_variables_of
from multiturn.schema.docstrings import own_text
from multiturn.schema.shape import Refusal


def name_of(function: Any) -> str:
    """Return the name that a callable goes by."""
    function = _without_partial(function)
    name = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else str(name)


def why_not_callable(value: object) -> str:
    """Return what to say of a value that cannot be called."""
    if isinstance(value, classmethod | staticmethod):
        return "it is the descriptor, not the method; take it from the class, as Class.method"
    return f"an object of {type(value).__name__} cannot be called"


def signature_of(function: Any) -> inspect.Signature:
    """Return the signature of a callable, or refuse it."""
    try:
        return inspect.signature(_without_deprecation(function))
    except NameError as error:  # annotations that are looked up late (Python 3.14)
        raise Refusal(f"an annotation names {error.name!r}, which cannot be found") from None
    except (ValueError, TypeError):
        raise Refusal(
            "Python does not know its signature, as it is built in; wrap it in a function with "
            "annotated parameters"
        ) from None


def _without_deprecation(function: Any) -> Any:
    """Return what takes the arguments: ``@deprecated`` puts a ``__new__`` before ``__init__``."""
    if isinstance(function, type):
        maker: Any = function.__new__
        if maker is not object.__new__ and inspect.unwrap(maker) is object.__new__:
            return types.MethodType(cast(Any, function).__init__, function)
    return function


def source_of(function: Any) -> Any:
    """Return the plain function whose signature is seen."""
    function = inspect.unwrap(_without_partial(function))
    if isinstance(function, type):
        function = vars(function).get("__init__", function)
    elif not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = type(function).__call__
    return inspect.unwrap(getattr(function, "__func__", function))


def arguments_of(source: Any) -> tuple[str, ...]:
    """Return the names of all parameters of a plain function, those fixed beforehand too."""
    code = getattr(source, "__code__", None)
    return () if code is None else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def is_dispatching(function: Any) -> bool:
    """Return whether it is a ``functools.singledispatch``, whose first argument has no name."""
    return hasattr(function, "dispatch") and hasattr(function, "registry")


def names_around(function: Any) -> dict[str, Any]:
    """Return the names that a callable can use: its module's, its class's, those it encloses."""
    source = source_of(function)
    names = getattr(getattr(source, "__code__", None), "co_freevars", ())
    found = dict(getattr(source, "__globals__", {}))
    owner = getattr(function, "__self__", None)
    found |= type_variables_of(owner if isinstance(owner, type) else type(owner))
    found |= {variable.__name__: variable for variable in getattr(source, "__type_params__", ())}
    for name, cell in zip(names, getattr(source, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    return found


def doc_of(function: Any) -> str | None:
    """Return the docstring of a callable; of an object, its ``__call__``'s before its class's."""
    function = _without_partial(function)
    if isinstance(function, type):
        return own_text(function) or _constructor_text(function)
    if hasattr(function, "__name__"):
        return inspect.getdoc(function)
    own = inspect.getdoc(type(function).__call__)
    return own if own and own != type.__call__.__doc__ else inspect.getdoc(type(function))


def _constructor_text(cls: type) -> str | None:
    constructor = vars(cls).get("__init__")
    generated = not getattr(constructor, "__doc__", None) or hasattr(cls, "__attrs_attrs__")
    return None if generated else inspect.getdoc(constructor)


def is_async(function: Any) -> bool:
    """Return whether calling gives something to await, as far as can be told before."""
    function = _without_partial(function)
    if inspect.iscoroutinefunction(function):
        return True
    return not isinstance(function, type) and inspect.iscoroutinefunction(type(function).__call__)


def _without_partial(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
