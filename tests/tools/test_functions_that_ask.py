"""Functions that use conversations themselves, and the loop that they share."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import multiturn as genai
from multiturn import ChatSession
from multiturn.testing import function_calls
from tools.talking import CALL, calling, results
from ways import Way, in_thread


async def test_a_function_asks_on_the_side_in_a_fork(way: Way) -> None:
    def act(chat: ChatSession) -> str:
        side = chat.fork()
        side.model = genai.GenerativeModel(backend=genai.testing.ScriptedBackend("A wise answer."))
        return side.send_message("What do you think?").text

    chat, _ = calling([act], "Hello.", CALL, "I think so.")
    await way.send(chat, "Hi.")
    await way.send(chat, "Ask.")
    assert [{"result": "A wise answer."}] == results(chat)


def test_async_functions_share_one_loop_and_may_use_blocking_chats() -> None:
    loops: list[Any] = []

    async def act() -> str:
        loops.append(asyncio.get_running_loop())
        return "ok"

    async def nested() -> str:
        chat, _ = calling([act], CALL, "Inner.")
        return chat.send_message("Act.").text

    chat, _ = calling([act, nested], CALL, CALL, function_calls(("nested", {})), "Done.")
    chat.send_message("Act.")
    assert loops[0] is loops[1]
    assert {"result": "Inner."} == results(chat)[2]
    in_thread(lambda: None)


def test_a_loop_that_a_function_blocks_is_left_to_it() -> None:
    release = threading.Event()

    async def block() -> None:
        release.wait(20)

    async def act() -> str:
        return "ok"

    chat, _ = calling(
        [block, act], function_calls(("block", {}), ("act", {})), "Done.",
        tool_timeout_seconds=0.05,
    )  # fmt: skip
    chat.send_message("Act.")
    release.set()
    assert ["error", "result"] == [next(iter(response)) for response in results(chat)]
