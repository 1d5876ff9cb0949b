"""Calls of one reply that run at once, and how they are ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from multiturn.calls import Call
from multiturn.errors import ToolError, TurnCancelled
from multiturn.testing import function_calls
from tools.pairing import breaches
from tools.talking import CALL, calling, results
from ways import Way, until


class Meeting:
    """Counts who is there; ``together`` is set when as many are as are waited for."""

    def __init__(self, size: int) -> None:
        self.size, self.here, self.most = size, 0, 0
        self.lock, self.together = threading.Lock(), threading.Event()

    def __enter__(self) -> None:
        with self.lock:
            self.here += 1
            self.most = max(self.most, self.here)
            if self.here == self.size:
                self.together.set()

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.here -= 1

    def come(self, n: int) -> int:
        with self:
            self.together.wait(60)
        return n

    async def come_async(self, n: int) -> int:
        with self:
            while not self.together.is_set():
                await asyncio.sleep(0.001)
        return n


@pytest.mark.parametrize("name", ["come", "come_async"])
async def test_calls_of_one_reply_overlap_and_are_answered_in_their_order(
    name: str, way: Way
) -> None:
    meeting = Meeting(10)
    line = function_calls(*((name, {"n": n}) for n in range(10)))
    chat, backend = calling(
        [getattr(meeting, name)], line, "Done.", tool_mode="concurrent", max_concurrent_calls=10
    )
    await way.send(chat, "Come.")
    assert 10 == meeting.most
    assert [{"result": n} for n in range(10)] == results(chat)
    assert [] == breaches(backend.requests[-1])


@pytest.mark.parametrize("name", ["come", "come_async"])
async def test_no_more_run_at_once_than_may(name: str, way: Way) -> None:
    for options, most in (({"tool_mode": "concurrent", "max_concurrent_calls": 3}, 3), ({}, 1)):
        meeting = Meeting(most)
        line = function_calls(*((name, {"n": n}) for n in range(9)))
        chat, _ = calling([getattr(meeting, name)], line, "Done.", **options)
        await way.send(chat, "Come.")
        assert most == meeting.most


async def test_when_one_call_ends_the_turn_no_others_begin(way: Way) -> None:
    runs: list[int] = []

    def act(n: int) -> None:
        runs.append(n)
        raise ValueError(n)

    line = function_calls(*(("act", {"n": n}) for n in range(50)))
    chat, _ = calling(
        [act], line, tool_mode="concurrent", max_concurrent_calls=1, on_tool_error="raise"
    )
    with pytest.raises(ToolError):
        await way.send(chat, "Act.")
    await way.idle()
    threading.Event().wait(0.005)
    assert len(runs) <= 3


async def test_async_code_is_cancelled_at_its_limit_and_cleans_up(way: Way) -> None:
    ended: list[str] = []

    async def act() -> None:
        try:
            await asyncio.sleep(20)
        finally:
            ended.append("cleaned up")

    chat, _ = calling([act], CALL, "Done.", tool_timeout_seconds=0.01)
    await way.send(chat, "Act.")
    until(lambda: ended == ["cleaned up"])
    assert "TookTooLong" == results(chat)[0]["error"]["type"]


@pytest.mark.parametrize("limit", [None, 20.0])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_turn_is_cancelled_while_functions_run(mode: str, limit: float | None, way: Way) -> None:
    running = threading.Event()

    async def act() -> None:
        running.set()
        await asyncio.sleep(20)

    line = function_calls(("act", {}), ("act", {}))
    chat, _ = calling(
        [act], line, tool_mode=mode, on_tool_error="raise", tool_timeout_seconds=limit
    )

    def cancel() -> None:
        assert running.wait(60)
        chat._gate.holder.cancel.set("enough")  # type: ignore[union-attr]

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(TurnCancelled, match=r"enough|cancelled"):
        way.run(way.send(chat, "Act."))
    canceller.join()
    assert ([], "cancelled") == (chat.history, chat.journal[-1].outcome)


@pytest.mark.parametrize("is_interrupt", [False, True], ids=["cancelled", "interrupted"])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_what_had_not_begun_when_the_turn_ended_never_begins(
    mode: str, is_interrupt: bool, way: Way, hops: list[threading.Event]
) -> None:
    go, waits, runs = threading.Event(), threading.Event(), [0, 0]

    def before(call: Call) -> None:
        if go.is_set():
            return
        if call.index == 1:
            waits.set()
            assert go.wait(20)
            return
        assert mode == "sequential" or waits.wait(20)
        if is_interrupt:
            raise KeyboardInterrupt
        chat._gate.holder.cancel.set("enough")  # type: ignore[union-attr]

    def act(n: int) -> int:
        runs[n] += 1
        return n

    line = function_calls(("act", {"n": 0}), ("act", {"n": 1}))
    chat, _ = calling([act], line, "Done.", tool_mode=mode, before_call=before)
    talk = way.send(chat, "Act.")
    with pytest.raises(KeyboardInterrupt if is_interrupt else TurnCancelled):
        way.run(talk)
    go.set()
    assert all(ended.wait(20) for ended in hops)
    assert [0, 0] == runs
    chat.resume()
    assert [1, 1] == runs
