"""Whatever a function does, and in every way of use: the conversation stays usable."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from multiturn import ChatSession
from multiturn.errors import BackendError, BrokenResponseError, ToolError, TooManyRounds
from multiturn.testing import ScriptedReply, function_calls
from tools.pairing import breaches
from tools.talking import CALL, calling, results
from ways import Way

DONE = "Done."


class Fault(NamedTuple):
    """A function that goes wrong.

    Attributes:
        act: The function; gets the session, and counts itself.
        told: What the model reads, or the type of error that it reads; None if the turn
            ends with ``error``.
        error: What the caller gets.
        options: Of the session.
        lines: What the model says before the last word.
    """

    act: Callable[..., Any]
    told: Any = None
    error: type[BaseException] | None = None
    options: Mapping[str, Any] = MappingProxyType({})
    lines: tuple[Any, ...] = (CALL,)
    runs: int = 1


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message either")


@dataclasses.dataclass
class Broken:
    size: int = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "size":
            raise OSError("the disk is gone")
        return super().__getattribute__(name)


def broken() -> Broken:
    return Broken()


def plain_object() -> object:
    return object()


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DEEP: list[Any] = []
for _ in range(5_000):
    DEEP = [DEEP]


def endless() -> Iterator[str]:
    return itertools.repeat("more " * 1_000)


def halfway() -> Iterator[int]:
    yield 1
    raise ValueError("stuck")


def deep() -> Any:
    return deep()


def hang() -> None:
    threading.Event().wait(20)


async def hang_async() -> None:
    await asyncio.sleep(20)


async def hang_on() -> None:
    """Swallows its cancellation, once."""
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        await asyncio.sleep(0)


async def endless_async() -> Any:
    while True:
        yield "more " * 1_000


def typed(n: int) -> int:
    return n


def send_here(chat: ChatSession) -> str:
    return chat.send_message("Me too.").text


async def send_here_async(chat: ChatSession) -> str:
    return (await chat.send_message_async("Me too.")).text


def rewind_here(chat: ChatSession) -> None:
    chat.rewind()


def error(kind: str, message: Any = ...) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


LIMIT: dict[str, Any] = {"tool_timeout_seconds": 0.02}
RAISE: dict[str, Any] = {"on_tool_error": "raise"}
BAD_ARGUMENT = (function_calls(("act", {"n": "many"})),)
INVALID = error("InvalidResult")
NO_OBJECT = copy.deepcopy(CALL)
NO_OBJECT.chunks[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] = ["x"]

FAULTS: dict[str, Fault] = {
    "raises": Fault(raising(ValueError("no")), error("ValueError", "no")),
    "raises without a message": Fault(raising(Mute()), error("Mute")),
    "raises half a character": Fault(raising(OSError("\ud800")), error("OSError", "\ufffd")),
    "raises a group": Fault(raising(ExceptionGroup("g", [OSError()])), error("ExceptionGroup")),
    # Python itself turns what a coroutine raises into a RuntimeError.
    "raises StopIteration": Fault(raising(StopIteration("x")), error("StopIteration|RuntimeError")),
    "raises, and the caller wants it": Fault(
        raising(OSError("no")), error=ToolError, options=RAISE
    ),
    "exits": Fault(raising(SystemExit(3)), error=SystemExit),
    "is interrupted": Fault(raising(KeyboardInterrupt()), error=KeyboardInterrupt),
    "is cancelled": Fault(raising(asyncio.CancelledError()), error=asyncio.CancelledError),
    "recurses": Fault(deep, error("RecursionError")),
    "hangs": Fault(hang, error("TookTooLong"), options=LIMIT),
    "hangs, async": Fault(hang_async, error("TookTooLong"), options=LIMIT),
    "hangs on, async": Fault(hang_on, error("TookTooLong"), options=LIMIT),
    "hangs, and the caller wants it": Fault(hang, error=ToolError, options={**LIMIT, **RAISE}),
    "returns what JSON cannot hold": Fault(plain_object, INVALID),
    "returns a cycle": Fault(lambda: CYCLE, INVALID),
    "returns deep nesting": Fault(lambda: DEEP, INVALID),
    "returns NaN": Fault(lambda: {"n": float("nan")}, INVALID),
    "returns a huge number": Fault(lambda: 10**5_000, INVALID),
    "returns half a character": Fault(lambda: "\ud800", {"result": "\ufffd"}),
    "returns too much": Fault(lambda: "x" * 2_000, INVALID, options={"max_result_bytes": 1_000}),
    "returns without end": Fault(endless, INVALID),
    "returns without end, async": Fault(endless_async, INVALID),
    "breaks off": Fault(halfway, error("ValueError", "stuck")),
    "returns what breaks": Fault(broken, error("OSError", "the disk is gone")),
    "returns junk, and the caller wants it": Fault(plain_object, error=ToolError, options=RAISE),
    "is not there": Fault(
        lambda: 1, error("UnknownFunction"), lines=(function_calls(("other", {})),), runs=0
    ),
    "gets no argument": Fault(typed, error("ArgumentMismatch"), runs=0),
    "gets a wrong argument": Fault(
        typed, error("ArgumentMismatch"), options=RAISE, lines=BAD_ARGUMENT, runs=0
    ),
    "gets no object": Fault(typed, error("ArgumentMismatch"), lines=(NO_OBJECT,), runs=0),
    "sends on its own session": Fault(send_here, error("SessionBusy")),
    "sends on its own session, async": Fault(send_here_async, error("SessionBusy")),
    "rewinds its own session": Fault(rewind_here, error("SessionBusy")),
    "is called for ever": Fault(lambda: 1, error=TooManyRounds, lines=(CALL,) * 10, runs=9),
    "is followed by a failure": Fault(
        lambda: 1, error=BackendError, lines=(CALL, BackendError("gone"))
    ),
    "is followed by a killed stream": Fault(
        lambda: 1, error=BackendError, lines=(CALL, ["So ", BackendError("cut")])
    ),
    "is followed by half an answer": Fault(
        lambda: 1, error=BrokenResponseError, lines=(CALL, ScriptedReply(("So ",), finish=None))
    ),
}


def counted(fault: Fault, runs: list[int], began: threading.Event) -> Callable[..., Any]:
    """Return the function under the name ``act``, counting its runs and telling that it runs."""

    @functools.wraps(fault.act)
    def act(*args: Any, **kwargs: Any) -> Any:
        runs.append(1)
        began.set()
        return fault.act(*args, **kwargs)

    act.__name__ = "act"
    return act


async def told(way: Way, chat: ChatSession, stream: bool) -> None:
    response = await way.send(chat, "Act.", stream=stream)
    async for _ in way.read(response):
        pass


def fine() -> str:
    return "fine"


def beside(line: Any) -> Any:
    """Return a reply that also calls a function which works."""
    if not isinstance(line, ScriptedReply) or not isinstance(line.chunks[0], dict):
        return line
    chunk = copy.deepcopy(line.chunks[0])
    parts = chunk["candidates"][0]["content"]["parts"]
    parts.append({"functionCall": {"name": "fine", "args": {}}})
    return ScriptedReply((chunk,))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@pytest.mark.parametrize("name", [*FAULTS])
def test_the_conversation_stays_usable(name: str, mode: str, stream: bool, way: Way) -> None:
    fault = FAULTS[name]
    runs: list[int] = []
    began = threading.Event()
    last = () if fault.error not in (None, ToolError) else (DONE,)
    lines = [*map(beside, fault.lines)] if mode == "concurrent" else fault.lines
    tools = [counted(fault, runs, began), fine]
    chat, backend = calling(tools, *lines, *last, tool_mode=mode, **fault.options)
    if fault.error is None:
        way.run(told(way, chat, stream))
        assert DONE == chat.history[-1].text
        response, *others = results(chat)
        matches(fault.told, response)
        if "tool_timeout_seconds" not in fault.options:  # on a busy machine both take too long
            assert [{"result": "fine"}] * (mode == "concurrent") == others
    else:
        with pytest.raises(fault.error):
            way.run(told(way, chat, stream))
        assert [] == chat.history
        assert "answered" != chat.journal[-1].outcome
    # On a busy machine a limit may be over before the function's thread has begun; it does.
    assert fault.runs == 0 or began.wait(20)
    assert fault.runs == len(runs)
    if way.name == "async" and fault.error in (KeyboardInterrupt, SystemExit):
        return  # these stop the event loop itself, and there is no other in this scenario
    before = len(chat.history)
    backend._lines.clear()
    backend.add("Fine.")
    way.run(told(way, chat, stream))
    assert [[]] * len(backend.requests) == [breaches(request) for request in backend.requests]
    assert before + 2 == len(chat.history)


def matches(expected: dict[str, Any], response: dict[str, Any]) -> None:
    """Compare what the model reads; an ellipsis stands for any message."""
    if expected.get("error", {}).get("message") is not ...:
        assert expected == response
        return
    assert response["error"]["type"] in expected["error"]["type"].split("|")
    assert response["error"]["message"]
    assert "Traceback" not in response["error"]["message"]
