"""Callables of every kind, and with parameters of every kind."""

import enum
import functools
import math
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal

import annotated_types
import pydantic

from multiturn.schema import Injected

from .battery_records import Address, Position
from .battery_values import NO_ANY, Color
from .cases import Case

# -- Annotated --------------------------------------------------------------------------


def described(age: Annotated[int, "In years."]) -> int:
    return age


def limited(
    percent: Annotated[float, annotated_types.Interval(ge=0, le=100)],
    count: Annotated[int, annotated_types.Gt(0)],
    names: Annotated[list[str], annotated_types.Len(1, 3)],
    code: Annotated[str, pydantic.Field(pattern="^[A-Z]{3}$", description="Of the airport.")],
) -> tuple[Any, ...]:
    return percent, count, names, code


def validated(
    even: Annotated[int, pydantic.AfterValidator(lambda value: value * 2), "Will be doubled."],
) -> int:
    return even


def maybe_limited(value: Annotated[int | None, annotated_types.Ge(5)] = None) -> int | None:
    return value


class Session:
    user = "ann"


def injected(question: str, session: Annotated[Session, Injected]) -> tuple[str, str]:
    return question, session.user


# -- kinds of parameters ----------------------------------------------------------------


def no_parameters() -> str:
    return "now"


def keyword_only(*, a: int, b: str = "b") -> tuple[int, str]:
    return a, b


def positional_only(a: int, b: int = 2, c: int = 3, /, d: int = 4) -> tuple[int, ...]:
    return a, b, c, d


def defaults(
    a: int = 1,
    b: str = "x",
    c: float = 0.5,
    d: bool = True,
    e: list[int] | None = None,
    f: tuple[int, ...] = (1, 2),
) -> tuple[Any, ...]:
    return a, b, c, d, e, f


def implicit_optional(value: int = None) -> int | None:  # type: ignore[assignment]  # noqa: RUF013
    return value


def default_without_json(value: int = object()) -> object:  # type: ignore[assignment]
    return isinstance(value, int)


# -- kinds of callables -----------------------------------------------------------------


class Shop:
    """A shop."""

    def __init__(self, discount: int = 0) -> None:
        self.discount = discount

    def buy(self, item: str, count: int = 1) -> tuple[str, int, int]:
        """Buy something.

        Args:
            item: What to buy.
            count: How many.
        """
        return item, count, self.discount

    @classmethod
    def open(cls, name: str) -> tuple[str, str]:
        return cls.__name__, name

    @staticmethod
    def hours(day: Literal["mon", "sun"]) -> str:
        return day

    def __call__(self, item: str) -> str:
        """Look something up.

        :param item: What to look up.
        """
        return item


def noisy(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@noisy
def decorated(count: int, color: Color = Color.RED) -> tuple[int, Color]:
    return count, color


async def asynchronous(city: str, days: int = 1) -> tuple[str, int]:
    return city, days


def generator(count: int) -> typing.Iterator[int]:
    yield from range(count)


def closure() -> Callable[..., Any]:
    class Local(enum.Enum):
        A = "a"

    def inner(value: Local) -> str:
        return value.value

    return inner


annotated_lambda = lambda value: value * 2  # noqa: E731
annotated_lambda.__annotations__ = {"value": int}

CASES = [
    Case("description", described, {"age": 4}, 4),
    Case("limits", limited, {"percent": 50, "count": 1, "names": ["a"], "code": "OSL"},
         (50.0, 1, ["a"], "OSL")),
    Case("pydantic validator", validated, {"even": 2}, 4),
    Case("limits of an optional", maybe_limited, {"value": 5}, 5),
    Case("injected", injected, {"question": "who?"}, ("who?", "ann"), {"session": Session()}),
    Case("no parameters", no_parameters, {}, "now"),
    Case("keyword-only", keyword_only, {"a": 1}, (1, "b")),
    Case("positional-only with a gap", positional_only, {"a": 1, "c": 9}, (1, 2, 9, 4)),
    Case("defaults", defaults, {}, (1, "x", 0.5, True, None, (1, 2))),
    Case("None by default", implicit_optional, {}, None),
    Case("default that JSON cannot hold", default_without_json, {}, False),
    Case("method", Shop(5).buy, {"item": "tea", "count": 2.0}, ("tea", 2, 5)),
    Case("classmethod", Shop.open, {"name": "x"}, ("Shop", "x")),
    Case("staticmethod", Shop.hours, {"day": "sun"}, "sun"),
    Case("callable object", Shop(), {"item": "tea"}, "tea"),
    Case("class", Position, {"x": 1, "y": 2}, Position(1.0, 2.0)),
    Case("dataclass as a callable", Address, {"street": "Main 1"}, Address("Main 1")),
    Case("partial with a keyword", functools.partial(Shop(1).buy, count=9), {"item": "tea"},
         ("tea", 9, 1)),
    Case("partial with a position", functools.partial(Shop(2).buy, "tea"),
         {"count": 3}, ("tea", 3, 2)),
    Case("decorated", decorated, {"count": 1, "color": "blue"}, (1, Color.BLUE)),
    Case("async", asynchronous, {"city": "Oslo"}, ("Oslo", 1)),
    Case("generator", generator, {"count": 3}, [0, 1, 2]),
    Case("local type", closure(), {"value": "a"}, "a"),
    Case("lambda", lambda value: value, {"value": "x"}, "x", refused_by=NO_ANY),
    Case("lambda with annotations", annotated_lambda, {"value": 2.0}, 4),
    Case("builtin with a signature", math.sqrt, {"x": 4}, 2.0, refused_by=NO_ANY),
]  # fmt: skip
