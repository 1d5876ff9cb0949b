"""What functions are given, and what the model is told of what they return."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from typing import Annotated, Any

import pytest

import multiturn as genai
from multiturn import ChatSession, Injected
from multiturn.calls import Call
from multiturn.errors import (
    InvalidContent,
    UsageError,
)
from multiturn.messages.content import Blob
from multiturn.testing import function_calls
from tools.talking import CALL, calling, results
from ways import Way

PNG = b"\x89PNG\r\n\x1a\n"


class Color(Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


async def test_arguments_arrive_with_their_declared_types(way: Way) -> None:
    got: list[Any] = []

    def act(color: Color, point: Point, n: int = 3) -> None:
        got.append((color, point, n))

    call = function_calls(("act", {"color": "RED", "point": {"x": 2.0}, "n": 4.0}))
    chat, _ = calling([act], call, "Done.")
    await way.send(chat, "Act.")
    assert [(Color.RED, Point(2, 0.0), 4)] == got
    assert [{"result": None}] == results(chat)


def numbers() -> Iterator[int]:
    yield from (1, 2)


async def numbers_async() -> AsyncIterator[int]:
    yield 1
    yield 2


async def later() -> str:
    await asyncio.sleep(0)
    return "late"


def gives_async() -> Any:
    return later()


class Object:
    async def __call__(self, n: int = 1) -> int:
        return n


RESULTS: list[tuple[Any, Any]] = [
    (lambda: {"a": 1}, {"a": 1}),
    (lambda: None, {"result": None}),
    (lambda: Point(1), {"x": 1, "y": 0.0}),
    (lambda: b"\x00\x01", {"result": "AAE="}),
    (lambda: {1, 2}, {"result": [1, 2]}),
    (numbers, {"result": [1, 2]}),
    (numbers_async, {"result": [1, 2]}),
    (later, {"result": "late"}),
    (gives_async, {"result": "late"}),
    (Object(), {"result": 1}),
    (functools.partial(Object().__call__, 5), {"result": 5}),
]


@pytest.mark.parametrize(("function", "expected"), RESULTS, ids=range(len(RESULTS)))
@pytest.mark.parametrize("limit", [None, 5.0])
def test_any_kind_of_function_and_result(
    function: Any, expected: Any, limit: float | None, way: Way
) -> None:
    declared = genai.types.CallableFunctionDeclaration(
        name="act", description="Acts.", function=function
    )
    chat, _ = calling([declared], CALL, "Done.", tool_timeout_seconds=limit)
    way.run(way.send(chat, "Act."))
    assert [expected] == results(chat)


@pytest.mark.parametrize(
    ("value", "response", "n_media"),
    [
        (Blob(mime_type="image/png", data=PNG), {"result": {"$ref": "media_1"}}, 1),
        (
            ["Look:", Blob(mime_type="image/png", data=PNG, display_name="plot.png")],
            {"result": ["Look:", {"$ref": "plot.png"}]},
            1,
        ),
        (
            {"a": Blob(mime_type="image/png", data=PNG), "n": 2},
            {"a": {"$ref": "media_1"}, "n": 2},
            1,
        ),
    ],
    ids=["alone", "in a list", "in a dict"],
)
async def test_pictures_go_beside_the_response(
    value: Any, response: Any, n_media: int, way: Way
) -> None:
    def act() -> Any:
        return value

    chat, _ = calling([act], CALL, "Nice.")
    await way.send(chat, "Draw.")
    (part,) = chat.history[2].json_object["parts"]
    assert response == part["functionResponse"]["response"]
    media = part["functionResponse"]["parts"]
    assert [PNG] * n_media == [Blob.view(one["inlineData"]).data for one in media]


async def test_context_variables_reach_the_function(way: Way) -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")

    def act() -> str:
        return user.get()

    async def act_async() -> str:
        return user.get()

    user.set("ada")
    call = function_calls(("act", {}), ("act_async", {}))
    for options in ({}, {"tool_mode": "concurrent"}, {"tool_timeout_seconds": 5}):
        chat, _ = calling([act, act_async], call, "Hello.", **options)
        await way.send(chat, "Who?")
        assert [{"result": "ada"}] * 2 == results(chat)


async def test_what_the_program_gives_is_not_shown_to_the_model(way: Way) -> None:
    got: list[Any] = []

    def act(
        n: int, call: Call, chat: ChatSession, user: Annotated[str, Injected], log: str = ""
    ) -> None:
        got.append((n, call, chat, user))

    lines = [function_calls(("act", args)) for args in ({"n": 1}, {"n": 1, "user": "mallory"})]
    chat, backend = calling([act], *lines, "Done.", injected={"user": "ada"})
    await way.send(chat, "Act.")
    (declared,) = backend.requests[0].tools[0]["functionDeclarations"]
    assert ["n", "log"] == list(declared["parameters"]["properties"])
    assert [(1, Call(0, "act", {"n": 1}), chat, "ada")] == got
    assert "ArgumentMismatch" == results(chat)[1]["error"]["type"]


async def test_a_parameter_that_nobody_gives_is_refused_before_anything_is_sent(way: Way) -> None:
    def act(user: Annotated[str, Injected]) -> None: ...

    chat, backend = calling([act], CALL)
    with pytest.raises(UsageError, match="'act' needs user"):
        await way.send(chat, "Act.")
    assert [] == backend.requests


async def test_what_the_program_gives_reaches_no_function_that_does_not_name_it(way: Way) -> None:
    got: list[Any] = []

    def anything(**arguments: Any) -> None:
        got.append(arguments)

    def named(user: str, **arguments: Any) -> None:
        got.append((user, arguments))

    tools = [
        genai.types.CallableFunctionDeclaration(
            name=function.__name__, description="Acts.", function=function,
            parameters={"type": "object", "properties": {"n": {"type": "integer"}}},
        )
        for function in (anything, named)
    ]  # fmt: skip
    line = function_calls(("anything", {"n": 1}), ("named", {"n": 1, "user": "mallory"}))
    chat, _ = calling(tools, line, "Done.", injected={"user": "ada", "key": "secret"})
    await way.send(chat, "Act.")
    assert [{"n": 1}, ("ada", {"n": 1})] == got


async def test_a_name_that_is_nearly_that_of_a_parameter_is_refused(way: Way) -> None:
    def act(user: Annotated[str, Injected] = "nobody") -> str:
        return user

    chat, backend = calling([act], CALL, "Done.", injected={"usr": "ada"})
    with pytest.raises(UsageError, match="'usr', which no function takes; did you mean 'user'"):
        await way.send(chat, "Act.")
    assert [] == backend.requests
    chat.calling = {"injected": {"database": "for others"}}
    await way.send(chat, "Act.")
    assert [{"result": "nobody"}] == results(chat)


@pytest.mark.parametrize(
    "options",
    [{"tool_mode": "fast"}, {"max_rounds": 0}, {"approve": True},
     {"injected": ["x"]}, {"tool_timeout_seconds": 0}],
    ids=str,
)  # fmt: skip
def test_a_wrong_option_is_refused_when_the_chat_begins(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidContent, match=rf"^{next(iter(options))} is"):
        calling([], **options)


def test_an_option_that_does_not_exist_is_refused_when_the_chat_begins() -> None:
    with pytest.raises(InvalidContent, match="'tool_mod'; did you mean 'tool_mode'"):
        calling([], tool_mod="fast")
