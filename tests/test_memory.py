"""A thousand turns that came to nothing leave nothing but their journal."""

from __future__ import annotations

import gc
import json
import tracemalloc
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gemini.canned import Canned
from multiturn import ChatSession
from multiturn.errors import BackendError, MultiturnError
from multiturn.exchange import Exchange
from multiturn.response import BaseGenerateContentResponse
from multiturn.testing import ScriptedReply
from ways import BLOCKED, Way, conversation, said

TURNS = 1000
KINDS = (
    Exchange,
    BaseGenerateContentResponse,
    types.GeneratorType,
    types.AsyncGeneratorType,
    types.CoroutineType,
)


@pytest.fixture(autouse=True)
def _nothing_else_to_collect() -> Iterator[None]:
    """Keep the collector to what the test makes: it is called often, and counts all there is."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def alive() -> Counter[str]:
    """Count what belongs to a turn under way, after one pass of the collector."""
    gc.collect()
    return Counter(type(value).__name__ for value in gc.get_objects() if isinstance(value, KINDS))


async def fail(way: Way, chat: ChatSession) -> None:
    with pytest.raises(MultiturnError):
        await way.send(chat, "b")


async def fail_streaming(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    with pytest.raises(MultiturnError):
        await way.resolve(response)


async def cancel(way: Way, chat: ChatSession) -> None:
    response = await way.send(chat, "b", stream=True)
    response.cancel()
    with pytest.raises(MultiturnError):
        await way.resolve(response)


async def abandon(way: Way, chat: ChatSession) -> None:
    async for _ in way.read(await way.send(chat, "b", stream=True)):
        break


async def drop(way: Way, chat: ChatSession) -> None:
    await way.send(chat, "b", stream=True)


async def keep_and_go_on(way: Way, chat: ChatSession) -> None:
    reader = way.read(await way.send(chat, "b", stream=True))
    await anext(reader)
    chat.history = []


SCENARIOS: dict[str, tuple[Callable[[Way, ChatSession], Any], Any]] = {
    "failing": (fail, lambda request: ["One", BackendError("cut")]),
    "blocked": (fail, BLOCKED),
    "stopped": (fail, ScriptedReply(("One",), finish="SAFETY")),
    "broken": (fail_streaming, ScriptedReply(("One",), finish=None)),
    "cancelled": (cancel, ["One", "Two"]),
    "abandoned": (abandon, ["One", "Two"]),
    "dropped": (drop, ["One", "Two"]),
    "replaced": (keep_and_go_on, ["One", "Two"]),
}


@pytest.mark.parametrize("name", [*SCENARIOS])
async def test_turns_that_came_to_nothing_leave_nothing_alive(way: Way, name: str) -> None:
    scenario, line = SCENARIOS[name]
    chat, backend = conversation()

    async def turns(count: int) -> None:
        for _ in range(count):
            backend.add(line)
            await scenario(way, chat)
        await way.idle()
        backend.requests.clear()

    await turns(5)
    before = alive()
    await turns(TURNS)
    assert TURNS + 5 == len(chat.journal)
    assert before == alive()
    assert 0 == backend.open_streams
    assert [] == said(chat)
    assert len(chat._gate._waiting) == 0


@pytest.mark.parametrize("name", [*SCENARIOS])
async def test_a_turn_that_came_to_nothing_takes_little_memory(way: Way, name: str) -> None:
    """What stays is the entry, what was said, what had arrived, and the error."""
    scenario, line = SCENARIOS[name]
    chat, backend = conversation()

    async def turns(count: int) -> None:
        for _ in range(count):
            backend.add(line)
            await scenario(way, chat)
        await way.idle()
        backend.requests.clear()
        gc.collect()

    await turns(20)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await turns(100)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown / 100 < 4096


async def test_an_answered_turn_takes_little_more_than_its_text(way: Way) -> None:
    chat, backend = conversation()

    async def turns(count: int) -> None:
        for _ in range(count):
            backend.add("x" * 1000)
            await way.send(chat, "y")
        backend.requests.clear()
        gc.collect()

    await turns(20)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await turns(100)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown / 100 < 5 * 1024


async def test_a_whole_stream_needs_no_collector(way: Way) -> None:
    """Nothing of a turn lies in a cycle: it vanishes by itself."""
    chat, backend = conversation()
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            backend.add(["One", "Two"])
            response = await way.send(chat, "b", stream=True)
            async for _ in way.read(response):
                pass
            before = len([o for o in gc.get_objects() if isinstance(o, KINDS)])
            del response
        assert before == len([o for o in gc.get_objects() if isinstance(o, KINDS)])
    finally:
        gc.enable()


async def test_the_journal_does_not_keep_the_callers_variables(way: Way) -> None:
    """An error's traceback holds every frame up to its cause, and all that they held."""

    class Big:
        pass

    chat, _ = conversation(BackendError("no"))

    async def call() -> None:
        big = Big()
        try:
            await way.send(chat, "b")
        except BackendError:
            assert big is not None

    await call()
    chat.model.backend.add("Fine.")  # type: ignore[attr-defined]
    await way.send(chat, "c")
    gc.collect()
    assert [] == [o for o in gc.get_objects() if isinstance(o, Big)]
    assert ("no", BackendError) == (str(chat.journal[0].error), type(chat.journal[0].error))


async def test_an_answered_turn_leaves_the_collector_little_to_walk(way: Way) -> None:
    """What stays is what was said and answered, its entry, and who answered at what cost.

    The collector looks at every object again and again, however little memory it takes.
    """
    content = {"parts": [{"text": "Hello."}], "role": "model"}
    answer = {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "usageMetadata": {"totalTokenCount": 3},
    }
    canned = Canned(json.dumps(answer).encode())
    chat = canned.model().start_chat()

    async def counted(turns: int) -> int:
        for _ in range(turns):
            await way.send(chat, "Hi.")
        canned.requests.clear()
        gc.collect()
        return len(gc.get_objects())

    before = await counted(20)
    assert (await counted(100) - before) / 100 < 13
