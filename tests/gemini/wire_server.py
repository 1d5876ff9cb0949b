"""A server on loopback that sends byte for byte what a test says, faults included."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from multiturn import GenerativeModel
from multiturn.access import Access
from multiturn.backends.gemini.backend import Gemini
from multiturn.retry import Retry

CRLF = b"\r\n"


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for some seconds; ends when the server does."""

    seconds: float


class Close:
    """The connection is closed, politely."""


class Reset:
    """The connection is reset."""


Step: TypeAlias = "bytes | Pause | type[Close] | type[Reset]"


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    json: Any = field(default=None)

    def __post_init__(self) -> None:
        with suppress(ValueError):
            self.json = json.loads(self.body)


Answer: TypeAlias = "bytes | Iterable[Step]"


class WireServer:
    """Answers each request with the next line of a script; the last line is repeated.

    Attributes:
        requests: What arrived, in order.
    """

    def __init__(
        self, *script: Answer | Callable[[Received], Answer], host: str = "127.0.0.1"
    ) -> None:
        self.script = list(script)
        self.requests: list[Received] = []
        self.connections = 0
        self._listener = socket.create_server((host, 0), backlog=2048)
        self.host, self.port = self._listener.getsockname()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def model(self, name: str = "gemini-test", **options: Any) -> GenerativeModel:
        """Return a model that talks to this server, with a key of its own."""
        access = {"api_key": "k-of-the-tests", "endpoint": self.url, **options.pop("access", {})}
        options.setdefault("retry", Retry(uniform=lambda low, high: low))
        return GenerativeModel(name, backend=Gemini(Access(**access)), **options)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(connection)
            arguments = (connection, self.connections)
            threading.Thread(target=self._serve, args=arguments, daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with suppress(OSError), connection, connection.makefile("rb") as lines:
                while (received := self._read(lines, number)) is not None:
                    with self._lock:
                        self.requests.append(received)
                        line = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                    if not self._play(connection, line(received) if callable(line) else line):
                        return
        finally:
            self._open.discard(connection)

    def _read(self, lines: Any, number: int) -> Received | None:
        first = lines.readline()
        if not first:
            return None
        headers: dict[str, str] = {}
        while (line := lines.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = lines.read(int(headers.get("content-length", 0)))
        if not first.endswith(b"HTTP/1.1\r\n"):
            return None
        method, target, _ = first.decode("latin-1").split(" ")
        return Received(method, target, headers, body, number)

    def _play(self, connection: socket.socket, answer: Answer) -> bool:
        """Send; return whether the connection goes on."""
        for step in [answer] if isinstance(answer, bytes) else answer:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, Pause):
                if self._stopped.wait(step.seconds):
                    return False
            else:
                if step is Reset:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                else:
                    connection.shutdown(socket.SHUT_RDWR)
                return False
        return True

    def close(self) -> None:
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# -- answers ---------------------------------------------------------------------------------


def head(status: int = 200, headers: Mapping[str, str] | None = None, **more: str) -> bytes:
    """Return the head of an answer; ``content_length=…`` is a header, too."""
    all_headers = {**(headers or {}), **{n.replace("_", "-"): v for n, v in more.items()}}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{n}: {v}" for n, v in all_headers.items())]
    return "\r\n".join(lines).encode() + CRLF * 2


def whole(body: bytes | Any, status: int = 200, **headers: str) -> bytes:
    """Return an answer with its length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head(status, {"Content-Length": str(len(data)), **headers}) + data


def chunked(data: bytes) -> bytes:
    """Return one chunk of HTTP."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(chunk: Any) -> bytes:
    """Return a chunk of a reply as a server-sent event."""
    return b"data: " + json.dumps(chunk).encode() + CRLF * 2


STREAM_HEAD = head(Content_Type="text/event-stream", Transfer_Encoding="chunked")
LAST_CHUNK = b"0\r\n\r\n"


def streamed(*chunks: Any) -> bytes:
    """Return a whole streamed answer."""
    return STREAM_HEAD + b"".join(chunked(event(chunk)) for chunk in chunks) + LAST_CHUNK


def reply(text: str = "Hello.", finish: str | None = "STOP", **members: Any) -> dict[str, Any]:
    """Return a reply, or a chunk of one."""
    return parts([{"text": text}], finish, **members)


def parts(
    listed: list[dict[str, Any]], finish: str | None = "STOP", **members: Any
) -> dict[str, Any]:
    """Return a reply with these parts."""
    candidate: dict[str, Any] = {"content": {"parts": listed, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **members}


def answers(text: str = "Hello.") -> Callable[[Received], bytes]:
    """Answer every request as it asks, streamed or not."""

    def answer(received: Received) -> bytes:
        if "streamGenerateContent" in received.target:
            half = len(text) // 2
            return streamed(reply(text[:half], None), reply(text[half:]))
        return whole(reply(text))

    return answer


def error(code: int, status: str = "", message: str = "No.", *details: Any) -> dict[str, Any]:
    """Return the body of an error."""
    return {"error": {"code": code, "status": status, "message": message, "details": [*details]}}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut bytes into pieces."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
