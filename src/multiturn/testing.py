"""For tests: a backend that plays a script, and complains if the story differs.

backend = ScriptedBackend("Hello.", ["In ", "pieces."], TimeoutError("gone"))
chat = GenerativeModel(backend=backend).start_chat()
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from multiturn.cancel import Cancel
from multiturn.errors import InvalidContent
from multiturn.messages.message import Object, copy_json
from multiturn.request import Request

if TYPE_CHECKING:
    from multiturn.stores.conformance import StoreContract as StoreContract  # noqa: PLC0414


class UnexpectedRequest(AssertionError):
    """The backend was asked more often than its script has replies."""


class UnplayedReplies(AssertionError):
    """The script has replies that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch of time in which nothing arrives; ends early if the turn is cancelled."""

    seconds: float


@dataclass(frozen=True)
class ScriptedReply:
    """One reply of a script.

    Attributes:
        chunks: In order; a string is a piece of text, a dict a chunk as the wire has it,
            an exception is raised, a Pause is waited for.
        finish: Finish reason on the last piece of text; None ends without one, as a
            broken stream does.
    """

    chunks: tuple[Chunk, ...] = ()
    finish: str | None = "STOP"


Chunk: TypeAlias = "str | Mapping[str, Any] | BaseException | Pause"
Line: TypeAlias = "Chunk | Iterable[Chunk] | ScriptedReply | Callable[[Request], Line]"


def function_calls(*calls: tuple[str, Mapping[str, Any]]) -> ScriptedReply:
    """Return a reply that calls functions: ``function_calls(("weather", {"city": "Oslo"}))``."""
    parts = [_call_part(call, f"calls[{index}]") for index, call in enumerate(calls)]
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}
    return ScriptedReply(({"candidates": [candidate]},))


def _call_part(call: tuple[str, Mapping[str, Any]], path: str) -> Object:
    try:
        name, arguments = call
        return {"functionCall": {"name": name, "args": dict(arguments)}}
    except (TypeError, ValueError):
        raise InvalidContent(path, call, 'a name and a dict, as ("weather", {})') from None


class ScriptedBackend:
    """Plays replies in order, one for each request.

    Used as a context manager, or asked with ``require_played()``, it raises
    UnplayedReplies if replies are left.  May be shared by threads.

    Args:
        *lines: A string is a whole reply; a list is a reply in pieces; a dict is a chunk
            as the wire has it; an exception is raised; a function gets the request and
            returns one of these.
        repeat: Begin again when the script is at its end.

    Attributes:
        requests: What was asked, oldest first.
        open_streams: How many replies are being played right now.
    """

    name = "scripted"

    def __init__(self, *lines: Line, repeat: bool = False) -> None:
        self.requests: list[Request] = []
        self.open_streams = 0
        self._lines: deque[Line] = deque()
        self._repeat = repeat
        self._lock = threading.Lock()
        self.add(*lines)

    def add(self, *lines: Line) -> None:
        """Put replies at the end of the script."""
        for index, line in enumerate(lines):
            if not isinstance(line, Iterable | ScriptedReply | BaseException | Pause | Callable):
                raise InvalidContent(f"lines[{index}]", line, "a reply, as a string or a list")
        with self._lock:
            self._lines.extend(lines)

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Play the next reply."""
        reply = self._next(request)
        self.open_streams += 1
        try:
            for item in _played(reply):
                if isinstance(item, Pause):
                    stopped = threading.Event()
                    cancel.call(stopped.set)
                    stopped.wait(item.seconds)
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
                if cancel.is_set():
                    return
        finally:
            self.open_streams -= 1

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """Play the next reply without blocking the event loop."""
        import asyncio

        reply = self._next(request)
        self.open_streams += 1
        try:
            for item in _played(reply):
                if isinstance(item, Pause):
                    stopped = asyncio.Event()
                    loop = asyncio.get_running_loop()
                    cancel.call(lambda: loop.call_soon_threadsafe(stopped.set))  # noqa: B023
                    with suppress(TimeoutError):
                        await asyncio.wait_for(stopped.wait(), item.seconds)
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
                if cancel.is_set():
                    return
        finally:
            self.open_streams -= 1

    def count_tokens(self, request: Request) -> Object:
        """Count words: a number that tests can foresee."""
        return {"totalTokens": sum(len(content.text.split()) for content in request.contents)}

    async def count_tokens_async(self, request: Request) -> Object:
        """Count words."""
        return self.count_tokens(request)

    def require_played(self) -> None:
        """Raise UnplayedReplies if the script is not at its end."""
        if self._lines and not self._repeat:
            raise UnplayedReplies(
                f"{len(self._lines)} scripted replies were never asked for, "
                f"the first of them {self._lines[0]!r}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.require_played()

    def __getstate__(self) -> Object:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Object) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def _next(self, request: Request) -> ScriptedReply:
        with self._lock:
            self.requests.append(request)
            if not self._lines:
                raise UnexpectedRequest(
                    f"request {len(self.requests)} has no scripted reply; its last content is "
                    f"{request.contents[-1]!r}"
                )
            line = self._lines.popleft()
            if self._repeat:
                self._lines.append(line)
        while callable(line):
            line = line(request)
        return _as_reply(line)


def _as_reply(line: Line) -> ScriptedReply:
    if isinstance(line, ScriptedReply):
        return line
    if isinstance(line, str | Mapping | BaseException | Pause):
        return ScriptedReply((cast("Chunk", line),))
    return ScriptedReply(tuple(cast("Iterable[Chunk]", line)))


def _played(reply: ScriptedReply) -> Iterator[Object | BaseException | Pause]:
    texts = [i for i, chunk in enumerate(reply.chunks) if isinstance(chunk, str)]
    # A stream that fails does not say why it ended.
    fails = any(isinstance(chunk, BaseException) for chunk in reply.chunks)
    for i, chunk in enumerate(reply.chunks):
        if isinstance(chunk, str):
            candidate: Object = {"content": {"parts": [{"text": chunk}], "role": "model"}}
            if i == texts[-1] and reply.finish is not None and not fails:
                candidate["finishReason"] = reply.finish
            yield {"candidates": [candidate]}
        elif isinstance(chunk, Mapping):
            yield copy_json(dict(chunk))
        else:
            yield chunk


def __getattr__(name: str) -> object:
    # Loaded when first named: a test without a store can do without it.
    if name == "StoreContract":
        from multiturn.stores.conformance import StoreContract

        return StoreContract
    raise AttributeError(f"module 'multiturn.testing' has no attribute {name!r}")
