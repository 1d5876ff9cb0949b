"""A Gemini conversation in CPU: ours, the peers' and the floor, against one server.

    python benchmarks/gemini.py [rounds] [generativeai=PYTHON] [genai=PYTHON] [aiohttp=PYTHON]

PYTHON is an interpreter in whose environment google-generativeai 0.8.6, google-genai, or
aiohttp is installed.  The server answers from memory, in a process of its own.

    send                CPU of send_message with the reply ready, at 1,000 turns, in a process
                        that has sent before: the median of the later half of 100 messages,
                        or of those of 3 seconds, ms
    first sends         the same, each of the first 20 behind the very first, ms
    chunk               CPU of a streamed chunk of 40 characters with the members that the
                        service sends, µs; the median of five streams behind a first one
    first reply         CPU of a whole process, its end included, that sends one message, ms;
                        every package is compiled, as pip leaves it
    async               1,000 conversations at once, 3 messages each: messages per second

The floor is the same requests, with bodies that are ready, through our bare HTTP client;
for the first reply, through a socket, read with json.  aiohttp is bare too.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

from http_clients import N_CHUNKS, Server

USAGE = {
    "promptTokenCount": 12,
    "candidatesTokenCount": 27,
    "totalTokenCount": 39,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
}


def chunk(**members: Any) -> bytes:
    said = {"parts": [{"text": "What was said here, of forty characters."}], "role": "model"}
    candidate = {"content": said, **members, "index": 0}
    named = {"modelVersion": "gemini-2.5-flash", "responseId": "x1Yhaf-sGqqQxs0P4czY0AQ"}
    return json.dumps({"candidates": [candidate], "usageMetadata": USAGE, **named}).encode()


PIECE, LAST = chunk(), chunk(finishReason="STOP")
PIECES = [*[PIECE] * (N_CHUNKS - 1), LAST]

FIRST_REPLY = {
    "floor": """
import json, socket
host, _, port = sys.argv[1].removeprefix("http://").partition(":")
connection = socket.create_connection((host.encode(), int(port)))
connection.sendall(b"POST /v1beta/models/gemini-x:generateContent HTTP/1.1\\r\\nHost: h\\r\\n"
                   b"Content-Length: 50\\r\\n\\r\\n" + b" " * 50)
assert json.loads(connection.recv(65536).partition(b"\\r\\n\\r\\n")[2])["candidates"]
""",
    "ours": """
import multiturn as genai
genai.configure(api_key="k", client_options={"api_endpoint": sys.argv[1]})
assert genai.GenerativeModel("gemini-x").start_chat().send_message("Hi").text
""",
    "generativeai": """
import google.generativeai as genai
genai.configure(api_key="k", transport="rest", client_options={"api_endpoint": sys.argv[1]})
assert genai.GenerativeModel("gemini-x").start_chat().send_message("Hi").text
""",
    "genai": """
from google import genai
client = genai.Client(api_key="k", http_options={"base_url": sys.argv[1]})
assert client.chats.create(model="gemini-x").send_message("Hi").text
""",
}
N_TURNS, N_CHATS, N_MESSAGES = 1_000, 1_000, 3
N_FIRST, N_SENDS, SEND_SECONDS = 20, 100, 3
MEASURES = ("send", "chunk", "first reply", "async")
COLUMNS = ("send", "first sends", *MEASURES[1:])


class Gemini(Server):
    """Answers generateContent, and streamGenerateContent as events or as an array."""

    def answer(self) -> None:
        if b"streamGenerateContent" not in self.target:
            self.target = b"/post"
            super().answer()
        elif b"alt=sse" in self.target:
            self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            events = [b"data: %s\r\n\r\n" % piece for piece in PIECES]
            frames = [b"%x\r\n%s\r\n" % (len(event), event) for event in events]
            self.transport.write(b"".join([*frames, b"0\r\n\r\n"]))
        else:
            body = b"[" + b",".join(PIECES) + b"]"
            size = len(body)
            kind = b"Content-Type: application/json; charset=UTF-8"
            head = b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n" % (kind, size)
            self.transport.write(head + body)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Gemini, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def history() -> list[dict[str, Any]]:
    roles = ("user", "model") * N_TURNS
    return [
        {"role": role, "parts": [{"text": f"What was said, {i}." * 10}]}
        for i, role in enumerate(roles)
    ]


def ours(url: str) -> tuple[Callable[[Any], Any], Any]:
    import multiturn as genai

    genai.configure(api_key="k", client_options={"api_endpoint": url})
    model = genai.GenerativeModel("gemini-x")
    return (lambda past: model.start_chat(history=past)), lambda chat: chat.send_message_async("Hi")


def generativeai(url: str) -> tuple[Callable[[Any], Any], Any]:
    import warnings

    warnings.simplefilter("ignore")
    import google.generativeai as genai

    genai.configure(api_key="k", transport="rest", client_options={"api_endpoint": url})
    model = genai.GenerativeModel("gemini-x")
    return (lambda past: model.start_chat(history=past)), None


class _GenaiChat:
    """The chat of google-genai with the names of the others."""

    def __init__(self, chat: Any) -> None:
        self._chat = chat

    def send_message(self, text: str, stream: bool = False) -> Any:
        return self._chat.send_message_stream(text) if stream else self._chat.send_message(text)


def genai(url: str) -> tuple[Callable[[Any], Any], Any]:
    from google import genai

    client = genai.Client(api_key="k", http_options={"base_url": url})
    make = lambda past: _GenaiChat(client.chats.create(model="gemini-x", history=past))  # noqa: E731
    return make, lambda chat: chat.send_message("Hi"), client  # type: ignore[return-value]


def floor(url: str) -> tuple[Callable[[Any], Any], Any]:
    """The same bytes through the bare client."""
    from multiturn.cancel import Cancel
    from multiturn.http import HttpRequest
    from multiturn.http.client import Http

    client = Http()
    base = f"{url}/v1beta/models/gemini-x:"

    class Bare:
        def __init__(self, past: Any) -> None:
            contents = [*past, {"role": "user", "parts": [{"text": "Hi"}]}]
            self.body = json.dumps({"contents": contents}).encode()

        def request(self, method: str) -> HttpRequest:
            return HttpRequest("POST", base + method, (), self.body, time.monotonic() + 60)

        def send_message(self, text: str, stream: bool = False) -> Any:
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return list(client.exchange(self.request(method), Cancel()))

        async def send(self) -> None:
            async for _ in client.exchange_async(self.request("generateContent"), Cancel()):
                pass

    return Bare, Bare.send


def aiohttp(url: str) -> tuple[Callable[[Any], Any], Any]:
    """The same bytes through what is most used in event loops; a session for all."""
    import aiohttp

    address = f"{url}/v1beta/models/gemini-x:generateContent"
    body = json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}).encode()
    sessions: list[aiohttp.ClientSession] = []

    async def send(_: Any) -> None:
        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        async with sessions[0].post(address, data=body) as response:
            await response.read()

    return (lambda past: past), send


def first_reply(name: str, url: str) -> float:
    def cpu_seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    program = "import sys" + FIRST_REPLY[name]
    for _ in range(2):  # the first compiles
        before = cpu_seconds()
        subprocess.run([sys.executable, "-W", "ignore", "-c", program, url], check=True)
    return (cpu_seconds() - before) * 1e3


def sends(chat: Any) -> dict[str, float]:
    spent: list[float] = []
    while len(spent) < N_SENDS and (sum(spent) < SEND_SECONDS * 1e3 or len(spent) <= N_FIRST):
        began = time.process_time()
        chat.send_message("Hi")
        spent.append((time.process_time() - began) * 1e3)
    return {
        "send": statistics.median(spent[len(spent) // 2 :]),
        "first sends": statistics.mean(spent[1 : 1 + N_FIRST]),
    }


def chunks(make: Callable[[Any], Any]) -> float:
    spent = []
    for _ in range(6):
        chat = make([])
        began = time.process_time()
        count = sum(1 for _ in chat.send_message("Hi", stream=True))
        spent.append((time.process_time() - began) / max(count, N_CHUNKS) * 1e6)
    return statistics.median(spent[1:])


async def all_at_once(make: Callable[[Any], Any], send_async: Callable[[Any], Any]) -> float:
    chats = [make([]) for _ in range(N_CHATS)]

    async def talk(chat: Any) -> None:
        for _ in range(N_MESSAGES):
            await send_async(chat)

    began = time.monotonic()
    await asyncio.gather(*map(talk, chats))
    return N_CHATS * N_MESSAGES / (time.monotonic() - began)


def measured(name: str, what: str, url: str) -> dict[str, float]:
    if what == "first reply":
        return {what: first_reply(name, url)} if name in FIRST_REPLY else {}
    make, send_async, *_ = globals()[name](url)
    if what == "async":
        is_measured = send_async is not None and name != "genai"
        return {what: asyncio.run(all_at_once(make, send_async))} if is_measured else {}
    if name == "aiohttp":  # it has no blocking half
        return {}
    return sends(make(history())) if what == "send" else {what: chunks(make)}


def main(rounds: int, pythons: dict[str, str]) -> None:
    server = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    found: dict[tuple[str, str], list[float]] = {}
    folder = tempfile.TemporaryDirectory()
    environment = {**os.environ, "NO_PROXY": "*", "PYTHONPYCACHEPREFIX": folder.name}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        for _ in range(rounds):
            for what in MEASURES:
                for name, python in pythons.items():
                    out = subprocess.run(  # noqa: PLW1510
                        [python, __file__, "measure", name, what, url],
                        capture_output=True, text=True, env=environment,
                    )  # fmt: skip
                    if out.returncode:
                        print(name, what, out.stderr.strip().splitlines()[-1], file=sys.stderr)
                        continue
                    for column, value in json.loads(out.stdout.splitlines()[-1]).items():
                        found.setdefault((name, column), []).append(value)
    finally:
        server.terminate()
        server.wait()
        folder.cleanup()
    nothing = [math.nan] * rounds
    report("", COLUMNS)
    for name in pythons:
        report(name, [statistics.median(found.get((name, c), nothing)) for c in COLUMNS])
    for name in pythons:
        pairs = [
            zip(found.get((name, c), nothing), found["ours", c], strict=False) for c in COLUMNS
        ]
        report(f"{name} / ours", [statistics.median(a / b for a, b in pair) for pair in pairs])


def report(name: str, cells: Iterable[str | float]) -> None:
    shown = [cell if isinstance(cell, str) else f"{cell:.2f}" for cell in cells]
    print(f"{name:20}" + "".join(f"{cell:>13}" for cell in shown))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(measured(*sys.argv[2:])))
    else:
        given = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
        counts = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
        main(*(counts or [3]), {"floor": sys.executable, "ours": sys.executable, **given})
