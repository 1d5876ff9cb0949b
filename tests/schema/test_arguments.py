"""Arguments of a call: what fits becomes what the types say, what does not is named."""

from __future__ import annotations

import functools
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import annotated_types
import pydantic
import pytest

from multiturn.errors import ArgumentMismatch, SchemaError, UsageError
from multiturn.schema import Injected, from_json, function_schema, schema_of, to_json

from .battery_callables import Shop
from .battery_records import Address, Box, Guest, Party, Person
from .battery_strings import Node
from .battery_values import Color, Level


@dataclass
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Cat(TypedDict):
    kind: Literal["cat"]
    lives: int


class Dog(TypedDict):
    kind: Literal["dog"]
    tricks: list[str]


@pydantic.dataclasses.dataclass
class Seat:
    number: int = pydantic.Field(ge=1, le=80, description="From the front.")
    meals: list[str] = pydantic.Field(default_factory=list, max_length=2)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Color, "RED", Color.RED),
        (Color, "Blue", Color.BLUE),
        (Level, "high", Level.HIGH),
        (Level, 2, Level.HIGH),
        (Level, 2.0, Level.HIGH),
        (Level, "2", Level.HIGH),
        (Literal[1, 2], "2", 2),
        (Literal["a", "A"], "A", "A"),
        (timedelta, 90, timedelta(seconds=90)),
        (timedelta, "-P1DT0.5S", -timedelta(days=1, microseconds=500_000)),
        (timedelta, "P2W", timedelta(weeks=2)),
        (Decimal, 0.1, Decimal("0.1")),
        (bytes, "-_8", b"\xfb\xff"),
        (dict[str, int], [{"key": "a", "value": 1.0}], {"a": 1}),
        (dict[int, int], [{"key": 3, "value": 1}], {3: 1}),
        (dict[bool, int], {"true": 1}, {True: 1}),
        (dict[UUID, int], {str(UUID(int=1)): 1}, {UUID(int=1): 1}),
        (dict[int | str, int], {"a": 1, "2": 2}, {"a": 1, 2: 2}),
        (int | float, 2.0, 2.0),
        (bool | int, True, True),
        (int | bool, True, True),
        (float | str, 2, 2.0),
        (str | bytes, "abcd", "abcd"),
        (UUID | str, "abcd", "abcd"),
        (str | UUID, str(UUID(int=1)), UUID(int=1)),
        (list[int] | list[str], ["a"], ["a"]),
        (Cat | Dog, {"kind": "dog", "tricks": ["sit"]}, {"kind": "dog", "tricks": ["sit"]}),
        (Address | Person, {"name": "Ann", "home": {"street": "x"}}, Person("Ann", Address("x"))),
        (Guest, {"name": "Bo", "age": None}, Guest(name="Bo")),
        (Address, {"street": "x", "city": None}, Address("x")),
    ],
)
def test_a_value_becomes_what_its_type_says(annotation: Any, value: Any, expected: Any) -> None:
    read = from_json(value, annotation)

    assert expected == read
    assert type(expected) is type(read)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, "3", "$ is '3'; expected an integer"),
        (int, 3.5, "$ is 3.5; expected an integer"),
        (int, True, "$ is True; expected an integer"),
        (int, float("nan"), "$ is nan; expected an integer"),
        (int, float("inf"), "$ is inf; expected an integer"),
        (float, float("inf"), "$ is inf; expected a finite number"),
        (float, 10**400, "expected a finite number"),
        (str, 5, "$ is 5; expected a string"),
        (str, None, "$ is None; expected a string"),
        (bool, 1, "$ is 1; expected true or false"),
        (None, 0, "$ is 0; expected null"),
        (Color, "green", "$ is 'green'; expected one of 'red', 'blue'"),
        (Color, ["red"], "$ is ['red']; expected one of 'red', 'blue'"),
        (Literal[1], True, "$ is True; expected 1"),
        (Literal["a", "A"], "á", "$ is 'á'; expected one of 'a', 'A'"),
        (bytes, "not base64!", "$ is 'not base64!'; expected base64 text"),
        (bytes, "é", "$ is 'é'; expected base64 text"),
        (UUID, "x", "$ is 'x'; expected a UUID"),
        (UUID, 5, "$ is 5; expected a UUID"),
        (Decimal, "NaN", "$ is 'NaN'; expected a decimal number, as 12.50"),
        (timedelta, "P1Y", "$ is 'P1Y'; expected an ISO 8601 duration, as PT1H30M"),
        (timedelta, "PT", "$ is 'PT'; expected an ISO 8601 duration, as PT1H30M"),
        (timedelta, 1e300, "$ is 1e+300; expected an ISO 8601 duration, as PT1H30M"),
        (list[int], [1, "2"], "$[1] is '2'; expected an integer"),
        (list[int], {"0": 1}, "$ is {'0': 1}; expected a list"),
        (tuple[int, str], [1], "$ is [1]; expected a list of 2 items"),
        (dict[str, int], {"a": "b"}, "$.a is 'b'; expected an integer"),
        (dict[str, int], [1], "$ is [1]; expected an object"),
        (dict[int, int], {"a": 1}, "$.a is 'a'; expected an integer"),
        (int | str, [], "$ is []; expected an integer or a string"),
        (int | None, "x", "$ is 'x'; expected an integer or null"),
        (list[int] | None, ["x"], "$[0] is 'x'; expected an integer"),
        (Person, {"name": "A", "home": {}}, "$.home.street is missing; expected a string"),
        (
            Person,
            {"name": "A", "home": {"street": "x", "zip": 1}},
            "$.home.zip is 1; expected no member of this name; Address has: street, city",
        ),
        (Node, {"value": 1, "children": [{"value": []}]}, "$.children[0].value is []; expected"),
        (Range, {"low": 2, "high": 1}, "expected a valid Range: low is above high"),
        (list[Range], [{"low": 2, "high": 1}], "$[0] is {'low': 2, 'high': 1}; expected a valid"),
        (Annotated[int, annotated_types.Ge(1)], 0, "$ is 0; expected an integer of at least 1"),
        (Annotated[str, annotated_types.MaxLen(1)], "ab", "a string with a length of at most 1"),
        (Annotated[float, annotated_types.MultipleOf(0.1)], 0.25, "that is a multiple of 0.1"),
        (Guest, {"name": ""}, "$.name is ''; expected what Guest takes: String should have at"),
        (
            Party,
            {"host": {"name": "a"}, "guests": [{}]},
            "$.guests[0].name is missing; expected what Party takes: Field required",
        ),
        (
            Address | Person,
            {"street": 5},
            "$ is {'street': 5}; expected an object: Address (street is 5, expected a string) or "
            "Person (street is 5, expected no member of this name; Person has: name, home",
        ),
        (
            list[Address] | list[int],
            ["a"],
            "expected a list: a list ([0] is 'a', expected an object) or a list ([0] is 'a', "
            "expected an integer)",
        ),
        (Literal["a"] | Color, "b", "$ is 'b'; expected 'a' or one of 'red', 'blue'"),
        (Seat, {"number": 0}, "$.number is 0; expected what Seat takes: Input should be greater"),
        (Seat, {}, "$.number is missing; expected what Seat takes: Field required"),
        (set[Any], [[1]], "$ is [[1]]; expected a list of values that a set can hold"),
        (Box[int], {"content": "x"}, "$.content is 'x'; expected an integer"),
    ],
)
def test_a_value_that_does_not_fit_is_named(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(ArgumentMismatch) as caught:
        from_json(value, annotation)

    assert message in str(caught.value)


def test_what_is_missing_or_unknown_in_a_call_is_named() -> None:
    schema = function_schema(Shop().buy)

    with pytest.raises(ArgumentMismatch, match=r"^\$\.item is missing; expected a string$"):
        schema.bind({"count": 1})
    with pytest.raises(ArgumentMismatch, match=r"no member of this name; buy has: item, count$"):
        schema.bind({"item": "tea", "colour": 1})
    with pytest.raises(ArgumentMismatch, match=r"^\$\.item is missing"):
        schema.bind(None)


def test_null_for_an_argument_with_a_default_means_not_given() -> None:
    assert ([], {"item": "tea"}) == function_schema(Shop().buy).bind({"item": "tea", "count": None})


def test_a_mismatch_is_a_usage_error_and_can_be_pickled() -> None:
    with pytest.raises(UsageError) as caught:
        from_json("x", int)
    error = pickle.loads(pickle.dumps(caught.value))

    assert ("$", "x", "an integer") == (error.path, error.value, error.expected)


def test_arguments_are_copies_so_that_a_tool_cannot_change_history() -> None:
    def take(plain: dict, anything: Any) -> None: ...  # type: ignore[type-arg]

    sent: dict[str, Any] = {"plain": {"a": []}, "anything": [[]]}
    _, kwargs = function_schema(take).bind(sent)
    kwargs["plain"]["a"].append(1)
    kwargs["anything"][0].append(1)

    assert {"plain": {"a": []}, "anything": [[]]} == sent


def test_nesting_beyond_the_stack_is_a_mismatch_and_not_a_crash() -> None:
    deep: Any = {"value": 1}
    for _ in range(100_000):
        deep = {"value": 1, "children": [deep]}

    with pytest.raises(ArgumentMismatch, match="nested less deeply"):
        from_json(deep, Node)
    while deep:  # freed in steps, since freeing recurses too
        deep = deep.get("children", [None])[0]


def test_an_injected_argument_is_never_shown_and_never_taken_from_the_model() -> None:
    def ask(question: str, user: Annotated[str, Injected], trace: Annotated[int, Injected()] = 1):  # type: ignore[no-untyped-def]
        return question, user, trace

    schema = function_schema(ask)

    assert ["question"] == list(schema.parameters["properties"])
    assert {"user": str, "trace": int} == schema.injected
    assert ([], {"question": "?", "user": "ann"}) == schema.bind({"question": "?"}, {"user": "ann"})
    with pytest.raises(ArgumentMismatch, match=r"\$\.user is 'eve'; expected no member"):
        schema.bind({"question": "?", "user": "eve"}, {"user": "ann"})
    with pytest.raises(UsageError, match="ask needs 'user', which is injected"):
        schema.bind({"question": "?"})


def test_an_iterator_arrives_as_one() -> None:
    def take(values: Iterator[int]) -> list[int]:
        return [next(values), *values]

    _, kwargs = function_schema(take).bind({"values": [1.0, 2]})

    assert [1, 2] == take(**kwargs)


def test_the_plan_of_a_function_is_made_once_and_not_kept_beyond_it() -> None:
    import gc
    import weakref

    def make() -> Callable[[int], int]:
        return lambda value: value

    function = make()
    first, second = function_schema(function, name="one"), function_schema(function, name="two")

    assert first._plan is second._plan
    assert ("one", "two") == (first.name, second.name)
    assert function_schema(Shop(1).buy)._plan is function_schema(Shop(2).buy)._plan
    assert 2 == function_schema(Shop(2).buy).function("tea")[2]  # each with its own object
    gone = weakref.ref(function)
    del function, first, second
    gc.collect()
    assert gone() is None


def test_a_schema_that_is_handed_out_can_be_changed_without_effect() -> None:
    function_schema(Address).parameters_for("json")["properties"].clear()
    function_schema(Address).parameters["properties"].clear()

    assert ["street"] == function_schema(Address).parameters["required"]


def test_a_function_is_described_by_its_caller_where_wanted() -> None:
    schema = function_schema(
        Shop().buy, name="order-item", description="Order.", descriptions={"count": "Pieces."}
    )

    assert ("order-item", "Order.") == (schema.name, schema.description)
    assert "Pieces." == schema.parameters["properties"]["count"]["description"]
    assert (
        "How many." == function_schema(Shop().buy).parameters["properties"]["count"]["description"]
    )


def test_names_in_annotations_can_be_given() -> None:
    class Local(TypedDict):
        a: int

    def take(value: Local) -> None: ...

    with pytest.raises(SchemaError, match="'Local', which cannot be found"):
        function_schema(take)
    assert ([], {"value": {"a": 1}}) == function_schema(take, namespace=locals()).bind(
        {"value": {"a": 1.0}}
    )


def test_a_value_survives_the_way_there_and_back() -> None:
    ann = Person("Ann", Address("Main 1"), [Address("Side 2", "Bergen")])

    assert ann == from_json(json.loads(json.dumps(to_json(ann))), Person)


def test_a_spelling_that_means_two_things_is_refused() -> None:
    assert "AB" == from_json("AB", Literal["ab", "AB"])
    with pytest.raises(ArgumentMismatch):
        from_json("Ab", Literal["ab", "AB"])


def test_limits_hold_where_json_schema_has_no_word_for_them() -> None:
    after = Annotated[date, annotated_types.Gt(date(2031, 1, 1))]

    assert {"type": "string", "format": "date"} == schema_of(after)
    assert date(2031, 1, 2) == from_json("2031-01-02", after)
    with pytest.raises(ArgumentMismatch, match="as 2031-05-17 of more than 2031-01-01"):
        from_json("2031-01-01", after)
    assert {"type": "integer"} == schema_of(Annotated[int, annotated_types.MinLen(1)])
    assert 5 == from_json(5, Annotated[int, annotated_types.MinLen(1)])


def test_what_a_partial_fixes_is_hidden_from_the_model() -> None:
    schema = function_schema(functools.partial(Shop().buy, count=9))

    assert ["item"] == list(schema.parameters["properties"])
    with pytest.raises(ArgumentMismatch, match="no member of this name"):
        schema.bind({"item": "tea", "count": 1})


def test_a_field_of_pydantic_may_be_the_default_of_a_parameter() -> None:
    def book(
        seat: int = pydantic.Field(ge=1, description="Which one."),
        rows: int = pydantic.Field(default=3, ge=1),
        meals: list[str] = pydantic.Field(default_factory=list),  # noqa: B008
    ) -> tuple[int, int, list[str]]:
        return seat, rows, meals

    schema = function_schema(book)
    positional, named = schema.bind({"seat": 2, "rows": None})
    named["meals"].append("soup")

    assert ["seat"] == schema.parameters["required"]
    assert {"type": "integer", "minimum": 1, "description": "Which one."} == (
        schema.parameters["properties"]["seat"]
    )
    assert {"type": "integer", "minimum": 1, "default": 3} == (
        schema.parameters["properties"]["rows"]
    )
    assert (2, 3, ["soup"]) == book(*positional, **named)
    assert [] == schema.bind({"seat": 2})[1]["meals"]
    with pytest.raises(ArgumentMismatch, match=r"\$\.rows is 0; expected an integer of at least 1"):
        schema.bind({"seat": 2, "rows": 0})
    with pytest.raises(ArgumentMismatch, match=r"\$\.seat is missing"):
        schema.bind({})


def test_a_dataclass_of_pydantic_keeps_its_limits() -> None:
    schema = schema_of(Seat)

    assert ["number"] == schema["required"]
    assert {"type": "integer", "minimum": 1, "maximum": 80, "description": "From the front."} == (
        schema["properties"]["number"]
    )
    assert 2 == schema["properties"]["meals"]["maxItems"]
    assert Seat(number=4, meals=["soup"]) == from_json({"number": 4, "meals": ["soup"]}, Seat)
    assert {"number": 4, "meals": []} == to_json(Seat(number=4))


def test_a_function_that_dispatches_on_its_first_argument_is_given_it_by_place() -> None:
    @functools.singledispatch
    def shown(value: int | str, times: int = 1) -> str:
        return "other"

    @shown.register
    def _(value: int, times: int = 1) -> str:
        return f"number {value}" * times

    schema = function_schema(shown)

    positional, named = schema.bind({"value": 3, "times": 2})

    assert {"value", "times"} == schema.parameters["properties"].keys()
    assert "number 3number 3" == shown(*positional, **named)
