"""A Gemini conversation in CPU: ours, the peers' and the floor, against one server.

    python benchmarks/gemini.py [rounds] [generativeai=PYTHON] [genai=PYTHON]

PYTHON is an interpreter in whose environment google-generativeai 0.8.6, or google-genai,
is installed.  The server answers from memory, in a process of its own.

    send, 1,000 turns   CPU of send_message with the reply ready, ms
    chunk               CPU of a streamed chunk of 40 characters with the members that the
                        service sends, µs; the median of five streams behind a first one
    first reply         CPU of a whole process, its end included, that sends one message, ms;
                        every package is compiled, as pip leaves it
    async               1,000 conversations at once, 3 messages each: messages per second

The floor is the same requests, with bodies that are ready, through the bare HTTP client;
for the first reply, through a socket, read with json.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
MEASURES = ("send", "chunk", "first reply", "async")


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


def first_reply(name: str, url: str) -> float:
    def cpu_seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    program = "import sys" + FIRST_REPLY[name]
    for _ in range(2):  # the first compiles
        before = cpu_seconds()
        subprocess.run([sys.executable, "-W", "ignore", "-c", program, url], check=True)
    return (cpu_seconds() - before) * 1e3


def measured(name: str, what: str, url: str) -> float | None:
    if what == "first reply":
        return first_reply(name, url)
    make, send_async, *_ = globals()[name](url)
    if what == "send":
        chat = make(history())
        chat.send_message("Hi")
        began = time.process_time()
        for _ in range(20):
            chat.send_message("Hi")
        return (time.process_time() - began) / 20 * 1e3
    if what == "chunk":
        spent = []
        for _ in range(6):
            chat = make([])
            began = time.process_time()
            count = sum(1 for _ in chat.send_message("Hi", stream=True))
            spent.append((time.process_time() - began) / max(count, N_CHUNKS) * 1e6)
        return statistics.median(spent[1:])
    if send_async is None or name == "genai":
        return None

    async def all_of_them() -> float:
        chats = [make([]) for _ in range(N_CHATS)]

        async def talk(chat: Any) -> None:
            for _ in range(N_MESSAGES):
                await send_async(chat)

        began = time.monotonic()
        await asyncio.gather(*map(talk, chats))
        return N_CHATS * N_MESSAGES / (time.monotonic() - began)

    return asyncio.run(all_of_them())


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
                    elif (value := json.loads(out.stdout.splitlines()[-1])) is not None:
                        found.setdefault((name, what), []).append(value)
    finally:
        server.terminate()
        server.wait()
        folder.cleanup()
    print(f"{'':14}" + "".join(f"{what:>14}" for what in MEASURES))
    for name in pythons:
        cells = [statistics.median(found.get((name, what), [float("nan")])) for what in MEASURES]
        print(f"{name:14}" + "".join(f"{cell:14.2f}" for cell in cells))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(measured(*sys.argv[2:])))
    else:
        given = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
        counts = [int(argument) for argument in sys.argv[1:] if argument.isdecimal()]
        main(*(counts or [3]), {"floor": sys.executable, "ours": sys.executable, **given})
