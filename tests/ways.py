"""The two ways of using a conversation, so that each scenario is written once.

A scenario is a coroutine function that gets a ``way``.  The blocking way never
suspends: its coroutine is run by hand, without any event loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Self, TypeVar

from multiturn import ChatSession, GenerativeModel
from multiturn.retry import Retry
from multiturn.testing import Line, ScriptedBackend

T = TypeVar("T")
Response = Any
Reader = AsyncIterator[Any]


def _lowest(lowest: float, highest: float) -> float:
    return lowest


AT_ONCE = Retry(uniform=_lowest)


class Blocking:
    """send_message, ``for``."""

    name = "sync"

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        try:
            scenario.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise AssertionError("a blocking scenario was suspended")

    async def send(self, chat: ChatSession, content: Any, **options: Any) -> Response:
        return chat.send_message(content, **options)

    async def generate(self, model: GenerativeModel, contents: Any, **options: Any) -> Response:
        return model.generate_content(contents, **options)

    async def count(self, model: GenerativeModel, contents: Any, **options: Any) -> Any:
        return model.count_tokens(contents, **options)

    async def resolve(self, response: Response) -> None:
        response.resolve()

    def read(self, response: Response) -> Reader:
        return _BlockingReader(iter(response))

    async def idle(self) -> None:
        """Let what is due happen."""

    def let_stop(self) -> None:
        """Nothing is left of what was interrupted."""

    def close(self) -> None:
        pass


class _BlockingReader:
    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._chunks)
        except StopIteration:
            raise StopAsyncIteration from None


class Async:
    """send_message_async, ``async for``; every ``run`` is a task of its own on one loop."""

    name = "async"

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(scenario)

    async def send(self, chat: ChatSession, content: Any, **options: Any) -> Response:
        return await chat.send_message_async(content, **options)

    async def generate(self, model: GenerativeModel, contents: Any, **options: Any) -> Response:
        return await model.generate_content_async(contents, **options)

    async def count(self, model: GenerativeModel, contents: Any, **options: Any) -> Any:
        return await model.count_tokens_async(contents, **options)

    async def resolve(self, response: Response) -> None:
        await response.resolve()

    def read(self, response: Response) -> Reader:
        return response.__aiter__()  # type: ignore[no-any-return]

    async def idle(self) -> None:
        """Let the loop run until what is due has happened."""
        for _ in range(10):
            await asyncio.sleep(0)

    def let_stop(self) -> None:
        """Let the loop stop, as was due when an interrupt outside of its task came before.

        asyncio then leaves the stop in the loop, where it would end the next run too soon.
        What runs on is cancelled, as ``asyncio.run`` does.
        """
        loop = self._runner.get_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    def close(self) -> None:
        self._runner.close()


Way = Blocking | Async
WAYS: dict[str, Callable[[], Way]] = {"sync": Blocking, "async": Async}


def conversation(*lines: Line, **options: Any) -> tuple[ChatSession, ScriptedBackend]:
    """Return a session whose model plays a script, and the backend that plays it."""
    backend = ScriptedBackend(*lines)
    return chat_with(backend, **options), backend


def chat_with(backend: Any, *, history: Any = None, **options: Any) -> ChatSession:
    """Return a session that asks a backend, and asks again without a pause."""
    session = {n: options.pop(n) for n in ("busy",) if n in options}
    model = GenerativeModel(backend=backend, retry=AT_ONCE, **options)
    return ChatSession(model, history, **session)


def said(chat: ChatSession) -> list[str]:
    """Return the texts of a history, oldest first."""
    return [content.text for content in chat.history]


def wire(chat: ChatSession) -> list[dict[str, Any]]:
    """Return the JSON of a history, oldest first."""
    return [content.json_object for content in chat.history]


def text_chunk(text: str, finish: str | None = None, **part: Any) -> dict[str, Any]:
    """Return a chunk as the wire has it."""
    return parts_chunk([{"text": text, **part}], finish)


def parts_chunk(parts: list[dict[str, Any]], finish: str | None = None) -> dict[str, Any]:
    """Return a chunk with these parts."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate]}


BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}}


async def read_into(texts: list[str], reader: Reader) -> None:
    """Read a reply to its end, and keep the texts also when it ends in an error."""
    async for chunk in reader:
        texts.append(chunk.text)


def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Wait for another thread; fail if what it was to do has not happened in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not happened in time"
        time.sleep(0.0005)


def in_thread(work: Callable[[], T]) -> T:
    """Do something in another thread and wait for it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "the other thread hangs"
    if errors:
        raise errors[0]
    return results[0]
