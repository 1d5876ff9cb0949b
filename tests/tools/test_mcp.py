"""The functions of a real MCP server process, made with the official package."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import multiturn as genai
from multiturn.errors import ApprovalNeeded, ConnectionFailed, InvalidContent, UsageError
from multiturn.testing import function_calls
from tools.pairing import breaches
from tools.talking import calling, results
from ways import Way, in_thread, until

pytest.importorskip("mcp", reason="the optional package mcp is not installed")

COMMAND = [sys.executable, str(Path(__file__).with_name("mcp_server.py"))]


@pytest.fixture(scope="module")
def server() -> Iterator[genai.McpTools]:
    with genai.McpTools(COMMAND, env={"MCP_TEST_USER": "ada"}) as tools:
        yield tools


async def test_functions_of_a_server_are_called_beside_ones_own(
    server: genai.McpTools, way: Way
) -> None:
    def double(n: int) -> int:
        return 2 * n

    line = function_calls(
        ("add", {"a": 1, "b": 2}),
        ("double", {"n": 4}),
        ("user", {}),
        ("odd_name_x", {}),
        ("fail", {"reason": "x"}),
        ("add", {"a": "one", "b": 2}),
    )
    for options in ({}, {"tool_mode": "concurrent"}, {"tool_timeout_seconds": 20}):
        chat, backend = calling([double, server], line, "Done.", **options)
        await way.send(chat, "Act.")
        told = results(chat)
        assert [3, 8, "ada", "odd"] == [response["result"] for response in told[:4]]
        assert ["McpFailed"] * 2 == [response["error"]["type"] for response in told[4:]]
        assert [] == breaches(backend.requests[-1])
        (tool,) = backend.requests[0].tools
        names = [declared["name"] for declared in tool["functionDeclarations"]]
        assert ["double", "add", "user"] == names[:3]


def test_what_the_model_is_told_of_a_function_is_the_servers(server: genai.McpTools) -> None:
    declared = {one.name: one for one in server.declarations()}
    add = declared["add"].to_proto().json_object
    assert "Add two numbers." == add["description"]
    assert ["a", "b"] == add["parameters"]["required"]
    assert "parameters" not in declared["user"].to_proto().json_object


async def test_a_picture_of_a_server_goes_beside_the_response(
    server: genai.McpTools, way: Way
) -> None:
    chat, _ = calling([server], function_calls(("draw", {})), "Nice.")
    await way.send(chat, "Draw.")
    (part,) = chat.history[2].json_object["parts"]
    (medium,) = part["functionResponse"]["parts"]
    assert "image/png" == medium["inlineData"]["mimeType"]


def test_an_event_loop_connects_without_blocking() -> None:
    import asyncio

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        async with genai.McpTools(COMMAND, prefix="x_", only=["add"]) as tools:
            assert ticks > 10
            ticking.cancel()
            chat, _ = calling([tools], function_calls(("x_add", {"a": 1, "b": 2})), "Three.")
            await chat.send_message_async("1 + 2?")
            assert [{"result": 3}] == results(chat)
        await asyncio.sleep(0)

    asyncio.run(main())


def test_threads_and_event_loops_share_a_server(server: genai.McpTools) -> None:
    def ask() -> Any:
        chat, _ = calling([server], function_calls(("add", {"a": 1, "b": 2})), "Three.")
        chat.send_message("1 + 2?")
        return results(chat)

    assert [{"result": 3}] == in_thread(ask) == ask()


def test_a_server_that_went_away_is_told_of_and_connected_anew() -> None:
    with genai.McpTools(COMMAND) as tools:
        add = ("add", {"a": 1, "b": 2})
        chat, _ = calling([tools], function_calls(add, ("die", {}), add), "Done.")
        chat.send_message("Act.")
        first, died, again = results(chat)
    assert [{"result": 3}] * 2 == [first, again]
    assert "ConnectionFailed" == died["error"]["type"]


def test_a_call_that_takes_too_long_is_given_up() -> None:
    with genai.McpTools(COMMAND, timeout_seconds=20) as tools:
        tools._seconds = 0.05
        chat, _ = calling([tools], function_calls(("wait", {"seconds": 1.0})), "Done.")
        chat.send_message("Wait.")
    told = results(chat)[0]["error"]
    assert "TimeoutError" == told["type"]
    assert "did not answer 'wait' within 0.05 seconds" in told["message"]


def test_after_close_a_call_fails_until_it_is_opened_again() -> None:
    tools = genai.McpTools(COMMAND, only=["add"])
    line = function_calls(("add", {"a": 1, "b": 2}))
    chat, _ = calling([tools], line, "Oh.", line, "Three.", line, "Oh.")
    tools.close()
    chat.send_message("1 + 2?")
    told = results(chat)[0]["error"]
    assert "UsageError" == told["type"]
    assert "is closed; open() or a with statement" in told["message"]
    with tools:
        chat.send_message("1 + 2?")
    chat.send_message("1 + 2?")
    assert [{"result": 3}, {"error": told}] == results(chat)[1:]
    never = genai.McpTools(COMMAND)
    never.close()
    with pytest.raises(UsageError, match="is closed"):
        never.declarations()


def test_an_event_loop_that_leaves_the_block_has_closed_it() -> None:
    import asyncio

    async def main() -> None:
        async with genai.McpTools(COMMAND, only=["add"]) as tools:
            assert 3 == (await tools.call("add", {"a": 1, "b": 2}))["result"]
        with pytest.raises(UsageError, match="is closed"):
            await tools.call("add", {"a": 1, "b": 2})

    asyncio.run(main())


def test_a_server_that_says_nothing_is_told_with_the_time_it_had() -> None:
    silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with pytest.raises(ConnectionFailed, match=r"no answer within 0\.2 seconds"):
        genai.McpTools(silent, timeout_seconds=0.2).open()


@pytest.mark.parametrize(
    "command", [["/no/such/program"], [sys.executable, "-c", "pass"]], ids=["missing", "mute"]
)
def test_a_server_that_does_not_answer_is_named(command: list[str]) -> None:
    tools = genai.McpTools(command, timeout_seconds=10)
    with pytest.raises(ConnectionFailed, match="cannot be reached"):
        genai.GenerativeModel(tools=[tools])
    with pytest.raises(ConnectionFailed):
        tools.open()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="either command"):
        genai.McpTools()
    with pytest.raises(UsageError, match="either command"):
        genai.McpTools(["x"], url="http://localhost/mcp")
    with pytest.raises(InvalidContent, match="a list"):
        genai.McpTools("server")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"has no function 'ad'; it has: add, die"):
        genai.McpTools(COMMAND, only=["ad"]).declarations()


def test_calls_of_a_server_wait_for_approval_if_they_must() -> None:
    with genai.McpTools(COMMAND, requires_approval=True, only=["add"]) as tools:
        chat, _ = calling([tools], function_calls(("add", {"a": 1, "b": 2})), "Three.")
        with pytest.raises(ApprovalNeeded):
            chat.send_message("1 + 2?")
        assert chat.pending is not None
        chat.pending.approve()
        chat.resume()
        assert [{"result": 3}] == results(chat)


def test_nothing_secret_is_shown_or_pickled(server: genai.McpTools) -> None:
    tools = genai.McpTools([*COMMAND, "--key=s3cret"], env={"KEY": "s3cret"})
    web = genai.McpTools(url="http://u:s3cret@host/mcp?key=s3cret", headers={"a": "s3cret"})
    assert "s3cret" not in repr(tools) + repr(web)
    assert b"KEY" not in pickle.dumps(tools)
    assert b'"a"' not in pickle.dumps(web)
    model = genai.GenerativeModel(tools=[server])
    assert "McpTools" in repr(pickle.loads(pickle.dumps(model)))


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["/usr/bin/python3", "-u", "a.py", "s3cret"], "/usr/bin/python3 a.py"),
        (["python3.12", "-m", "weather.server", "--key", "s3cret"], "python3.12 weather.server"),
        (["python", "-c", "s3cret"], "python"),
        (["npx", "-y", "@scope/server@1.2", "s3cret"], "npx @scope/server@1.2"),
        (["uvx", "git+https://s3cret@host/a"], "uvx"),
        (["uvx", "--token", "s3cret"], "uvx"),
        (["./my-server", "s3cret"], "./my-server"),
        (["./my-server"], "./my-server"),
    ],
)
def test_a_server_is_shown_by_the_program_and_no_argument(command: list[str], shown: str) -> None:
    assert f"<McpTools {shown}>" == repr(genai.McpTools(command))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:s3cret@host:8443/s3cret/mcp?key=s3cret", "https://host:8443"),
        ("http://[::1]:80/mcp", "http://[::1]:80"),
        ("http://host/mcp", "http://host"),
    ],
)
def test_a_server_on_the_network_is_shown_by_where_it_is(url: str, shown: str) -> None:
    assert f"<McpTools {shown}>" == repr(genai.McpTools(url=url))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_connects_for_itself(server: genai.McpTools) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            chat, _ = calling([server], function_calls(("add", {"a": 1, "b": 2})), "Three.")
            chat.send_message("1 + 2?")
            os.write(writer, repr(results(chat)).encode())
            server.close()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert "[{'result': 3}]" == told.read()
    os.waitpid(child, 0)


def test_a_server_on_the_network_is_reached_with_headers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*COMMAND, str(port)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), 20)
        url = f"http://127.0.0.1:{port}/mcp"
        for headers in ({}, {"X-Who": "ada"}):
            with genai.McpTools(url=url, headers=headers) as tools:
                chat, _ = calling([tools], function_calls(("add", {"a": 1, "b": 2})), "Three.")
                chat.send_message("1 + 2?")
                assert [{"result": 3}] == results(chat)
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        threading.Event().wait(0.01)
        return False


def test_a_program_that_leaves_a_server_open_ends_quietly() -> None:
    script = (
        "import multiturn as genai, sys\n"
        f"tools = genai.McpTools({COMMAND!r})\n"
        "print(len(tools.declarations()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "7\n", "") == (done.returncode, done.stdout, done.stderr)
