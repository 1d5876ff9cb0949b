"""Callables whose annotations are strings, among them types that contain themselves."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NotRequired, TypedDict

from .cases import Case

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Node:
    """A node of a tree."""

    value: int
    children: list[Node] = field(default_factory=list)


@dataclass
class Link:
    name: str
    next: Link | None


@dataclass
class Team:
    name: str
    lead: Member | None = None


@dataclass
class Member:
    name: str
    team: Team | None = None


class Comment(TypedDict):
    text: str
    replies: NotRequired[list[Comment]]


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Cell(NamedTuple):
    row: int
    size: Size = Size.SMALL


JsonLike = dict[str, "JsonLike"] | list["JsonLike"] | str


def tree(root: Node) -> Node:
    """Draw a tree.

    Parameters
    ----------
    root : Node
        Where it starts.
    """
    return root


def chain(first: Link) -> Link:
    return first


def mutual(team: Team) -> Team:
    return team


def thread(comment: Comment) -> Comment:
    return comment


def two_trees(left: Node, right: Node | None = None) -> tuple[Node, Node | None]:
    return left, right


def forward(value: "list['Cell']") -> list[Cell]:  # noqa: UP037
    return value


def aliased(value: JsonLike) -> Any:
    return value


def weather(city: str, unit: Literal["C", "F"] = "C") -> tuple[str, str]:
    """Weather now.

    Args:
        city: Name of the city.
    """
    return city, unit


def only_for_checkers(value: Decimal) -> Decimal:
    return value


NO_CYCLE = {"gemini": "contains itself"}
TREE = {"value": 1, "children": [{"value": 2.0}, {"value": 3, "children": []}]}
NODE = Node(1, [Node(2), Node(3)])

CASES = [
    Case("recursive dataclass", tree, {"root": TREE}, NODE, refused_by=NO_CYCLE),
    Case("required recursion", chain, {"first": {"name": "a", "next": {"name": "b", "next": None}}},
         Link("a", Link("b", None)), refused_by=NO_CYCLE),
    Case("mutual recursion", mutual, {"team": {"name": "t", "lead": {"name": "l"}}},
         Team("t", Member("l")), refused_by=NO_CYCLE),
    Case("recursive TypedDict", thread, {"comment": {"text": "a", "replies": [{"text": "b"}]}},
         {"text": "a", "replies": [{"text": "b"}]}, refused_by=NO_CYCLE),
    Case("one recursive type twice", two_trees, {"left": TREE, "right": None}, (NODE, None),
         refused_by=NO_CYCLE),
    Case("string within a string", forward, {"value": [{"row": 1, "size": "LARGE"}]},
         [Cell(1, Size.LARGE)]),
    Case("recursive alias of strings", aliased, {"value": {"a": ["b"]}}, {"a": ["b"]},
         refused_by={"gemini": "free names", "openai-strict": "a list may stand"}),
    Case("the example of the documentation", weather, {"city": "Oslo", "unit": "F"}, ("Oslo", "F")),
]  # fmt: skip
