"""Callables with real annotations: objects with members, and names for types."""

from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import (
    Annotated,
    ClassVar,
    Final,
    Generic,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
    Union,
)

import annotated_types
import attrs
import pydantic
import typing_extensions

from .battery_values import Color
from .cases import Case

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


ADDRESS = {"street": "Main 1", "city": "Bergen"}
PERSON = {"name": "Ann", "home": ADDRESS, "others": [{"street": "Side 2"}]}
ANN = Person("Ann", Address("Main 1", "Bergen"), [Address("Side 2")])

CASES = [
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
]  # fmt: skip
