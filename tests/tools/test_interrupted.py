"""Ctrl-C at every line, and cancellation at every await, of a turn with calls."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest

from multiturn import ChatSession
from multiturn.testing import ScriptedBackend, function_calls
from striking import cancelled_at
from test_interrupts import Strike, quiet_finalisers
from tools.pairing import breaches
from tools.talking import calling
from ways import Blocking

ACTS = function_calls(*(("act", {"n": n}) for n in (1, 2)), ("other", {"n": 3}))
ROLES = ["user", "model", "user", "model"]


def conversation(
    runs: Counter[int], is_async: bool = False, **options: Any
) -> tuple[ChatSession, ScriptedBackend]:
    """Return a session whose model calls functions that count themselves."""

    def act(n: int) -> int:
        runs[n] += 1
        return n

    async def act_async(n: int) -> int:
        runs[n] += 1
        await asyncio.sleep(0)
        return n

    tool = act_async if is_async else act
    tool.__name__ = "act"
    return calling([tool], ACTS, ["Do", "ne."], **options)


def check(chat: ChatSession, backend: ScriptedBackend, runs: Counter[int]) -> None:
    """What was struck is whole or absent; going on runs nothing twice; the next turn is valid."""
    roles = [content.role for content in chat.history]
    assert roles in ([], ROLES)
    assert "open" not in [entry.outcome for entry in chat.journal]
    if chat.pending is not None:
        assert [] == roles
        backend._lines.clear()
        backend.add("Done.")
        chat.resume()
        assert ROLES == [content.role for content in chat.history]
    assert not [n for n, count in runs.items() if count > 1]
    if roles == [] and runs:
        assert len(chat.history) == 4, "what ran has left no trace to go on from"
    backend._lines.clear()
    backend.add("Fine.")
    chat.send_message("And now?", request_options={"timeout": 0.001})
    assert [[]] * len(backend.requests) == [breaches(request) for request in backend.requests]


def test_ctrl_c_at_any_line_of_a_turn_with_calls() -> None:
    n, failures = 0, []
    way = Blocking()
    with quiet_finalisers():
        while True:
            n += 1
            runs: Counter[int] = Counter()
            chat, backend = conversation(runs)
            struck, tracer = Strike(n), sys.gettrace()
            talk = way.send(chat, "Act.")
            sys.settrace(struck)
            try:
                way.run(talk)
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(tracer)
            if not struck.where:
                break
            try:
                check(chat, backend, runs)
            except Exception as error:
                failures.append(f"{struck.where}: {error!r}")
    assert n > 500
    assert [] == sorted(set(failures))


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@pytest.mark.parametrize("stream", [False, True])
def test_cancelling_at_any_await_of_a_turn_with_calls(
    stream: bool, mode: str, is_async: bool
) -> None:
    async def talk(chat: ChatSession) -> None:
        response = await chat.send_message_async("Act.", stream=stream)
        async for _ in response:
            await asyncio.sleep(0)

    async def struck_at(n: int) -> bool:
        runs: Counter[int] = Counter()
        chat, backend = conversation(runs, is_async, tool_mode=mode)
        seen: list[int] = []
        with suppress(asyncio.CancelledError):
            await asyncio.create_task(_cancelled(n, talk(chat), seen))
        await asyncio.sleep(0.002)  # a thread that runs a function is let go, not stopped
        await asyncio.get_running_loop().run_in_executor(None, check, chat, backend, runs)
        return len(seen) >= n

    async def _cancelled(n: int, inner: Any, seen: list[int]) -> None:
        await cancelled_at(n, inner, seen)

    n = 0
    while asyncio.run(struck_at(n := n + 1)):
        pass
    assert n > 2
