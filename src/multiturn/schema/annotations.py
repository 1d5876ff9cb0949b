"""From a Python annotation to its shape."""

from __future__ import annotations

import collections
import dataclasses
import enum
import inspect
import numbers
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from typing import Any, ForwardRef

from multiturn.schema.aliases import evaluated, is_alias, meaning
from multiturn.schema.choices import enum_shape, literal_shape
from multiturn.schema.classes import (
    fields_of,
    is_record,
    is_typed_dict,
    module_scope,
)
from multiturn.schema.containers import ListShape, MapShape, TupleShape
from multiturn.schema.docstrings import class_docstring
from multiturn.schema.limits import annotated
from multiturn.schema.pydantic_models import PydanticShape, is_pydantic
from multiturn.schema.records import RecordShape
from multiturn.schema.scalars import ANY, SCALARS
from multiturn.schema.shape import Refusal, Shape
from multiturn.schema.unions import NamedShape, union_of

Scope = Mapping[str, Any]

_LISTS: dict[Any, tuple[Callable[[list[Any]], Any], bool]] = {
    list: (list, False),
    abc.Sequence: (list, False),
    abc.MutableSequence: (list, False),
    abc.Iterable: (list, False),
    abc.Collection: (list, False),
    abc.Container: (list, False),
    abc.Reversible: (list, False),
    abc.Iterator: (iter, False),
    collections.deque: (collections.deque, False),
    set: (set, True),
    abc.Set: (set, True),
    abc.MutableSet: (set, True),
    frozenset: (frozenset, True),
}
_MAPS: dict[Any, Callable[[dict[Any, Any]], Any]] = {
    dict: dict,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: lambda members: collections.defaultdict(None, members),
    collections.Counter: collections.Counter,
}
_NUMBERS: dict[Any, type] = {
    numbers.Number: float,
    numbers.Complex: float,
    numbers.Real: float,
    numbers.Rational: float,
    numbers.Integral: int,
}
# Wrappers that say something of a place and nothing of the value, by their name, so
# that those of typing_extensions count too.
_TRANSPARENT = {"Required", "NotRequired", "ReadOnly", "Final", "ClassVar", "TypeGuard"}
_ADVICE = (
    "use a dataclass, a TypedDict or a pydantic model for it, or mark the parameter "
    "Annotated[…, Injected] and give it yourself"
)
ENDLESS = "its annotation contains itself in ever new forms, or is too deep; name fewer types"


def resolved(annotation: Any, scope: Scope) -> Any:
    """Return an annotation with the names in its strings looked up.

    Raises:
        Refusal: A name is not in the scope, or a string is not an annotation.
    """
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, dict(scope), include_extras=True)["it"]
    except NameError as error:
        raise Refusal(
            f"its annotation names {error.name!r}, which cannot be found; define or import it "
            "at the top level of the module, not only for type checkers"
        ) from None
    except SyntaxError:
        raise Refusal(f"its annotation {annotation!r} is not an expression") from None
    except (TypeError, AttributeError) as error:
        raise Refusal(f"its annotation {annotation!r} cannot be read: {error}") from None


class ShapeBuilder:
    """Builds the shapes of annotations; each recursive type once.  Belongs to one thread."""

    def __init__(self) -> None:
        self._named: dict[Any, NamedShape | RecordShape] = {}
        self._under_way: set[Any] = set()

    def build(self, annotation: Any, scope: Scope) -> Shape:
        """Return the shape of an annotation.

        Args:
            annotation: As it stands in the code, or as ``inspect`` gives it.
            scope: What names in strings mean.
        """
        if isinstance(annotation, str):
            annotation = ForwardRef(annotation)
        if isinstance(annotation, ForwardRef):
            text = annotation.__forward_arg__
            return self._alias(
                ("forward", text, id(scope)), text, lambda: resolved(annotation, scope), scope
            )
        origin = typing.get_origin(annotation)
        if is_alias(annotation if origin is None else origin):
            return self._of_alias(annotation, scope)
        if origin is not None:
            return self._of_form(annotation, origin, typing.get_args(annotation), scope)
        try:
            return SCALARS.get(annotation) or self._of_name(annotation, scope)
        except TypeError as error:
            raise Refusal(f"{annotation!r} is not a type: {error}") from None

    def _of_form(self, annotation: Any, origin: Any, args: tuple[Any, ...], scope: Scope) -> Shape:
        """Return the shape of a form with arguments, as ``list[int]``."""
        name = getattr(origin, "_name", None) or getattr(origin, "__name__", "")
        if origin is typing.Annotated:
            validated = any(is_pydantic(item) for item in args[1:])
            inner = PydanticShape(annotation) if validated else self.build(args[0], scope)
            return annotated(inner, args[1:])
        if origin in (typing.Union, types.UnionType):
            return union_of([self.build(arg, scope) for arg in args])
        if name == "Literal":
            return literal_shape(args)
        if name in _TRANSPARENT:
            return self.build(args[0], scope)
        if origin in SCALARS:
            return SCALARS[origin]
        if origin is tuple:
            return self._tuple(args, scope)
        if origin in _LISTS or origin in _MAPS:
            return self._container(origin, args, scope)
        if is_pydantic(origin):
            return PydanticShape(annotation)
        if isinstance(origin, type) and is_record(origin):
            return self._record(origin, args)
        raise Refusal(f"{_shown(annotation)} has no form in JSON; {_ADVICE}")

    def _of_alias(self, annotation: Any, scope: Scope) -> Shape:
        """Return the shape of a name made with ``type``, with arguments or without."""
        alias = typing.get_origin(annotation) or annotation
        own = {**module_scope(alias), **scope}
        key = (alias, repr(typing.get_args(annotation)))
        return self._alias(key, alias.__name__, lambda: resolved(meaning(annotation), own), own)

    def _of_name(self, annotation: Any, scope: Scope) -> Shape:
        """Return the shape of a class, or of a name that is not subscripted."""
        if isinstance(annotation, dataclasses.InitVar):
            return self.build(annotation.type, scope)
        if hasattr(annotation, "__supertype__"):  # NewType
            return self.build(annotation.__supertype__, scope)
        if isinstance(annotation, typing.TypeVar):
            return self._type_variable(annotation, scope)
        if annotation in _NUMBERS:
            return SCALARS[_NUMBERS[annotation]]
        if annotation is tuple:
            return ListShape(ANY, tuple)
        if annotation in _LISTS or annotation in _MAPS:
            return self._container(annotation, (), scope)
        if getattr(annotation, "_name", getattr(annotation, "__name__", "")) == "LiteralString":
            return SCALARS[str]
        if isinstance(annotation, type):
            return self._class(annotation)
        raise Refusal(f"{_shown(annotation)} has no form in JSON; {_ADVICE}")

    def _class(self, cls: type) -> Shape:
        if issubclass(cls, enum.Enum):
            return enum_shape(cls, class_docstring(cls).description)
        if is_pydantic(cls):
            return PydanticShape(cls)
        if is_record(cls):
            return self._record(cls, ())
        known = next(
            (base for base in cls.__mro__[1:] if base in SCALARS and base is not object), None
        )
        if known is not None:
            raise Refusal(
                f"{cls.__name__} is a {known.__name__} of its own, which JSON cannot tell apart; "
                f"take {known.__name__}, or NewType"
            )
        raise Refusal(f"JSON cannot describe an object of {cls.__name__}; {_ADVICE}")

    def _container(self, origin: Any, args: tuple[Any, ...], scope: Scope) -> Shape:
        places = ("[]",) if origin in _LISTS else ("[key]", "[value]")
        inner = [self._inside(place, arg, scope) for place, arg in zip(places, args, strict=False)]
        if origin in _LISTS:
            build, unique = _LISTS[origin]
            return ListShape(inner[0] if inner else ANY, build, unique)
        if origin is collections.Counter:
            inner.append(SCALARS[int])
        key, value = inner if len(inner) == 2 else (SCALARS[str], ANY)
        return MapShape(key, value, _MAPS[origin])

    def _inside(self, place: str, annotation: Any, scope: Scope) -> Shape:
        try:
            return self.build(annotation, scope)
        except Refusal as refusal:
            raise refusal.inside(place) from None

    def _tuple(self, args: tuple[Any, ...], scope: Scope) -> Shape:
        if len(args) == 2 and args[1] is Ellipsis:
            return ListShape(self._inside("[]", args[0], scope), tuple)
        if any(
            typing.get_origin(arg) is typing.Unpack or isinstance(arg, typing.TypeVarTuple)
            for arg in args
        ):
            raise Refusal("a tuple with an unpacked part has no form in JSON; use tuple[T, ...]")
        return TupleShape(self._inside(f"[{i}]", arg, scope) for i, arg in enumerate(args))

    def _type_variable(self, variable: typing.TypeVar, scope: Scope) -> Shape:
        if getattr(variable, "has_default", bool)():
            return self.build(evaluated(variable, "__default__"), scope)
        if constraints := evaluated(variable, "__constraints__"):
            return union_of([self.build(constraint, scope) for constraint in constraints])
        bound = evaluated(variable, "__bound__")
        return ANY if bound is None else self.build(bound, scope)

    def _alias(self, key: Any, name: str, target: Callable[[], Any], scope: Scope) -> Shape:
        named = self._named.get(key)
        if named is None:
            word = name if name.isidentifier() else "Value"
            named = self._named[key] = shape = NamedShape(word)
            self._under_way.add(key)
            shape.name(self.build(target(), scope))
            self._under_way.discard(key)
        elif key in self._under_way:
            named.recursive = True
        return named.result if isinstance(named, NamedShape) else named

    def _record(self, cls: type, args: tuple[Any, ...]) -> Shape:
        key = (cls, repr(args))  # arguments may have no hash, as Annotated with a list
        named = self._named.get(key)
        if named is None:
            doc = class_docstring(cls)
            named = self._named[key] = record = RecordShape(
                cls.__name__,
                None if is_typed_dict(cls) else cls,
                doc.description,
                cls.__hash__ is not None and not is_typed_dict(cls),
            )
            self._under_way.add(key)
            record.fill(fields_of(cls, args, doc, self))
            self._under_way.discard(key)
        elif key in self._under_way:
            named.recursive = True
        return named


def _shown(annotation: Any) -> str:
    text = inspect.formatannotation(annotation)
    return text.removeprefix("collections.abc.").removeprefix("typing.")
