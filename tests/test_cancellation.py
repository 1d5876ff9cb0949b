"""A task is cancelled at every await of a turn: nothing is left, and the session works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel
from multiturn.cancel import Cancel
from multiturn.errors import BackendError, BrokenResponseError
from multiturn.testing import Pause, ScriptedBackend, ScriptedReply
from striking import cancelled_at
from ways import AT_ONCE, conversation, said, text_chunk, until

BEFORE = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
WHOLE = ["q", "a", "b", "OneTwo"]
BUSY = BackendError("busy", retryable=True)
Scenario = Callable[[ChatSession], Coroutine[Any, Any, None]]


async def send(chat: ChatSession) -> None:
    await chat.send_message_async("b")


async def stream(chat: ChatSession) -> None:
    async for _ in await chat.send_message_async("b", stream=True):
        await asyncio.sleep(0)


async def resolve(chat: ChatSession) -> None:
    response = await chat.send_message_async("b", stream=True)
    await response.resolve()


async def wait_for_another(chat: ChatSession) -> None:
    """Wait at the gate until another task has broken off its stream."""

    async def hold() -> None:
        async for _ in await chat.send_message_async("x", stream=True):
            for _ in range(3):
                await asyncio.sleep(0)
            break

    holder = asyncio.create_task(hold())
    try:
        await asyncio.sleep(0)
        await chat.send_message_async("b")
    finally:
        await holder


class Suspending(ScriptedBackend):
    """Suspends before each chunk, as a network does; its last await is after the last chunk."""

    async def stream_async(self, request: Any, cancel: Any) -> Any:
        chunks = super().stream_async(request, cancel)
        try:
            await asyncio.sleep(0)
            async for chunk in chunks:
                yield chunk
                await asyncio.sleep(0)
        finally:
            # Closing may take time too: nothing may be lost if that is cancelled.
            await chunks.aclose()  # type: ignore[attr-defined]
            await asyncio.sleep(0)


PATHS: dict[str, tuple[Scenario, list[Any]]] = {
    "send": (send, [["One", "Two"]]),
    "stream": (stream, [["One", "Two"]]),
    "resolve": (resolve, [["One", "Two"]]),
    "pause": (send, [["One", Pause(0.001), "Two"]]),
    "retry": (send, [BUSY, BUSY, ["One", "Two"]]),
    "empty end": (stream, [["One", "Two", {"usageMetadata": {"totalTokenCount": 3}}]]),
    "unsafe": (send, [[text_chunk("One", "SAFETY")]]),
    "failing": (send, [["One", BackendError("cut")]]),
    "wait": (wait_for_another, [["x", "y"], ["One", "Two"]]),
}


async def _cancel_at(n: int, scenario: Scenario, chat: ChatSession) -> bool:
    seen: list[int] = []
    try:
        await cancelled_at(n, scenario(chat), seen)
    except (asyncio.CancelledError, BackendError, Exception) as error:
        if isinstance(error, AssertionError):
            raise
    return len(seen) >= n


@pytest.mark.parametrize("name", [*PATHS])
def test_cancelling_at_any_await_leaves_a_session_that_works(name: str) -> None:
    scenario, lines = PATHS[name]

    async def struck_at(n: int) -> bool:
        backend = Suspending(*lines)
        chat = ChatSession(GenerativeModel(backend=backend, retry=AT_ONCE), BEFORE)
        task = asyncio.create_task(_cancel_at(n, scenario, chat))
        struck = await task
        left = said(chat)
        assert left in (["q", "a"], WHOLE)
        backend._lines.clear()
        backend.add(["Fi", "ne."])
        response = await chat.send_message_async("c", request_options={"timeout": 0.001})
        assert "Fine." == response.text
        assert [*left, "c", "Fine."] == said(chat)
        for _ in range(10):
            await asyncio.sleep(0)
        assert 0 == backend.open_streams
        outcomes = [entry.outcome for entry in chat.journal]
        assert "open" not in outcomes
        assert (len(left) // 2) == outcomes.count("answered")
        assert {asyncio.current_task()} == asyncio.all_tasks()
        return struck

    n = 0
    while asyncio.run(struck_at(n := n + 1)):
        pass
    assert n > 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("delay", [0, 1, 2, 3])
def test_a_task_that_is_cancelled_from_outside_ends_promptly(stream: bool, delay: int) -> None:
    async def main() -> None:
        chat, backend = conversation(["One", Pause(60), "Two"], "Fine.", history=BEFORE)

        async def talk() -> None:
            response = await chat.send_message_async("b", stream=stream)
            await response.resolve()

        task = asyncio.create_task(talk())
        for _ in range(delay):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)
        assert ["q", "a"] == said(chat)
        assert all(entry.outcome == "cancelled" for entry in chat.journal)
        if delay == 0:
            backend._lines.popleft()
        await chat.send_message_async("c")
        assert ["q", "a", "c", "Fine."] == said(chat)
        assert 0 == backend.open_streams

    asyncio.run(main())


def test_a_time_limit_of_asyncio_cancels_the_turn() -> None:
    async def main() -> None:
        chat, backend = conversation([Pause(60), "One"], "Fine.")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await chat.send_message_async("b")
        assert (0, "cancelled") == (backend.open_streams, chat.journal[0].outcome)
        await chat.send_message_async("b")
        assert ["b", "Fine."] == said(chat)

    asyncio.run(main())


def test_a_loop_that_ends_with_open_streams_closes_them() -> None:
    chat, backend = conversation(["One", "Two"], "Fine.")
    kept: list[Any] = []

    async def main() -> None:
        response = await chat.send_message_async("b", stream=True)
        kept.append(response.__aiter__())
        await anext(kept[0])

    asyncio.run(main())
    assert 0 == backend.open_streams
    chat.send_message("b")
    assert ["b", "Fine."] == said(chat)


def test_cancel_from_a_thread_wakes_a_task_at_once() -> None:
    import threading

    chat, backend = conversation([Pause(60), "One"])

    def cancel() -> None:
        until(lambda: backend.open_streams == 1 and chat.last is not None)
        chat.last.cancel()  # type: ignore[union-attr]

    thread = threading.Thread(target=cancel)
    thread.start()

    async def main() -> None:
        with pytest.raises(Exception, match=r"response\.cancel"):
            await asyncio.wait_for(chat.send_message_async("b"), 5)

    asyncio.run(main())
    thread.join()
    assert "cancelled" == chat.journal[0].outcome


def test_a_callback_is_called_also_when_the_flag_was_up_before() -> None:
    cancel, called = Cancel(), []
    cancel.set("first")
    cancel.set("second")
    cancel.call(lambda: called.append(1))
    assert ("first", [1]) == (cancel.reason, called)


def test_a_callback_that_was_taken_off_is_not_called() -> None:
    cancel, called = Cancel(), []
    callbacks = [lambda: called.append(1), lambda: called.append(2)]
    for callback in callbacks:
        cancel.call(callback)
    cancel.forget(callbacks[0])
    cancel.forget(callbacks[0])
    cancel.set()
    assert [2] == called


def replacing(chat: ChatSession, how: str) -> Coroutine[Any, Any, object]:
    async def other() -> None:
        if how == "ask":
            await chat.send_message_async("c")
        else:
            chat.history = []

    return other()


@pytest.mark.parametrize("how", ["ask", "change"])
def test_a_reply_that_is_kept_while_another_call_replaces_it_is_closed(how: str) -> None:
    async def main() -> None:
        chat, backend = conversation(["One", "Two"], "Fine.")
        kept = await chat.send_message_async("b", stream=True)
        assert 1 == backend.open_streams
        await replacing(chat, how)
        for _ in range(10):
            await asyncio.sleep(0)
        assert 0 == backend.open_streams
        with pytest.raises(Exception, match="another call on this session"):
            await kept.resolve()
        assert {asyncio.current_task()} == asyncio.all_tasks()

    asyncio.run(main())


def test_a_reply_whose_loop_is_over_is_replaced_from_anywhere() -> None:
    chat, backend = conversation(["One", "Two"], "Fine.")
    kept: list[Any] = []

    async def main() -> None:
        kept.append(await chat.send_message_async("b", stream=True))

    asyncio.run(main())
    chat.send_message("c")
    assert (["c", "Fine."], 0) == (said(chat), backend.open_streams)


def test_a_reply_that_outlives_its_event_loop_says_so() -> None:
    chat, _ = conversation(ScriptedReply(("a", "b", "c")))

    async def begun() -> Any:
        return await chat.send_message_async("Hi", stream=True)

    async def read(response: Any) -> None:
        await response.resolve()

    response = asyncio.run(begun())
    with pytest.raises(BrokenResponseError, match="not read to its end when its loop ended"):
        asyncio.run(read(response))
    assert ([], "abandoned") == (chat.history, chat.journal[0].outcome)
