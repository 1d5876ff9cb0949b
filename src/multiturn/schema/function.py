"""What a model must know to call a function, and how its arguments become the function's."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from multiturn.errors import ArgumentMismatch, SchemaError, UsageError
from multiturn.messages.message import Object, copy_json
from multiturn.schema.aliases import is_alias, meaning
from multiturn.schema.annotations import ENDLESS, ShapeBuilder, resolved
from multiturn.schema.dialect import Dialect, for_dialect
from multiturn.schema.docstrings import parse_docstring
from multiturn.schema.pydantic_models import default_maker, is_field
from multiturn.schema.records import Field, RecordShape, describe_default
from multiturn.schema.result import to_json
from multiturn.schema.shape import MISSING, Definitions, Mismatch, Refusal, Shape
from multiturn.schema.signature import (
    arguments_of,
    doc_of,
    is_async,
    is_dispatching,
    name_of,
    names_around,
    signature_of,
    source_of,
    why_not_callable,
)

# What every provider takes (OpenAI: letters, digits, _ and -, at most 64; the Gemini API
# also wants a letter or _ first).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Injected:
    """Marks a parameter that the model never sees: ``Annotated[Session, Injected]``.

    Its value is given by the program when the function is called.  Types of which the
    program always has a value say so themselves, with ``__multiturn_injected__ = True``.
    """


@dataclass(frozen=True, slots=True)
class FunctionSchema:
    """A function as a model sees it, and back; immutable, safe to share between threads.

    Attributes:
        function: What is called.
        name: As the model calls it.
        description: What the model reads about it, "" for none.
        injected: Types of the parameters that the model never sees, by name.
        is_async: Whether calling the function gives something to await.
    """

    function: Callable[..., Any]
    name: str
    description: str
    injected: Mapping[str, Any]
    is_async: bool
    _plan: _Plan = field(repr=False)

    @property
    def demanded(self) -> frozenset[str]:
        """The injected parameters without a default."""
        return frozenset(self._plan.demanded)

    @property
    def parameters(self) -> Object:
        """JSON Schema (2020-12) of the arguments, an object; made anew."""
        return dict(copy_json(self._plan.schema))

    def parameters_for(self, dialect: Dialect) -> Object:
        """Return the schema of the arguments in a provider's words; made anew.

        Raises:
            SchemaError: The dialect cannot say a parameter.
        """
        spelled = self._plan.spelled.get(dialect)
        if spelled is None:
            try:
                spelled = for_dialect(self._plan.schema, dialect)
            except Refusal as refusal:
                raise SchemaError(self.name, refusal.parameter, refusal.reason) from None
            self._plan.spelled[dialect] = spelled
        return dict(copy_json(spelled))

    def declaration(self, dialect: Dialect) -> Object:
        """Return name, description and parameters as a provider's function declaration.

        For "gemini" the parameters stand in ``parameters`` where the API's own Schema can
        say them and in ``parametersJsonSchema`` where only JSON Schema can; a function
        without parameters has neither.  "openai-strict" adds ``strict``.

        Raises:
            SchemaError: The dialect cannot say a parameter.
        """
        out: Object = {"name": self.name, "description": self.description or self.name}
        if dialect == "gemini":
            if not self._plan.schema["properties"]:
                return out
            try:
                return {**out, "parameters": self.parameters_for("gemini")}
            except SchemaError:
                dialect = "json"
        key = "parametersJsonSchema" if dialect == "json" else "parameters"
        out[key] = self.parameters_for(dialect)
        return {**out, "strict": True} if dialect == "openai-strict" else out

    def bind(
        self, arguments: Mapping[str, Any] | None, injected: Mapping[str, Any] | None = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword arguments to call ``function`` with.

        Args:
            arguments: From the model, as JSON; None means none.
            injected: Values of the injected parameters.

        Raises:
            ArgumentMismatch: The model's arguments do not fit; tell the model.
            UsageError: An injected parameter without a default was not given.
        """
        try:
            given = self._plan.record.read_members(arguments or {})
        except Mismatch as mismatch:
            raise ArgumentMismatch(mismatch.path, mismatch.value, mismatch.expected) from None
        except RecursionError:
            raise ArgumentMismatch("$", "…", "arguments that are nested less deeply") from None
        for name in self.injected:
            if injected is not None and name in injected:
                given[name] = injected[name]
            elif name in self._plan.demanded:
                raise UsageError(
                    f"{self.name} needs {name!r}, which is injected; give it when it is called"
                )
        if self._plan.made:
            given |= {name: made() for name, made in self._plan.made.items() if name not in given}
        return self._plan.positional(given) if self._plan.leading else [], given


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is known of a signature; holds no reference to the function.

    Attributes:
        record: Shape of the arguments.
        schema: Its JSON Schema.
        injected: Types of the injected parameters by name.
        demanded: Injected parameters without a default.
        leading: Parameters that take no name, and their defaults, in order.
        made: What makes the defaults that Python does not fill in, by name.
        spelled: The schema by dialect, as far as it was asked for.
    """

    record: RecordShape
    schema: Object
    injected: dict[str, Any]
    demanded: set[str]
    leading: dict[str, Any]
    made: dict[str, Callable[[], Any]]
    description: str
    spelled: dict[str, Object] = field(default_factory=dict)

    def positional(self, given: dict[str, Any]) -> list[Any]:
        """Take the positional-only arguments out; defaults fill the gaps before the last."""
        out: list[Any] = []
        names = list(self.leading)
        last = max((i for i, name in enumerate(names) if name in given), default=-1)
        for name in names[: last + 1]:
            out.append(given.pop(name) if name in given else self.leading[name])
        return out


_plans: weakref.WeakKeyDictionary[Any, dict[bool, _Plan]] = weakref.WeakKeyDictionary()


def function_schema(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    descriptions: Mapping[str, str] | None = None,
    namespace: Mapping[str, Any] | None = None,
) -> FunctionSchema:
    """Return what a model must know to call a function.

    The annotations say which arguments are taken, the docstring (Google, NumPy or Sphinx
    style) or ``Annotated[T, "text"]`` describes them.  What was found out is kept per
    function.

    Args:
        function: Any callable with a signature.
        name: As the model calls it; None takes the function's own.
        description: What the model reads; None takes the docstring, without what it says of
            the parameters.
        descriptions: What the model reads of parameters, by name; they win.
        namespace: What further names in string annotations mean.

    Raises:
        SchemaError: The function cannot be described; says which parameter and why.
    """
    shown_name = name or name_of(function)
    try:
        if not callable(function):
            raise Refusal(why_not_callable(function))
        if _NAME.fullmatch(shown_name) is None:
            raise Refusal(
                f"{shown_name!r} is not a name that providers take: ASCII letters, digits, _ and "
                "-, not a digit first, at most 64; give another with "
                "types.FunctionDeclaration.from_function(function, name=…)"
            )
        plan = _plan_of(function, descriptions or {}, namespace or {})
    except Refusal as refusal:
        raise SchemaError(shown_name, refusal.parameter, refusal.reason) from None
    return FunctionSchema(
        function,
        shown_name,
        plan.description if description is None else description,
        plan.injected,
        is_async(function),
        plan,
    )


def declaration_of(
    function: Callable[..., Any],
    descriptions: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
) -> Object:
    """Return a function's name, description and parameters for the Gemini API.

    ``parameters`` is a Schema where that can say them, else JSON Schema; None for none.
    Arguments are those of ``function_schema``.

    Raises:
        SchemaError: The function cannot be described.
    """
    described = function_schema(
        function, name=name, description=description, descriptions=descriptions
    )
    found = described.declaration("gemini")
    parameters = found.get("parameters", found.get("parametersJsonSchema"))
    return {key: found[key] for key in ("name", "description")} | {"parameters": parameters}


def _plan_of(function: Any, descriptions: Mapping[str, str], namespace: Mapping[str, Any]) -> _Plan:
    """Return the plan of a function, from the cache where there is one."""
    is_bound = isinstance(function, types.MethodType)
    holder = function.__func__ if is_bound else function
    if descriptions or namespace or not isinstance(holder, types.FunctionType):
        return _make_plan(function, descriptions, namespace)
    kept = _plans.setdefault(holder, {})
    if is_bound not in kept:
        kept[is_bound] = _make_plan(function, {}, {})
    return kept[is_bound]


def _make_plan(
    function: Any, descriptions: Mapping[str, str], namespace: Mapping[str, Any]
) -> _Plan:
    signature = signature_of(function)
    source = source_of(function)
    scope = {**names_around(function), **namespace}
    doc = parse_docstring(doc_of(function), [*signature.parameters, *arguments_of(source)])
    told = {**doc.parameters, **descriptions}
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    builder = ShapeBuilder()
    record = RecordShape(name_of(function))
    fields: list[Field] = []
    injected: dict[str, Any] = {}
    demanded: set[str] = set()
    leading: dict[str, Any] = {}
    made: dict[str, Callable[[], Any]] = {}
    dispatched = next(iter(signature.parameters), "") if is_dispatching(function) else ""
    for name, parameter in signature.parameters.items():
        if name in fixed:
            continue
        try:
            _refuse_variable(parameter)
            hint = _hint(parameter, scope)
            if parameter.kind is parameter.POSITIONAL_ONLY or name == dispatched:
                leading[name] = parameter.default
            if is_field(parameter.default) and not parameter.default.is_required():
                made[name] = default_maker(parameter.default)
            from_program = _injected_type(hint)
            if from_program is not MISSING:
                injected[name] = from_program
                if parameter.default is parameter.empty:
                    demanded.add(name)
                continue
            fields.append(_field(name, parameter, builder.build(hint, scope), told))
        except Refusal as refusal:
            raise refusal.inside(name) from None
        except RecursionError:
            raise Refusal(ENDLESS).inside(name) from None
    _refuse_unbound(source, fields)
    record.fill(fields)
    schema = schema_from(record)
    return _Plan(record, schema, injected, demanded, leading, made, doc.description)


def schema_from(shape: Shape) -> Object:
    """Return the JSON Schema of a shape with its definitions."""
    definitions = Definitions()
    schema = shape.schema(definitions)
    return {**schema, **({"$defs": definitions.schemas} if definitions.schemas else {})}


def _hint(parameter: inspect.Parameter, scope: Mapping[str, Any]) -> Any:
    """Return the annotation of a parameter, and what a pydantic ``Field`` adds to it."""
    annotation, default = parameter.annotation, parameter.default
    hint = Any if annotation is parameter.empty else resolved(annotation, scope)
    return Annotated[hint, default] if is_field(default) else hint


def _field(name: str, parameter: inspect.Parameter, shape: Shape, told: Mapping[str, str]) -> Field:
    default = parameter.default
    required = default is parameter.empty
    if is_field(default):
        required, default = default.is_required(), default.default
    as_json = MISSING if required else describe_default(default, to_json)
    return Field(name, shape, required, as_json, told.get(name, ""), name)


def _refuse_variable(parameter: inspect.Parameter) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        star = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise Refusal(
            f"{star}{parameter.name} takes arguments that no schema can name; list the parameters "
            "(a decorator keeps them with functools.wraps)"
        )


def _refuse_unbound(source: Any, fields: list[Field]) -> None:
    owner = getattr(source, "__qualname__", "").rpartition(".")[0]
    is_method = bool(owner) and not owner.endswith("<locals>")
    if fields and is_method and fields[0].name in ("self", "cls"):
        raise Refusal(
            f"it is a method of {owner.rpartition('.')[2]} without its object; take it from an "
            "instance, as instance.method"
        ).inside(fields[0].name)


def _injected_type(hint: Any) -> Any:
    """Return the type of a parameter that the program gives, MISSING if the model does."""
    if is_alias(typing.get_origin(hint) or hint):
        return _injected_type(meaning(hint))
    if isinstance(hint, type):
        return hint if getattr(hint, "__multiturn_injected__", False) is True else MISSING
    if typing.get_origin(hint) in (typing.Union, types.UnionType):  # ``Session | None = None``
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        return _injected_type(kinds[0]) if len(kinds) == 1 else MISSING
    if typing.get_origin(hint) is not typing.Annotated:
        return MISSING
    inner = hint.__origin__
    if any(item is Injected or isinstance(item, Injected) for item in hint.__metadata__):
        found = _injected_type(inner)
        return inner if found is MISSING else found
    return _injected_type(inner)
