"""Names of types that Python looks into late, and type variables: what they stand for."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from multiturn.schema.shape import Refusal


def is_alias(annotation: Any) -> bool:
    """Return whether it was made with the ``type`` statement (Python 3.12), bare."""
    # By its name, so that the one of typing_extensions counts too.
    return type(annotation).__name__ == "TypeAliasType"


def meaning(annotation: Any) -> Any:
    """Return what an alias, with arguments or without, stands for; another alias perhaps.

    Raises:
        Refusal: A name in it cannot be found, or it takes any number of types.
    """
    alias = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    return substituted(evaluated(alias, "__value__"), bound(alias.__type_params__, arguments))


def evaluated(owner: Any, attribute: str) -> Any:
    """Return what stands behind an attribute that Python evaluates when it is first read.

    Raises:
        Refusal: It cannot be evaluated; says why.
    """
    try:
        return getattr(owner, attribute)
    except NameError as error:
        raise Refusal(
            f"{owner.__name__} names {error.name!r}, which cannot be found; define or import it "
            "at the top level of the module, not only for type checkers"
        ) from None
    except Exception as error:
        raise Refusal(f"{owner.__name__} cannot be evaluated: {error}") from None


def bound(variables: tuple[Any, ...], arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Return what type variables stand for, those without an argument left out."""
    if arguments and any(isinstance(one, typing.TypeVarTuple) for one in variables):
        raise Refusal("type parameters of any number (*Ts) have no form in JSON; list the types")
    return dict(zip(variables, arguments, strict=False))


def substituted(annotation: Any, bindings: Mapping[Any, Any]) -> Any:
    """Return an annotation with type variables replaced by what they stand for."""
    if isinstance(annotation, typing.TypeVar):
        return bindings.get(annotation, annotation)
    variables = getattr(annotation, "__parameters__", ())
    if variables and not isinstance(annotation, type) and any(v in bindings for v in variables):
        return annotation[tuple(bindings.get(v, v) for v in variables)]
    return annotation


def type_variables_of(cls: type) -> dict[str, Any]:
    """Return the type variables that ``class C[T]`` and its bases declare, by name."""
    return {v.__name__: v for base in cls.__mro__ for v in vars(base).get("__type_params__", ())}
