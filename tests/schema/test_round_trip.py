"""Any value of any type: to JSON by its schema, and back to an equal value of the same type."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, Optional, TypedDict, Union
from uuid import UUID

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from multiturn.errors import SchemaError
from multiturn.schema import Dialect, for_dialect, from_json, schema_of, to_json

from .battery_strings import Node
from .battery_values import Color, Level, Thing, Unit
from .cases import typed
from .rules import CHECKS, check_json_schema, grammar_accepts, strict_form

Typed = tuple[Any, SearchStrategy[Any]]  # an annotation, and what makes values of it

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = st.from_regex(r"[a-z]{1,6}", fullmatch=True)

NODES = st.recursive(
    st.builds(Node, st.integers()),
    lambda inner: st.builds(Node, st.integers(), st.lists(inner, max_size=2)),
    max_leaves=4,
)
SCALARS: list[Typed] = [
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (str, TEXT),
    (None, st.none()),
    (bytes, st.binary(max_size=8)),
    (datetime, st.datetimes(timezones=ZONES)),
    (date, st.dates()),
    (time, st.times(timezones=st.just(UTC))),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Path, st.sampled_from([Path("/tmp/x"), Path(), Path("a/b.txt")])),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Unit, st.sampled_from(Unit)),
    (Thing, st.sampled_from(Thing)),
    (Literal["a", 1, True, None], st.sampled_from(["a", 1, True, None])),
    (Literal[Level.LOW, "x"], st.sampled_from([Level.LOW, "x"])),
]
HASHABLE = SCALARS
KEYS: list[Typed] = [
    (str, TEXT),
    (int, st.integers()),
    (UUID, st.uuids()),
    (date, st.dates()),
    (Color, st.sampled_from(Color)),
    (Literal["p", "q"], st.sampled_from(["p", "q"])),
]
# Members of a union whose JSON cannot be mistaken for another's.
DISTINCT: list[list[Typed]] = [
    [(int, st.integers()), (float, st.floats(-1e9, 1e9).filter(lambda x: not x.is_integer()))],
    [(str, st.text("xyz ", max_size=5)), (date, st.dates())],
    [(bool, st.booleans())],
    [(list[int], st.lists(st.integers(), max_size=3))],
    [(dict[str, int], st.dictionaries(TEXT, st.integers(), max_size=3))],
    [(None, st.none())],
]
_numbers = iter(range(10**9))


def _name() -> str:
    return f"Generated{next(_numbers)}"


def _dataclass(draw: Callable[..., Any], members: list[tuple[str, Typed]]) -> Typed:
    options: dict[str, bool] = {
        name: draw(st.booleans()) for name in ("frozen", "slots", "kw_only")
    }
    cls = dataclasses.make_dataclass(_name(), [(n, t) for n, (t, _) in members], **options)
    return cls, st.builds(cls, **{name: values for name, (_, values) in members})


def _typed_dict(draw: Callable[..., Any], members: list[tuple[str, Typed]]) -> Typed:
    optional = {name for name, _ in members if draw(st.booleans())}
    hints = {n: NotRequired[t] if n in optional else t for n, (t, _) in members}
    required = {name: values for name, (_, values) in members if name not in optional}
    rest = {name: values for name, (_, values) in members if name in optional}
    return TypedDict(_name(), hints), _in_order(  # type: ignore[operator]
        list(hints), st.fixed_dictionaries(required, optional=rest)
    )


def _in_order(names: list[Any], values: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Put members in the order of the schema, which a grammar holds a model to."""
    return values.map(lambda value: {name: value[name] for name in names if name in value})


def _named_tuple(draw: Callable[..., Any], members: list[tuple[str, Typed]]) -> Typed:
    cls = NamedTuple(_name(), [(n, t) for n, (t, _) in members])  # type: ignore[misc]
    return cls, st.builds(cls, **{name: values for name, (_, values) in members})


def _enumeration(draw: Callable[..., Any]) -> Typed:
    names = draw(st.lists(NAMES.map(str.upper), min_size=1, max_size=4, unique=True))
    base = draw(st.sampled_from([enum.Enum, enum.IntEnum, enum.StrEnum]))
    kind: Any = base(_name(), names)  # type: ignore[operator]
    return kind, st.sampled_from(kind)


def _mapping(draw: Callable[..., Any], item: Any, values: SearchStrategy[Any]) -> Typed:
    key, keys = draw(st.sampled_from(KEYS))
    if key is not Color and key != Literal["p", "q"]:
        return dict[key, item], st.dictionaries(keys, values, max_size=3)  # type: ignore[valid-type]
    choices = list(Color) if key is Color else ["p", "q"]
    all_members = st.fixed_dictionaries(dict.fromkeys(choices, values))
    return dict[key, item], _in_order(choices, all_members)  # type: ignore[valid-type]


def _union(draw: Callable[..., Any]) -> Typed:
    groups = draw(st.lists(st.sampled_from(DISTINCT), min_size=2, max_size=4, unique_by=id))
    members = [member for group in groups for member in group]
    return Union[tuple(kind for kind, _ in members)], st.one_of([v for _, v in members])  # noqa: UP007


def _set(draw: Callable[..., Any]) -> Typed:
    item, values = draw(st.sampled_from(SCALARS))
    kind = draw(st.sampled_from([set, frozenset]))
    return kind[item], st.builds(kind, st.lists(values, max_size=3))


def _tuple(draw: Callable[..., Any], inner: SearchStrategy[Typed]) -> Typed:
    parts = draw(st.lists(inner, max_size=3))
    return tuple[tuple(t for t, _ in parts)], st.tuples(*[v for _, v in parts])  # type: ignore


def _record(draw: Callable[..., Any], inner: SearchStrategy[Typed]) -> Typed:
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    make = draw(st.sampled_from([_dataclass, _typed_dict, _named_tuple]))
    return make(draw, [(f"m_{name}", draw(inner)) for name in names])  # type: ignore[no-any-return]


def _wrapped(draw: Callable[..., Any], inner: SearchStrategy[Typed]) -> Typed:
    item, values = draw(inner)
    lists = st.lists(values, max_size=3)
    forms: list[Typed] = [
        (list[item], lists),  # type: ignore[valid-type]
        (deque[item], lists.map(deque)),  # type: ignore[valid-type]
        (tuple[item, ...], lists.map(tuple)),  # type: ignore[valid-type]
        (Optional[item], st.none() | values),  # noqa: UP045
        _mapping(draw, item, values),
    ]
    return draw(st.sampled_from(forms))  # type: ignore[no-any-return]


@st.composite
def types(draw: Callable[..., Any], depth: int = 3) -> Typed:
    """Draw an annotation and a strategy for its values."""
    leaves: list[Callable[[], Typed]] = [
        lambda: draw(st.sampled_from(SCALARS)),
        lambda: _enumeration(draw),
        lambda: _set(draw),
        lambda: _union(draw),
        lambda: (Node, NODES),
    ]
    if not depth:
        return draw(st.sampled_from(leaves))()  # type: ignore[no-any-return]
    inner = types(depth - 1)
    branches: list[Callable[[], Typed]] = [
        lambda: _tuple(draw, inner),
        lambda: _record(draw, inner),
        lambda: _wrapped(draw, inner),
    ]
    return draw(st.sampled_from([*leaves, *branches * 3]))()  # type: ignore[no-any-return]


@st.composite
def typed_values(draw: Callable[..., Any]) -> tuple[Any, Any]:
    annotation, values = draw(types())
    return annotation, draw(values)


slow = settings(
    max_examples=2 * settings().max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@slow
@given(typed_values())
def test_a_value_survives_json(case: tuple[Any, Any]) -> None:
    annotation, value = case
    schema = schema_of(annotation)
    check_json_schema(schema)

    text = json.dumps(to_json(value))
    written = json.loads(text)

    jsonschema.validate(written, schema)
    assert typed(value) == typed(from_json(written, annotation))
    assert written == to_json(from_json(written, annotation))


@slow
@given(typed_values(), st.sampled_from(["json", "openai", "openai-strict", "grammar", "gemini"]))
def test_a_value_survives_in_every_dialect(case: tuple[Any, Any], dialect: Dialect) -> None:
    annotation, value = case

    @dataclasses.dataclass
    class Holder:
        value: annotation  # type: ignore[valid-type]

    Holder.__annotations__["value"] = annotation
    schema = _schema_or_none(Holder, dialect)
    if schema is not None:
        _check_way(schema, dialect, value, Holder)


def _schema_or_none(kind: type, dialect: Dialect) -> dict[str, Any] | None:
    """Return the schema in a dialect; None where the dialect may refuse it and does."""
    try:
        return for_dialect(schema_of(kind), dialect)
    except SchemaError as error:
        if dialect in ("gemini", "openai-strict") and "has no words for" in error.reason:
            return None
        raise


def _check_way(schema: dict[str, Any], dialect: Dialect, value: Any, holder: Any) -> None:
    CHECKS[dialect](schema)
    written = json.loads(json.dumps(to_json(holder(value))))
    if dialect == "openai-strict":
        written = strict_form(written, schema, schema)
    if dialect == "gemini":
        jsonschema.validate(written, for_dialect(schema, "openai"))
    else:
        jsonschema.validate(written, schema)
    if dialect == "grammar" and _is_plain(written):
        assert grammar_accepts(schema, written)
    back = from_json(written, holder).value
    if dialect == "openai-strict":  # there null and "not given" are the same
        value, back = _without_nulls(value), _without_nulls(back)
    assert typed(value) == typed(back)


def _without_nulls(value: Any) -> Any:
    """Return a value as JSON without the members that are null."""
    if isinstance(value, dict):
        return {k: _without_nulls(member) for k, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value if value is None else _without_nulls(to_json(value)) if _holds(value) else value


def _holds(value: Any) -> bool:
    return dataclasses.is_dataclass(value) or isinstance(value, tuple | deque | set | frozenset)


def _is_plain(value: Any) -> bool:
    """Return whether a value has no text or number that a format or spelling may exclude."""
    if isinstance(value, dict):
        return all(_is_plain(member) for member in value.values())
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    return not isinstance(value, str | float) or (isinstance(value, str) and value.isalpha())
