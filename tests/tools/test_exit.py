"""A function that hangs keeps neither the program nor an event loop from ending."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tools.talking import CALL, calling, results

START = """
import asyncio, threading, time
import multiturn as genai
from multiturn.testing import ScriptedBackend, function_calls

def hang(): threading.Event().wait(60)
async def hang_async(): await asyncio.sleep(60)
async def block(): time.sleep(60)

def chat(tool, **options):
    backend = ScriptedBackend(function_calls((tool.__name__, {})), "Done.")
    model = genai.GenerativeModel(backend=backend, tools=[tool])
    return model.start_chat(enable_automatic_function_calling=True, **options)

"""
LIMIT = "tool_timeout_seconds=0.02"
SCRIPTS = {
    "blocking": f"print(chat(hang, {LIMIT}).send_message('x').text)",
    "blocking, at once": (
        f"print(chat(hang, {LIMIT}, tool_mode='concurrent').send_message('x').text)"
    ),
    "async code in blocking": f"print(chat(hang_async, {LIMIT}).send_message('x').text)",
    "async code that blocks": f"print(chat(block, {LIMIT}).send_message('x').text)",
    "event loop": f"print(asyncio.run(chat(hang, {LIMIT}).send_message_async('x')).text)",
    "async code": f"print(asyncio.run(chat(hang_async, {LIMIT}).send_message_async('x')).text)",
    "a limit of asyncio": """
async def main():
    try:
        await asyncio.wait_for(chat(hang).send_message_async('x'), 0.02)
    except TimeoutError:
        print('Done.')
asyncio.run(main())
""",
}


@pytest.mark.parametrize("name", [*SCRIPTS])
def test_the_program_ends_though_a_function_hangs(name: str) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", START + SCRIPTS[name]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, "Done.\n", "") == (done.returncode, done.stdout, done.stderr)
    assert time.monotonic() - started < 15, "it waited for the function"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_ctrl_c_and_exit_of_a_function_end_the_event_loop_and_not_the_session(
    mode: str, is_async: bool, error: type[BaseException]
) -> None:
    import asyncio

    def act() -> None:
        raise error

    async def act_async() -> None:
        raise error

    tool = act_async if is_async else act
    tool.__name__ = "act"
    chat, backend = calling([tool], CALL, tool_mode=mode)
    with pytest.raises(error):
        asyncio.run(chat.send_message_async("Act."))
    assert ([], "interrupted") == (chat.history, chat.journal[-1].outcome)
    backend.add("Sorry.")
    asyncio.run(chat.resume_async())
    assert "OutcomeUnknown" == results(chat)[0]["error"]["type"]
