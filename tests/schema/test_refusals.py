"""What cannot be described is refused when it is registered, in words that a reader understands."""

from __future__ import annotations

import collections
import enum
import functools
import pickle
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import annotated_types
import pydantic
import pytest

from multiturn.errors import SchemaError, UsageError
from multiturn.schema import for_dialect, function_schema, schema_of

if TYPE_CHECKING:
    from multiturn.chat import ChatSession


class Engine:
    pass


class Temperature(float):
    pass


class Nothing(enum.Enum):
    pass


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Car:
    name: str
    engine: Engine


@dataclass
class Garage:
    cars: list[Car]


@dataclass
class Broken:
    part: Undefined  # type: ignore[name-defined]  # noqa: F821


class Strange(pydantic.BaseModel):
    call: Callable[[int], int]


class Free:
    def method(self, x: int) -> None: ...

    @classmethod
    def make(cls) -> None: ...

    raw = classmethod(lambda cls: None)


def stars(*values: int) -> None: ...
def keywords(name: str, **options: Any) -> None: ...


def careless(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    return wrapper


@careless
def decorated(x: int) -> None: ...


def own_class(engine: Engine) -> None: ...
def deep(garages: dict[str, list[Garage]]) -> None: ...
def subclass(value: Temperature) -> None: ...
def callback(function: Callable[[int], int]) -> None: ...
def a_type(kind: type[int]) -> None: ...
def complex_number(value: complex) -> None: ...
def only_for_checkers(chat: ChatSession) -> None: ...
def unknown_name(value: Undefined) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def not_a_type(value: 5) -> None: ...  # type: ignore[valid-type]
def broken_text(value: list) -> None: ...  # type: ignore[valid-type,syntax]
def broken_class(value: Broken) -> None: ...
def empty_enum(value: Nothing) -> None: ...
def a_flag(value: Rights) -> None: ...
def bytes_literal(value: Literal[b"x"]) -> None: ...
def set_of_lists(value: set[list[int]]) -> None: ...
def tuple_keys(value: dict[tuple[int, int], str]) -> None: ...
def impossible(value: Annotated[int, annotated_types.Ge(5), annotated_types.Le(3)]) -> None: ...
def strange_model(value: Strange) -> None: ...
def unpacked(value: tuple[int, *tuple[str, ...]]) -> None: ...
def straße(value: int) -> None: ...  # noqa: PLC2401
def never(value: typing.NoReturn) -> None: ...


broken_text.__annotations__["value"] = "list["


class Wide(NamedTuple):
    a: Wider
    b: Wider
    c: Wider


class Wider(NamedTuple):
    a: Widest
    b: Widest
    c: Widest


Widest = tuple[
    collections.ChainMap,  # type: ignore[type-arg]
    int,
]


def chain_map(value: Wide) -> None: ...


# What a reader sees, to the letter.
NO_FORM = (
    "; use a dataclass, a TypedDict or a pydantic model for it, or mark the parameter "
    "Annotated[…, Injected] and give it yourself"
)
NO_STARS = (
    " takes arguments that no schema can name; list the parameters "
    "(a decorator keeps them with functools.wraps)"
)
NOT_FOUND = (
    " which cannot be found; define or import it at the top level of the module, "
    "not only for type checkers"
)
MESSAGES = {
    stars: "stars, 'values': *values" + NO_STARS,
    keywords: "keywords, 'options': **options" + NO_STARS,
    decorated: "wrapper, 'args': *args" + NO_STARS,
    own_class: "own_class, 'engine': JSON cannot describe an object of Engine" + NO_FORM,
    deep: "deep, 'garages[value][].cars[].engine': JSON cannot describe an object of Engine"
    + NO_FORM,
    subclass: (
        "subclass, 'value': Temperature is a float of its own, which JSON cannot tell "
        "apart; take float, or NewType"
    ),
    callback: "callback, 'function': Callable[[int], int] has no form in JSON" + NO_FORM,
    a_type: "a_type, 'kind': type[int] has no form in JSON" + NO_FORM,
    complex_number: "complex_number, 'value': JSON cannot describe an object of complex" + NO_FORM,
    only_for_checkers: "only_for_checkers, 'chat': its annotation names 'ChatSession'," + NOT_FOUND,
    unknown_name: "unknown_name, 'value': its annotation names 'Undefined'," + NOT_FOUND,
    not_a_type: "not_a_type, 'value': 5 has no form in JSON" + NO_FORM,
    broken_text: "broken_text, 'value': its annotation 'list[' is not an expression",
    broken_class: "broken_class, 'value': an annotation of Broken names 'Undefined'," + NOT_FOUND,
    empty_enum: "empty_enum, 'value': the enumeration Nothing has no members",
    a_flag: "a_flag, 'value': Rights is a Flag, whose members combine; take a list of an Enum",
    bytes_literal: (
        "bytes_literal, 'value': Literal[b'x'] has no form in JSON; use strings or numbers"
    ),
    set_of_lists: "set_of_lists, 'value': a set cannot hold a list, which has no hash; use a list",
    tuple_keys: (
        "tuple_keys, 'value': a key that is a list of 2 items has no form in JSON; use "
        "strings as keys"
    ),
    impossible: "impossible, 'value': no value is both of at least 5 and of at most 3",
    strange_model: (
        "strange_model, 'value': pydantic has no JSON Schema for Strange: Cannot generate"
        " a JsonSchema for core_schema.CallableSchema"
    ),
    unpacked: (
        "unpacked, 'value': a tuple with an unpacked part has no form in JSON; use tuple[T, ...]"
    ),
    straße: (
        "straße: 'straße' is not a name that providers take: ASCII letters, digits, _ and"
        " -, not a digit first, at most 64; give another with "
        "types.FunctionDeclaration.from_function(function, name=…)"
    ),
    never: "never, 'value': NoReturn has no form in JSON" + NO_FORM,
    chain_map: "chain_map, 'value.a.a[0]': JSON cannot describe an object of ChainMap" + NO_FORM,
    max: (
        "max: Python does not know its signature, as it is built in; wrap it in a "
        "function with annotated parameters"
    ),
    Free.method: (
        "method, 'self': it is a method of Free without its object; take it from an "
        "instance, as instance.method"
    ),
    vars(Free)["raw"]: (
        "lambda: it is the descriptor, not the method; take it from the class, as Class.method"
    ),
    functools.partial(keywords, "x"): "keywords, 'options': **options" + NO_STARS,
}


@pytest.mark.parametrize("function", MESSAGES, ids=range(len(MESSAGES)))
def test_a_refusal_names_function_parameter_and_reason(function: Callable[..., Any]) -> None:
    with pytest.raises(SchemaError) as caught:
        function_schema(function)

    assert MESSAGES[function] == str(caught.value)
    assert str(caught.value).startswith(caught.value.function)
    assert str(caught.value).endswith(caught.value.reason)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(SchemaError, match=r"an object of int cannot be called"):
        function_schema(5)  # type: ignore[arg-type]


def test_a_refusal_is_a_usage_error_and_can_be_pickled() -> None:
    with pytest.raises(UsageError) as caught:
        function_schema(stars)
    error = pickle.loads(pickle.dumps(caught.value))

    assert ("stars", "values") == (error.function, error.parameter)
    assert str(caught.value) == str(error)


def test_a_type_that_multiplies_beyond_all_limits_is_refused() -> None:
    kind: Any = int
    for number in range(20):
        kind = dataclass(type(f"Level{number}", (), {"__annotations__": {"a": kind, "b": kind}}))

    with pytest.raises(SchemaError, match=r"more than 5000 schemas when written out"):
        schema_of(kind)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "text"}, "there is no type 'text' in JSON"),
        ({"$ref": "#/$defs/Gone"}, "it refers to #/$defs/Gone, which is not there"),
        ({"$ref": "other.json"}, "only references within the schema are followed"),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
            "it is a reference to itself",
        ),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "its minimum 5 is above its maximum 3"),
        ({"enum": []}, "its enum leaves no value"),
        ({"type": "string", "enum": [1]}, "its enum leaves no value"),
        ({"anyOf": []}, "its anyOf is empty"),
        ({"allOf": [{"type": "string"}, {"type": "object"}]}, "no value is both string and object"),
        ({"properties": [1]}, "its properties is [1]; expected an object"),
        ({"enum": "abc"}, "its enum is 'abc'; expected a list"),
        ({"anyOf": {"type": "string"}}, "its anyOf is {'type': 'string'}; expected a list"),
        ({"type": "string", "minLength": "x"}, "its minLength is 'x'; expected a count"),
        ({"type": "integer", "minimum": "0"}, "its minimum is '0'; expected a number"),
        ({"type": 5}, "its type is 5; expected a name of a type or a list of them"),
        ({"type": "array", "items": 5}, "5 stands where a schema should"),
        ({"properties": {"a": {"items": {"type": "x"}}}}, "'a[]': there is no type 'x' in JSON"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(reason)):
        for_dialect(schema, "openai")
