"""A turn in which the model calls ten functions at once: our CPU, and how long it waits.

    python benchmarks/tools.py [rounds] [generativeai=PYTHON]

PYTHON is an interpreter in whose environment google-generativeai 0.8.6 is installed; it
is asked over REST.  The server answers from memory, in a process of its own: a reply
with ten calls when the last content is a message, a text when it is results.

    turn        CPU of a turn with ten calls of a function that does nothing, ms
    turn, async the same with send_message_async
    floor       CPU of the same two requests through the bare HTTP client, ms
    calls       CPU of the ten calls alone: arguments checked, functions run, results
                made into parts, ms
    calls, async  the same in an event loop, a thread's start and end among it
    waiting     wall time of a turn with ten calls that wait 100 ms each, concurrent, ms
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

N_CALLS, N_TURNS, N_WARM = 10, 100, 20
ARGS = {"city": "Oslo", "unit": "C"}


def _reply(parts: list[Any]) -> bytes:
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20}
    body = json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


CALLS = _reply([{"functionCall": {"name": "weather", "args": ARGS}}] * N_CALLS)
ANSWER = _reply([{"text": "Take a coat."}])


class Server(asyncio.Protocol):
    """Answers one request after another."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.lower().split(b"\r\n")
        size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(body) < size:
            return
        self.received = body[size:]
        body = body[:size]
        last = max(body.rfind(b'"contents"'), body.rfind(b'"role"'))
        has_results = body.rfind(b"unctionResponse") > body.rfind(b'"What now?"')
        self.transport.write(ANSWER if has_results and last >= 0 else CALLS)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def weather(city: str, unit: str = "C") -> dict:  # type: ignore[type-arg]
    """Weather now.

    Args:
        city: Name of the city.
        unit: Of the temperature.
    """
    return {"city": city, "degrees": 3, "unit": unit}


def chat_of(url: str, name: str, tool: Callable[..., Any] = weather, **options: Any) -> Any:
    if name == "generativeai":
        import warnings

        warnings.simplefilter("ignore")
        import google.generativeai as genai

        options = {}
        genai.configure(api_key="k", transport="rest", client_options={"api_endpoint": url})
    else:
        import multiturn as genai

        genai.configure(api_key="k", client_options={"api_endpoint": url})
    model = genai.GenerativeModel("gemini-x", tools=[tool])
    return model.start_chat(enable_automatic_function_calling=True, **options)


def check(chat: Any) -> None:
    """Hold that what was measured is a turn with ten calls."""
    assert [len(content.parts) for content in chat.history[-4:]] == [1, N_CALLS, N_CALLS, 1]


def milliseconds(clock: Callable[[], float], turn: Callable[[], Any], times: int) -> float:
    began = clock()
    for _ in range(times):
        turn()
    return (clock() - began) / times * 1e3


def turn(name: str, url: str) -> float:
    """The history is begun anew for each turn, as a short conversation has it."""
    chat = chat_of(url, name)

    def one() -> None:
        chat.history = []
        chat.send_message("What now?")

    milliseconds(time.process_time, one, N_WARM)
    check(chat)
    return milliseconds(time.process_time, one, N_TURNS)


def turn_async(name: str, url: str) -> float | None:
    if name == "generativeai":
        return None  # REST is blocking only
    chat = chat_of(url, name)

    async def run() -> float:
        for i in range(N_WARM + N_TURNS):
            if i == N_WARM:
                began = time.process_time()
            chat.history = []
            await chat.send_message_async("What now?")
        check(chat)
        return (time.process_time() - began) / N_TURNS * 1e3

    return asyncio.run(run())


def floor(name: str, url: str) -> float | None:
    if name == "generativeai":
        return None
    from multiturn.cancel import Cancel
    from multiturn.http import HttpRequest
    from multiturn.http.client import Http

    client, address = Http(), f"{url}/v1beta/models/gemini-x:generateContent"
    chat = chat_of(url, "ours")
    chat.send_message("What now?")
    said = [content.json_object for content in chat.history]
    bodies = [json.dumps({"contents": said[:n]}).encode() for n in (1, 3)]

    def one() -> None:
        for body in bodies:
            request = HttpRequest("POST", address, (), body, time.monotonic() + 60)
            list(client.exchange(request, Cancel()))

    milliseconds(time.process_time, one, N_WARM)
    return milliseconds(time.process_time, one, N_TURNS)


def _ten() -> tuple[Any, ...]:
    """Return what ``run_calls`` takes."""
    from multiturn.calls import Call
    from multiturn.cancel import Cancel
    from multiturn.tools.toolbox import toolbox_for
    from multiturn.turn import RunCalls

    asked = tuple(Call(i, "weather", dict(ARGS)) for i in range(N_CALLS))
    return RunCalls(asked), toolbox_for([weather], {}), Cancel(), lambda index, part: None


def calls(name: str, url: str) -> float | None:
    if name == "generativeai":
        return None
    from multiturn.tools.run_calls import run_calls

    given = _ten()
    milliseconds(time.process_time, lambda: run_calls(*given), N_WARM)
    return milliseconds(time.process_time, lambda: run_calls(*given), 10 * N_TURNS)


def calls_async(name: str, url: str) -> float | None:
    if name == "generativeai":
        return None
    from multiturn.tools.run_calls_async import run_calls_async

    async def run() -> float:
        given = _ten()
        for i in range(N_WARM + 10 * N_TURNS):
            if i == N_WARM:
                began = time.process_time()
            await run_calls_async(*given)
        return (time.process_time() - began) / N_TURNS / 10 * 1e3

    return asyncio.run(run())


def waiting(name: str, url: str) -> float | None:
    if name == "generativeai":
        return None  # one after another: a second

    def weather(city: str, unit: str = "C") -> str:
        time.sleep(0.1)
        return city

    chat = chat_of(url, name, weather, tool_mode="concurrent")
    chat.send_message("What now?")
    return milliseconds(time.perf_counter, lambda: chat.send_message("What now?"), 5)


def waiting_async(name: str, url: str) -> float | None:
    if name == "generativeai":
        return None

    async def weather(city: str, unit: str = "C") -> str:
        await asyncio.sleep(0.1)
        return city

    chat = chat_of(url, name, weather, tool_mode="concurrent")

    async def run() -> float:
        await chat.send_message_async("What now?")
        began = time.perf_counter()
        for _ in range(5):
            await chat.send_message_async("What now?")
        return (time.perf_counter() - began) / 5 * 1e3

    return asyncio.run(run())


MEASURES = ("turn", "turn_async", "floor", "calls", "calls_async", "waiting", "waiting_async")


def main() -> None:
    n_rounds = next((int(word) for word in sys.argv[1:] if word.isdigit()), 5)
    pythons = {"ours": sys.executable}
    pythons |= dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    server = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE)
    found: dict[tuple[str, str], list[float]] = {}
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        for _ in range(n_rounds):
            for name, python in pythons.items():
                done = subprocess.run(
                    [python, __file__, "measure", name, url],
                    stdout=subprocess.PIPE,
                    check=True,
                )
                for what, value in json.loads(done.stdout.splitlines()[-1]).items():
                    if value is not None:
                        found.setdefault((name, what), []).append(value)
    finally:
        server.kill()
        server.wait()
    for (name, what), values in found.items():
        shown = f"{statistics.median(values):8.3f}  ({min(values):.3f} to {max(values):.3f})"
        print(f"{name:14} {what:14} {shown} ms")
    if ("generativeai", "turn") in found:
        ratios = [
            theirs / own
            for theirs, own in zip(
                found["generativeai", "turn"], found["ours", "turn"], strict=True
            )
        ]
        print(f"generativeai over ours, turn: {statistics.median(ratios):.1f} times")


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve())
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps({what: globals()[what](*sys.argv[2:4]) for what in MEASURES}))
    else:
        main()
