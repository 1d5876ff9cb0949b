"""Types as newer Pythons write them: ``type`` statements, type parameters, their defaults.

The programs are texts, since the parser of Python 3.11 cannot read them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVarTuple, Union

import pytest
import typing_extensions

from multiturn.calls import Call
from multiturn.errors import SchemaError
from multiturn.schema import Injected, for_dialect, from_json, function_schema, schema_of

from .rules import check_json_schema, grammar_accepts

python_3_12 = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the syntax is new in Python 3.12, this one is older"
)
python_3_13 = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="the syntax is new in Python 3.13, this one is older"
)
Run = Callable[[str], dict[str, Any]]


@pytest.fixture(params=["", "from __future__ import annotations"], ids=["eager", "strings"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A function that gives the names of a program, its annotations evaluated or not."""

    def names_of(program: str) -> dict[str, Any]:
        module = type(sys)("new_syntax")
        monkeypatch.setitem(sys.modules, "new_syntax", module)
        code = compile(f"{request.param}\n{program}", "new_syntax", "exec", dont_inherit=True)
        exec(code, vars(module))
        return vars(module)

    return names_of


def refusal(function: Callable[..., Any]) -> str:
    with pytest.raises(SchemaError) as caught:
        function_schema(function)
    return str(caught.value)


@python_3_12
def test_type_parameters_are_followed(run: Run) -> None:
    names = run("""
from dataclasses import dataclass
from typing import TypedDict

type Json = dict[str, Json] | list[Json] | str | int | None
type Pair[T] = tuple[T, T]

@dataclass
class Box[T]:
    content: T
    more: "list[Box[T]]"

class Keyed[K](TypedDict):
    key: K

def take[T: int](x: T, j: Json, p: Pair[int], b: Box[str], k: Keyed[float], s: "T") -> tuple:
    return x, j, p, b, k, s
""")
    schema = function_schema(names["take"])
    box = {"content": "x", "more": [{"content": "y", "more": []}]}
    _, kwargs = schema.bind(
        {"x": 1.0, "j": {"a": [1]}, "p": [1, 2.0], "b": box, "k": {"key": 1}, "s": 2.0}
    )

    check_json_schema(schema.parameters)
    inner = names["Box"]("y", [])
    expected = (1, {"a": [1]}, (1, 2), names["Box"]("x", [inner]), {"key": 1.0}, 2)
    assert expected == schema.function(**kwargs)


@python_3_12
@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("type X = int", {"type": "integer"}),
        ("type X = Y\ntype Y = int", {"type": "integer"}),
        ("type X = None", {"type": "null"}),
        ('type X = "int"', {"type": "integer"}),
        ('type X = Annotated[int, "how many"]', {"type": "integer", "description": "how many"}),
        ("type Y[T] = list[T] | None\ntype X = Y[Annotated[bool, []]]", {
            "anyOf": [{"type": "array", "items": {"type": "boolean"}}, {"type": "null"}]
        }),
        ("type X[T: int] = list[T]", {"type": "array", "items": {"type": "integer"}}),
    ],
)  # fmt: skip
def test_an_alias_is_what_it_stands_for(run: Run, alias: str, expected: dict[str, Any]) -> None:
    names = run(f"from typing import Annotated\n{alias}\ndef take(x: X): ...")

    assert expected == function_schema(names["take"]).parameters["properties"]["x"]
    assert expected == schema_of(names["X"])


@python_3_12
def test_a_type_statement_may_contain_itself(run: Run) -> None:
    names = run("type Json = dict[str, Json] | list[Json] | str | int | None")
    schema = schema_of(names["Json"])

    check_json_schema(schema)
    assert {"a": [None, "b"]} == from_json({"a": [None, "b"]}, names["Json"])
    assert grammar_accepts(for_dialect(schema, "grammar"), {"a": [None, "b"]})


@python_3_12
@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("type X = Nowhere", "X names 'Nowhere', which cannot be found; define or import it"),
        ("type X = 1 / 0", "X cannot be evaluated: division by zero"),
        ("type X = X", "contains itself in ever new forms"),
        ("type X = X | int", "X is defined as itself"),
        ("type G[T] = T | list[G[list[T]]]\ntype X = G[int]", "contains itself in ever new forms"),
        ("type G[*Ts] = tuple[int, *Ts]\ntype X = G[int, str]", "(*Ts) have no form in JSON"),
        ("type X[**P] = Callable[P, int]", "has no form in JSON"),
    ],
)
def test_an_alias_that_says_no_type_is_refused(run: Run, definition: str, reason: str) -> None:
    names = run(f"from collections.abc import Callable\n{definition}\ndef take(x: X): ...")

    assert "take, 'x'" in refusal(names["take"])
    assert reason in refusal(names["take"])
    with pytest.raises(SchemaError):
        schema_of(names["X"])


@python_3_12
@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("T: Nowhere", "T names 'Nowhere', which cannot be found"),
        ("T: (int, Nowhere)", "T names 'Nowhere', which cannot be found"),
        ("T: list[T]", "contains itself in ever new forms"),
    ],
)
def test_a_parameter_with_a_bound_that_is_no_type_is_refused(
    run: Run, parameter: str, reason: str
) -> None:
    names = run(f"def take[{parameter}](x: T): ...")

    assert reason in refusal(names["take"])


@python_3_12
def test_a_method_may_name_the_parameters_of_its_class(run: Run) -> None:
    names = run("class Tools[T: int]:\n    def take[U: str](self, x: T, y: U): ...")
    properties = function_schema(names["Tools"]().take).parameters["properties"]

    assert {"x": {"type": "integer"}, "y": {"type": "string"}} == properties


@python_3_12
def test_what_the_program_gives_is_hidden_from_the_model_behind_an_alias_too(run: Run) -> None:
    names = run("""
from typing import Annotated
from multiturn.calls import Call
from multiturn.schema import Injected

class User: ...

type Alias = Call
type Marked[T] = Annotated[T, Injected]

def take(a: Alias, b: Marked[User], c: Annotated[Alias, Injected], x: int): ...
""")
    schema = function_schema(names["take"])

    assert ["x"] == list(schema.parameters["properties"])
    assert {"a": Call, "b": names["User"], "c": Call} == schema.injected


@python_3_13
def test_a_parameter_without_an_argument_is_its_default(run: Run) -> None:
    names = run("""
from dataclasses import dataclass
type Map[K, V = int] = dict[K, V]
@dataclass
class Box[T = int]:
    content: T
def take[T = int](a: T, b: Map[str], c: Box, d: Box[str]): ...
""")
    taken = function_schema(names["take"]).parameters["properties"]

    assert {"type": "integer"} == taken["a"]
    assert {"type": "integer"} == taken["b"]["additionalProperties"]
    assert {"type": "integer"} == taken["c"]["properties"]["content"]
    assert {"type": "string"} == taken["d"]["properties"]["content"]


@python_3_13
def test_members_that_are_read_only_are_members(run: Run) -> None:
    names = run("""
from typing import Annotated, NotRequired, ReadOnly, TypedDict
class Film(TypedDict):
    title: ReadOnly[str]
    year: NotRequired[ReadOnly[Annotated[int, "of the première"]]]
""")
    expected = {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "year": {"type": "integer", "description": "of the première"},
        },
        "required": ["title"],
        "additionalProperties": False,
    }

    assert expected == schema_of(names["Film"])


# What typing_extensions brings to every Python.

T = typing_extensions.TypeVar("T", default=int)
Ts = TypeVarTuple("Ts")
Early = typing_extensions.TypeAliasType("Early", list[T], type_params=(T,))
Itself = Union["Itself", int]


@typing_extensions.deprecated("there is a better one")
@dataclass
class Old(Generic[T]):
    size: T


@dataclass
class Row(Generic[*Ts]):
    cells: tuple[*Ts]


def test_an_alias_of_typing_extensions_is_what_it_stands_for() -> None:
    assert {"type": "array", "items": {"type": "string"}} == schema_of(Early[str])
    assert {"type": "array", "items": {"type": "integer"}} == schema_of(Early)


def test_a_deprecated_class_has_the_members_that_it_has_without_the_mark() -> None:
    expected = {"size": {"type": "integer"}}

    assert expected == schema_of(Old)["properties"]
    assert expected == function_schema(Old).parameters["properties"]
    with pytest.warns(DeprecationWarning, match="there is a better one"):
        assert Old(3) == from_json({"size": 3}, Old)


async def oldest(x: int) -> int:
    """Answer late."""
    return x


def test_a_deprecated_function_is_described_as_without_the_mark() -> None:
    marked = function_schema(typing_extensions.deprecated("there is a better one")(oldest))

    assert function_schema(oldest).parameters == marked.parameters
    assert ("Answer late.", "oldest") == (marked.description, marked.name)


def test_parameters_of_any_number_are_refused() -> None:
    def take(row: Row[int, str]) -> None: ...

    assert "(*Ts) have no form in JSON" in refusal(take)


def test_a_type_that_is_itself_is_refused() -> None:
    def take(x: Itself) -> None: ...

    assert "is defined as itself; only within a list, a dict or a class" in refusal(take)


def test_what_the_program_gives_may_be_left_out_and_described() -> None:
    def take(
        x: int,
        call: Call | None = None,
        told: Annotated[Call, "which one"] | None = None,
        key: Annotated[str, Injected] | None = None,
    ) -> None: ...

    schema = function_schema(take)

    assert ["x"] == list(schema.parameters["properties"])
    assert {"call": Call, "told": Call, "key": str} == schema.injected
    assert frozenset() == schema.demanded
