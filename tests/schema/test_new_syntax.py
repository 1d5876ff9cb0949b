"""The syntax of Python 3.12: ``type`` statements and type parameters in brackets."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from multiturn.schema import for_dialect, from_json, function_schema, schema_of

from .rules import check_json_schema, grammar_accepts

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the syntax is new in Python 3.12, this one is older"
)

PROGRAM = """
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
"""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = type(sys)("new_syntax")
    monkeypatch.setitem(sys.modules, "new_syntax", module)
    exec(compile(PROGRAM, "new_syntax", "exec", dont_inherit=True), vars(module))
    return vars(module)


def test_type_parameters_are_followed(names: dict[str, Any]) -> None:
    schema = function_schema(names["take"])
    box = {"content": "x", "more": [{"content": "y", "more": []}]}
    _, kwargs = schema.bind(
        {"x": 1.0, "j": {"a": [1]}, "p": [1, 2.0], "b": box, "k": {"key": 1}, "s": 2.0}
    )

    check_json_schema(schema.parameters)
    inner = names["Box"]("y", [])
    expected = (1, {"a": [1]}, (1, 2), names["Box"]("x", [inner]), {"key": 1.0}, 2)
    assert expected == schema.function(**kwargs)


def test_a_type_statement_may_contain_itself(names: dict[str, Any]) -> None:
    schema = schema_of(names["Json"])

    check_json_schema(schema)
    assert {"a": [None, "b"]} == from_json({"a": [None, "b"]}, names["Json"])
    assert grammar_accepts(for_dialect(schema, "grammar"), {"a": [None, "b"]})
