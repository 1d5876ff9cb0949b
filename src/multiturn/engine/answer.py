"""One answer on its way from the engine's worker thread to whoever iterates it."""

from __future__ import annotations

import os
import queue
from collections.abc import AsyncIterator, Callable
from typing import Literal

from multiturn.engine.protocol import Flag, Messages, Piece, Sampling, Tools
from multiturn.errors import EngineError

Delivered = Piece | BaseException
Stop = Literal["cancelled", "closed"]

# On Windows a blocked lock does not see Ctrl-C.
_WAIT_SECONDS = 0.1 if os.name == "nt" else None


class Run:
    """What the worker needs for one answer, and the flags that stop it.

    Args:
        deliver: Takes each piece, or the error that ends the answer; it may raise
            RuntimeError where nobody listens any more.
    """

    def __init__(
        self,
        messages: Messages,
        sampling: Sampling,
        tools: Tools | None,
        cancel: Flag | None,
        deliver: Callable[[Delivered], None],
    ) -> None:
        self.messages, self.sampling, self.tools = messages, sampling, tools
        self._cancel, self._deliver = cancel, deliver
        self._stop: Stop | None = None

    def deliver(self, piece: Delivered) -> None:
        """Hand over a piece; where nobody listens, stop."""
        try:
            self._deliver(piece)
        except RuntimeError:
            self.stop("cancelled")

    def stop(self, why: Stop) -> None:
        """End the answer at the next token."""
        self._stop = self._stop or why

    def stopped(self) -> Stop | None:
        """Return why the answer is to end, None if it is not."""
        if self._stop is None and self._cancel is not None and self._cancel.is_set():
            self._stop = "cancelled"
        return self._stop


class Pieces:
    """The pieces of one answer, in a blocking iterator. One thread iterates it.

    The consumer waits on a queue in Python only, so that KeyboardInterrupt reaches it.
    """

    def __init__(
        self,
        messages: Messages,
        sampling: Sampling,
        tools: Tools | None,
        cancel: Flag | None,
        start: Callable[[Run], None],
    ) -> None:
        self._queue: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
        self._run = Run(messages, sampling, tools, cancel, self._queue.put)
        self._process = os.getpid()
        self._ended = False
        start(self._run)

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Piece:
        if self._ended:
            raise StopIteration
        if self._process != os.getpid():
            raise EngineError("this answer was begun before the process forked; ask again")
        try:
            piece = self._wait()
        except BaseException:
            self.close()
            raise
        if isinstance(piece, BaseException):
            self._ended = True
            raise piece
        self._ended = piece.finish is not None
        return piece

    def close(self) -> None:
        """Stop generating; nothing more is given. Safe to call again."""
        self._ended = True
        self._run.stop("cancelled")

    def __del__(self) -> None:
        if hasattr(self, "_run"):
            self._run.stop("cancelled")

    def _wait(self) -> Delivered:
        while True:
            try:
                return self._queue.get(timeout=_WAIT_SECONDS)
            except queue.Empty:
                continue


async def pieces_async(
    messages: Messages,
    sampling: Sampling,
    tools: Tools | None,
    cancel: Flag | None,
    start: Callable[[Run], None],
) -> AsyncIterator[Piece]:
    """Give the pieces of one answer to the running event loop."""
    import asyncio

    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Delivered] = asyncio.Queue()

    def deliver(piece: Delivered) -> None:
        loop.call_soon_threadsafe(arrived.put_nowait, piece)

    run = Run(messages, sampling, tools, cancel, deliver)
    start(run)
    try:
        while True:
            piece = await arrived.get()
            if isinstance(piece, BaseException):
                raise piece
            yield piece
            if piece.finish is not None:
                return
    finally:
        run.stop("cancelled")
