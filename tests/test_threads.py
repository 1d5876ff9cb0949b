"""One session, many threads and tasks: no turn is lost, mixed or doubled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from multiturn import ChatSession, gate
from multiturn.request import Request
from multiturn.testing import ScriptedBackend
from ways import chat_with, in_thread, said, until


def echo(request: Request) -> list[str]:
    """Answer with the message, in pieces, so that a reply names its request."""
    text = request.contents[-1].text
    assert len(request.contents) % 2 == 1
    return ["re:", *text]


def echoing() -> tuple[ChatSession, ScriptedBackend]:
    backend = ScriptedBackend(echo, repeat=True)
    return chat_with(backend), backend


def check_echoes(chat: ChatSession, backend: ScriptedBackend, messages: set[str]) -> None:
    texts = said(chat)
    assert 2 * len(messages) == len(texts)
    assert messages == set(texts[::2])
    assert [f"re:{text}" for text in texts[::2]] == texts[1::2]
    assert [2 * i + 1 for i in range(len(messages))] == [len(r.contents) for r in backend.requests]
    assert ["answered"] * len(messages) == [entry.outcome for entry in chat.journal]
    assert 0 == backend.open_streams


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Run work in threads that start together; raise what one of them raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        try:
            barrier.wait(10)
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def test_eight_threads_send_a_hundred_messages_each() -> None:
    chat, backend = echoing()

    def work(i: int) -> None:
        for j in range(100):
            message = f"{i}-{j}"
            assert f"re:{message}" == chat.send_message(message).text

    at_once(8, work)
    check_echoes(chat, backend, {f"{i}-{j}" for i in range(8) for j in range(100)})


def test_threads_that_stream_do_not_mix_their_chunks() -> None:
    chat, backend = echoing()

    def work(i: int) -> None:
        for j in range(25):
            response = chat.send_message(f"{i}-{j}", stream=True)
            assert f"re:{i}-{j}" == "".join(chunk.text for chunk in response)

    at_once(8, work)
    check_echoes(chat, backend, {f"{i}-{j}" for i in range(8) for j in range(25)})


def test_threads_and_tasks_share_one_session() -> None:
    chat, backend = echoing()

    async def task(i: int, j: int) -> None:
        for k in range(5):
            response = await chat.send_message_async(f"{i}-{j}-{k}", stream=bool(k % 2))
            await response.resolve()
            assert f"re:{i}-{j}-{k}" == response.text

    def work(i: int) -> None:
        if i % 2:

            async def main() -> None:
                await asyncio.gather(*(task(i, j) for j in range(5)))

            asyncio.run(main())
        else:
            for j in range(5):
                for k in range(5):
                    chat.send_message(f"{i}-{j}-{k}")

    at_once(6, work)
    expected = {f"{i}-{j}-{k}" for i in range(6) for j in range(5) for k in range(5)}
    check_echoes(chat, backend, expected)


@pytest.mark.parametrize("stream", [False, True])
def test_gathered_sends_follow_one_another_in_order(stream: bool) -> None:
    chat, backend = echoing()

    async def ask(message: str) -> str:
        response = await chat.send_message_async(message, stream=stream)
        return "".join([chunk.text async for chunk in response])

    async def main() -> list[str]:
        return await asyncio.gather(*(ask(f"{i}") for i in range(50)))

    assert [f"re:{i}" for i in range(50)] == asyncio.run(main())
    assert [f"{i}" for i in range(50)] == said(chat)[::2]
    check_echoes(chat, backend, {f"{i}" for i in range(50)})


def test_one_chat_lives_across_event_loops_and_blocking_code() -> None:
    chat, backend = echoing()

    async def ask(message: str) -> None:
        await chat.send_message_async(message)
        response = await chat.send_message_async(f"{message}, streamed", stream=True)
        await response.resolve()

    async def block(message: str) -> None:
        chat.send_message(message)

    for i in range(3):
        asyncio.run(ask(f"a{i}"))
        chat.send_message(f"s{i}")
        asyncio.run(block(f"b{i}"))
        in_thread(lambda i=i: chat.send_message(f"t{i}"))
    names = [f"{kind}{i}" for i in range(3) for kind in ("a", "s", "b", "t")]
    check_echoes(chat, backend, {*names, *(f"a{i}, streamed" for i in range(3))})


def test_those_who_wait_enter_in_the_order_in_which_they_came() -> None:
    chat, _ = echoing()
    held = [chat.send_message("0", stream=True)]
    threads = []
    for i in range(1, 6):
        threads.append(threading.Thread(target=chat.send_message, args=(str(i),)))
        threads[-1].start()
        until(lambda i=i: len(chat._gate._waiting) == i)
    held[0].resolve()
    chat.send_message("6")  # at once, before those who were woken have looked
    for thread in threads:
        thread.join(10)
    assert ["0", "1", "2", "3", "4", "5", "6"] == said(chat)[::2]


@pytest.mark.parametrize("is_async", [False, True])
def test_who_queues_while_the_turn_before_ends_enters_without_waiting(
    is_async: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, backend = echoing()
    held = chat.send_message("0", stream=True)

    class Queue(list[Callable[[], object]]):
        """Ends the turn that is open when it was seen, and before the call is queued."""

        def append(self, wake: Callable[[], object]) -> None:
            held.resolve()
            super().append(wake)

    def waits(*_: float) -> float:
        raise AssertionError("it waits")

    chat._gate._waiting = Queue()
    monkeypatch.setattr(gate, "_wait_seconds", waits)
    in_thread(
        (lambda: asyncio.run(chat.send_message_async("1")))
        if is_async
        else (lambda: chat.send_message("1"))
    )
    check_echoes(chat, backend, {"0", "1"})


def test_a_task_that_was_cancelled_while_it_waited_lets_the_next_one_in() -> None:
    chat, backend = echoing()

    async def main() -> None:
        response = await chat.send_message_async("0", stream=True)
        tasks = [asyncio.create_task(chat.send_message_async(str(i))) for i in range(1, 5)]
        for _ in range(5):
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        await response.resolve()
        await asyncio.wait(tasks)

    asyncio.run(main())
    check_echoes(chat, backend, {"0", "2", "4"})
