"""The members of classes that are records: dataclasses, TypedDicts, named tuples, attrs."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from multiturn.schema.aliases import bound, substituted, type_variables_of
from multiturn.schema.docstrings import Docstring
from multiturn.schema.records import Field, describe_default
from multiturn.schema.result import to_json
from multiturn.schema.shape import MISSING, Refusal
from multiturn.schema.signature import signature_of

if TYPE_CHECKING:
    from multiturn.schema.annotations import ShapeBuilder


def is_typed_dict(cls: type) -> bool:
    """Return whether a class is a TypedDict, of typing or of typing_extensions."""
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def is_record(cls: type) -> bool:
    """Return whether the members of a class can be known."""
    return (
        is_typed_dict(cls)
        or dataclasses.is_dataclass(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or hasattr(cls, "__attrs_attrs__")
    )


def fields_of(
    cls: type, args: tuple[Any, ...], doc: Docstring, builder: ShapeBuilder
) -> list[Field]:
    """Return the members of a record class.

    Args:
        cls: The class.
        args: What its type variables stand for.
        doc: Its docstring, for descriptions.
        builder: Builds the shapes of the members.
    """
    hints = _hints(cls)
    bindings = _bindings(cls, args)
    members = _of_typed_dict(cls, hints) if is_typed_dict(cls) else _of_constructor(cls)
    scope = module_scope(cls)
    fields = []
    for name, argument, required, default, metadata in members:
        hint = substituted(hints.get(argument, hints.get(f"_{argument}", Any)), bindings)
        try:
            shape = builder.build(hint, scope)
        except Refusal as refusal:
            raise refusal.inside(name) from None
        text = metadata.get("description") or doc.parameters.get(name, "")
        fields.append(Field(name, shape, required, default, text, argument))
    return fields


def module_scope(named: Any) -> dict[str, Any]:
    """Return the names of the module that defines something, none if it is not loaded."""
    module = sys.modules.get(getattr(named, "__module__", ""))
    return {} if module is None else vars(module)


def _hints(cls: type) -> dict[str, Any]:
    # Python 3.12.1 does not look for the type variables of ``class C[T]`` by itself.
    variables = type_variables_of(cls)
    try:
        return typing.get_type_hints(
            cls, localns={**vars(cls), **variables} if variables else None, include_extras=True
        )
    except NameError as error:
        raise Refusal(
            f"an annotation of {cls.__name__} names {error.name!r}, which cannot be found; "
            "define or import it at the top level of the module, not only for type checkers"
        ) from None
    except (SyntaxError, TypeError) as error:
        raise Refusal(f"an annotation of {cls.__name__} cannot be read: {error}") from None


_Member = tuple[str, str, bool, Any, Mapping[str, Any]]


def _of_typed_dict(cls: Any, hints: Mapping[str, Any]) -> Iterator[_Member]:
    for name, hint in hints.items():
        required, form = name in cls.__required_keys__, hint
        while (mark := getattr(typing.get_origin(form), "_name", "")) in _MARKS:
            said = _MARKS[mark]
            required = required if said is None else said
            form = typing.get_args(form)[0]
        yield name, name, required, MISSING, {}


# String annotations hide these from ``__required_keys__``.
_MARKS: dict[str, bool | None] = {"Required": True, "NotRequired": False, "ReadOnly": None}


def _of_constructor(cls: Any) -> Iterator[_Member]:
    declared = {field.name: field for field in getattr(cls, "__dataclass_fields__", {}).values()}
    for name, parameter in signature_of(cls).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Refusal(f"the constructor of {cls.__name__} takes *{name}, which has no schema")
        given = parameter.default
        required = given is parameter.empty
        metadata = declared[name].metadata if name in declared else {}
        field = declared.get(name)
        if field is not None and field.default_factory is not dataclasses.MISSING:
            default = MISSING
        else:
            default = MISSING if required else describe_default(given, to_json)
        yield name, name, required, default, metadata


def _bindings(cls: Any, args: tuple[Any, ...]) -> dict[Any, Any]:
    """Return what each type variable of a class and its bases stands for."""
    variables = getattr(cls, "__parameters__", ()) or getattr(cls, "__type_params__", ())
    bindings = bound(variables, args)
    for base in getattr(cls, "__orig_bases__", ()):
        origin = typing.get_origin(base)
        if origin is not None and origin not in (typing.Generic, typing.Protocol):
            inner = tuple(substituted(arg, bindings) for arg in typing.get_args(base))
            bindings = _bindings(origin, inner) | bindings
    return bindings
