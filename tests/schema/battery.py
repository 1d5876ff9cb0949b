"""Callables with real annotations: every form of typing, and every kind of callable."""

import collections
import datetime as dt
import enum
import functools
import math
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import annotated_types
import attrs
import pydantic
import typing_extensions

from multiturn.schema import Injected

from .cases import Case

NO_ANY = {"gemini": "any type", "openai-strict": "any type"}
NO_MAP = {"gemini": "free names"}
NO_TUPLE = {"gemini": "a type each"}


# -- scalars ----------------------------------------------------------------------------


def text(value: str) -> str:
    return value


def integer(value: int) -> int:
    return value


def number(value: float) -> float:
    return value


def flag(value: bool) -> bool:
    return value


def nothing(value: None) -> None:
    return value


def octets(value: bytes) -> bytes:
    return value


def moment(value: dt.datetime) -> dt.datetime:
    return value


def day(value: dt.date) -> dt.date:
    return value


def hour(value: dt.time) -> dt.time:
    return value


def length(value: dt.timedelta) -> dt.timedelta:
    return value


def identity(value: UUID) -> UUID:
    return value


def price(value: Decimal) -> Decimal:
    return value


def file(value: Path) -> Path:
    return value


def anything(value: Any) -> Any:
    return value


def unannotated(value):  # type: ignore[no-untyped-def]
    return value


# -- unions and choices -----------------------------------------------------------------


class Color(enum.Enum):
    """A colour of the rainbow."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Unit(enum.StrEnum):
    METRE = "m"
    FOOT = "ft"


class Thing(enum.Enum):
    PAIR = (1, 2)
    NOTHING = frozenset({1})


def optional(value: Optional[int] = None) -> int | None:  # noqa: UP045
    return value


def optional_required(value: int | None) -> int | None:
    return value


def union(value: Union[int, str]) -> int | str:  # noqa: UP007
    return value


def date_or_text(value: str | dt.date) -> str | dt.date:
    return value


def list_or_one(value: str | list[str]) -> str | list[str]:
    return value


def literal_texts(unit: Literal["C", "F"] = "C") -> str:
    return unit


def literal_numbers(size: Literal[1, 2, 3]) -> int:
    return size


def literal_mixed(value: Literal["auto", 1, True, None]) -> object:
    return value


def color(value: Color) -> Color:
    return value


def level(value: Level = Level.LOW) -> Level:
    return value


def unit(value: Unit) -> Unit:
    return value


def thing(value: Thing) -> Thing:
    return value


def color_literal(value: Literal[Color.RED]) -> Color:
    return value


# -- containers -------------------------------------------------------------------------


def numbers(values: list[int]) -> list[int]:
    return values


def bare_list(values: list) -> list:  # type: ignore[type-arg]
    return values


def unique(values: set[str]) -> set[str]:
    return values


def frozen(values: frozenset[int]) -> frozenset[int]:
    return values


def fixed(value: tuple[str, int]) -> tuple[str, int]:
    return value


def point(value: tuple[float, float]) -> tuple[float, float]:
    return value


def variadic(value: tuple[int, ...]) -> tuple[int, ...]:
    return value


def empty_tuple(value: tuple[()]) -> tuple[()]:
    return value


def mapping(value: dict[str, int]) -> dict[str, int]:
    return value


def bare_dict(value: dict) -> dict:  # type: ignore[type-arg]
    return value


def keyed_by_number(value: dict[int, str]) -> dict[int, str]:
    return value


def keyed_by_choice(value: dict[Literal["x", "y"], float]) -> dict[str, float]:
    return value


def abstract(a: Sequence[int], b: Mapping[str, float], c: Iterable[str]) -> tuple[Any, ...]:
    return a, b, c


def queue(value: collections.deque[int]) -> collections.deque[int]:
    return value


def nested(value: dict[str, list[tuple[int, str]]]) -> dict[str, list[tuple[int, str]]]:
    return value


def matrix(value: list[list[float]]) -> list[list[float]]:
    return value


# -- records ----------------------------------------------------------------------------


@dataclass
class Address:
    """Where someone lives.

    Attributes:
        street: With the number.
    """

    street: str
    city: str = "Oslo"


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    home: Address
    others: list[Address] = field(default_factory=list)
    count: ClassVar[int] = 0


@dataclass
class Configured:
    _: KW_ONLY
    size: Annotated[int, annotated_types.Ge(1)]
    seed: InitVar[int] = 0
    hidden: int = field(init=False, default=7)
    limit: Final[int] = 3

    def __post_init__(self, seed: int) -> None:
        self.hidden += seed


class Film(TypedDict):
    title: str
    year: NotRequired[int]


class Draft(TypedDict, total=False):
    title: Required[str]
    year: int


class Position(NamedTuple):
    x: float
    y: float = 0.0


@attrs.define
class Crate:
    weight: float
    _label: str = "none"


class Guest(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1, description="Full name.")
    age: int = pydantic.Field(default=18, ge=0)
    tags: list[str] = []


class Party(pydantic.BaseModel):
    host: Guest
    guests: list[Guest]
    theme: Color | None = None


def one_record(value: Address) -> Address:
    return value


def nested_record(value: Person) -> Person:
    return value


def configured(value: Configured) -> tuple[int, int]:
    return value.size, value.hidden


def film(value: Film) -> Film:
    return value


def draft(value: Draft) -> Draft:
    return value


def position(value: Position) -> Position:
    return value


def crate(value: Crate) -> Crate:
    return value


def guest(value: Guest) -> Guest:
    return value


def party(value: Party) -> Party:
    return value


def people(values: list[Person]) -> list[Person]:
    return values


# -- names for types --------------------------------------------------------------------

UserId = NewType("UserId", int)
Names = list[str]
Json = typing_extensions.TypeAliasType(
    "Json",
    Union[dict[str, "Json"], list["Json"], str, int, bool, None],  # noqa: UP007
)
T = TypeVar("T")
Small = TypeVar("Small", bound=int)
Choice = TypeVar("Choice", str, bytes)


@dataclass
class Box(Generic[T]):
    content: T
    spare: list[T] = field(default_factory=list)


class IntBox(Box[int]):
    pass


def new_type(user: UserId) -> int:
    return user


def alias(names: Names) -> list[str]:
    return names


def recursive_alias(value: Json) -> Json:
    return value


def generic(value: Box[int]) -> Box[int]:
    return value


def inherited_generic(value: IntBox) -> IntBox:
    return value


def bounded(value: Small) -> Small:
    return value


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

ADDRESS = {"street": "Main 1", "city": "Bergen"}
PERSON = {"name": "Ann", "home": ADDRESS, "others": [{"street": "Side 2"}]}
ANN = Person("Ann", Address("Main 1", "Bergen"), [Address("Side 2")])

CASES = [
    Case("str", text, {"value": "a"}, "a"),
    Case("int from a double", integer, {"value": 3.0}, 3),
    Case("float from an integer", number, {"value": 3}, 3.0),
    Case("bool", flag, {"value": True}, True),
    Case("None", nothing, {"value": None}, None),
    Case("bytes", octets, {"value": "aGk="}, b"hi"),
    Case("datetime", moment, {"value": "2031-05-17T09:30:00Z"},
         dt.datetime(2031, 5, 17, 9, 30, tzinfo=dt.UTC)),
    Case("date", day, {"value": "2031-05-17"}, dt.date(2031, 5, 17)),
    Case("time", hour, {"value": "09:30:00Z"}, dt.time(9, 30, tzinfo=dt.UTC)),
    Case("timedelta", length, {"value": "PT1H30M"}, dt.timedelta(minutes=90)),
    Case("UUID", identity, {"value": "12345678-1234-5678-1234-567812345678"},
         UUID("12345678-1234-5678-1234-567812345678")),
    Case("Decimal", price, {"value": "12.50"}, Decimal("12.50")),
    Case("Path", file, {"value": "/tmp/x"}, Path("/tmp/x")),
    Case("Any", anything, {"value": {"a": [1]}}, {"a": [1]}, refused_by=NO_ANY),
    Case("no annotation", unannotated, {"value": 1.5}, 1.5, refused_by=NO_ANY),
    Case("Optional, not given", optional, {}, None),
    Case("Optional, null", optional_required, {"value": None}, None),
    Case("Union", union, {"value": "3"}, "3"),
    Case("str | date", date_or_text, {"value": "2031-05-17"}, dt.date(2031, 5, 17)),
    Case("str | list", list_or_one, {"value": ["a"]}, ["a"]),
    Case("Literal of texts", literal_texts, {"unit": "F"}, "F"),
    Case("Literal of numbers", literal_numbers, {"size": 2.0}, 2,
         refused_by={"gemini": "a choice of integers"}),
    Case("Literal of all kinds", literal_mixed, {"value": True}, True,
         refused_by={"gemini": "a choice of booleans"}),
    Case("Enum", color, {"value": "red"}, Color.RED),
    Case("IntEnum", level, {"value": "HIGH"}, Level.HIGH),
    Case("StrEnum", unit, {"value": "ft"}, Unit.FOOT),
    Case("Enum of objects", thing, {"value": "PAIR"}, Thing.PAIR),
    Case("Literal of a member", color_literal, {"value": "red"}, Color.RED),
    Case("list", numbers, {"values": [1.0, 2]}, [1, 2]),
    Case("list of anything", bare_list, {"values": [1, "a"]}, [1, "a"], refused_by=NO_ANY),
    Case("set", unique, {"values": ["a", "b"]}, {"a", "b"}),
    Case("frozenset", frozen, {"values": [1, 2]}, frozenset({1, 2})),
    Case("tuple of two types", fixed, {"value": ["a", 1.0]}, ("a", 1), refused_by=NO_TUPLE),
    Case("tuple of one type", point, {"value": [1, 2.5]}, (1.0, 2.5)),
    Case("tuple of any length", variadic, {"value": [1, 2, 3]}, (1, 2, 3)),
    Case("empty tuple", empty_tuple, {"value": []}, (), refused_by=NO_ANY),
    Case("dict", mapping, {"value": {"a": 1.0}}, {"a": 1}, refused_by=NO_MAP),
    Case("dict of anything", bare_dict, {"value": {"a": None}}, {"a": None},
         refused_by={"gemini": "free names", "openai-strict": "any type"}),
    Case("dict by number", keyed_by_number, {"value": {"1": "a"}}, {1: "a"}, refused_by=NO_MAP),
    Case("dict by choice", keyed_by_choice, {"value": {"x": 1, "y": 2.5}}, {"x": 1.0, "y": 2.5}),
    Case("abstract containers", abstract, {"a": [1], "b": {"k": 2}, "c": ["x"]},
         ([1], {"k": 2.0}, ["x"]), refused_by=NO_MAP),
    Case("deque", queue, {"value": [1, 2]}, collections.deque([1, 2])),
    Case("nested containers", nested, {"value": {"k": [[1, "a"]]}}, {"k": [(1, "a")]},
         refused_by=NO_MAP),
    Case("matrix", matrix, {"value": [[1, 2], [3]]}, [[1.0, 2.0], [3.0]]),
    Case("dataclass", one_record, {"value": {"street": "Main 1"}}, Address("Main 1")),
    Case("nested dataclass", nested_record, {"value": PERSON}, ANN),
    Case("dataclass with KW_ONLY, InitVar and limits", configured,
         {"value": {"size": 2, "seed": 3}}, (2, 10)),
    Case("list of dataclasses", people, {"values": [PERSON]}, [ANN]),
    Case("TypedDict with NotRequired", film, {"value": {"title": "Alien"}}, {"title": "Alien"}),
    Case("TypedDict with Required", draft, {"value": {"title": "Alien", "year": 1979.0}},
         {"title": "Alien", "year": 1979}),
    Case("NamedTuple", position, {"value": {"x": 1}}, Position(1.0)),
    Case("attrs", crate, {"value": {"weight": 2, "label": "x"}}, Crate(2.0, "x")),
    Case("pydantic model", guest, {"value": {"name": "Bo"}}, Guest(name="Bo")),
    Case("nested pydantic model", party,
         {"value": {"host": {"name": "Bo"}, "guests": [{"name": "Al", "age": 3}], "theme": "red"}},
         Party(host=Guest(name="Bo"), guests=[Guest(name="Al", age=3)], theme=Color.RED)),
    Case("NewType", new_type, {"user": 7}, 7),
    Case("alias", alias, {"names": ["a"]}, ["a"]),
    Case("recursive alias", recursive_alias, {"value": {"a": [1, None, {"b": "c"}]}},
         {"a": [1, None, {"b": "c"}]},
         refused_by={"gemini": "contains itself", "openai-strict": "a list may stand"}),
    Case("generic dataclass", generic, {"value": {"content": 1.0, "spare": [2]}}, Box(1, [2])),
    Case("inherited generic", inherited_generic, {"value": {"content": 1}}, IntBox(1)),
    Case("bounded TypeVar", bounded, {"value": 5}, 5),
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
