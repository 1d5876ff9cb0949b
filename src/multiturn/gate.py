"""One session, one open turn: lets turns in one after another, in the order they came.

Threads and tasks of any event loop may wait at the same gate.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeAlias

from multiturn.errors import SessionBusy
from multiturn.exchange import Exchange

Busy: TypeAlias = Literal["wait", "raise"]
Wake: TypeAlias = Callable[[], object]

# How often a waiting call looks whether the open turn's thread or task has died with it.
_LOOK_AGAIN_SECONDS = 0.5

_REPLACED = "another call on this session began before this reply was read to its end"
_gates: weakref.WeakSet[Gate] = weakref.WeakSet()


class Gate:
    """Admits one exchange at a time.

    A reply that its own thread or task has left half-read, or that nobody holds any
    more, does not keep the gate: it is abandoned and the next one enters.
    """

    __slots__ = ("__weakref__", "_lock", "_open", "_waiting")

    def __init__(self) -> None:
        self._reset()
        _gates.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.ref[Exchange] | None = None
        self._waiting: list[Wake] = []  # nearly always empty, where a deque takes 0.7 KiB

    @property
    def holder(self) -> Exchange | None:
        """The open exchange, None if there is none."""
        exchange = self._open() if self._open else None
        return exchange if exchange is not None and exchange.outcome == "open" else None

    def enter(self, exchange: Exchange, busy: Busy = "wait", timeout_seconds: float = 600) -> None:
        """Let an exchange in, waiting for the open one of another thread or task.

        Raises:
            SessionBusy: The open one is the caller's own and is running (a tool that
                sends on its own session), or ``busy`` is "raise", or time is up.
        """
        if self._admit(exchange, None, busy):
            return
        self._require_other_thread()
        deadline = time.monotonic() + timeout_seconds
        woken = threading.Event()
        try:
            while not self._admit(exchange, woken.set, busy):
                self._require_other_thread()
                woken.wait(_wait_seconds(deadline, timeout_seconds))
                woken.clear()
        finally:
            self._withdraw(woken.set)

    async def enter_async(
        self, exchange: Exchange, busy: Busy = "wait", timeout_seconds: float = 600
    ) -> None:
        """The same without blocking the event loop."""
        if self._admit(exchange, None, busy):
            return
        import asyncio

        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(woken.set)

        deadline = time.monotonic() + timeout_seconds
        try:
            while not self._admit(exchange, wake, busy):
                seconds = _wait_seconds(deadline, timeout_seconds)
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), seconds)
                woken.clear()
        finally:
            self._withdraw(wake)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the gate while something is changed between turns."""
        exchange = Exchange()
        self.enter(exchange)
        try:
            yield
        finally:
            exchange.settle("answered")

    def _admit(self, exchange: Exchange, wake: Wake | None, busy: Busy) -> bool:
        """Let in and return True, or queue ``wake`` if there is one and return False."""
        while True:
            with self._lock:
                holder = self.holder
                if holder is None and (not self._waiting or self._waiting[0] == wake):
                    exchange.gate, self._open = self, weakref.ref(exchange)
                    return True
                left = holder is not None and self._is_left(holder)
                if not left and busy == "raise":
                    raise SessionBusy("another turn of this session is open, and busy is 'raise'")
                if not left and wake is not None and wake not in self._waiting:
                    self._waiting.append(wake)
                    continue  # whoever ended meanwhile has woken nobody
            if holder is None or not left:
                return False
            holder.abandon(_REPLACED)

    def let_go(self) -> None:
        """Abandon the open exchange if it was left half-read; never waits."""
        holder = self.holder
        if holder is not None and self._is_left(holder):
            holder.abandon(_REPLACED)

    def _require_other_thread(self) -> None:
        """Refuse to block an event loop for a turn that only this loop can finish."""
        holder = self.holder
        if holder is not None and holder.runner[0] is threading.current_thread():
            raise SessionBusy(
                "a turn of this session is open in another task of this event loop; "
                "await send_message_async, which waits without blocking the loop"
            )

    @staticmethod
    def _is_left(holder: Exchange) -> bool:
        """Return whether a holder was left half-read; refuse a call from within it."""
        is_mine = holder.is_mine
        if holder.runs_the_caller or (is_mine and holder.is_running):
            raise SessionBusy(
                "a turn of this session is running, and this call comes from within it; "
                "use chat.fork() to ask something on the side"
            )
        return holder.is_orphaned or is_mine

    # No lock from here on: the collector may run these while this thread holds it.

    def _withdraw(self, wake: Wake) -> None:
        with suppress(ValueError):
            self._waiting.remove(wake)
        if self.holder is None:
            self.leave()

    def leave(self) -> None:
        """Tell the next in the queue that the open exchange has ended."""
        while self._waiting:
            wake = self._waiting[0]
            try:
                wake()
            except RuntimeError:  # its event loop is closed: nobody waits there any more
                with suppress(ValueError):
                    self._waiting.remove(wake)
            else:
                return


def _wait_seconds(deadline: float, timeout_seconds: float) -> float:
    """Return how long to wait before looking again; refuse when time is up."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise SessionBusy(
            f"another turn of this session was still open after {timeout_seconds:g} seconds; "
            "read its reply to the end, or cancel it with response.cancel(); a function that the "
            "turn has called asks on the side with chat.fork()"
        )
    return min(left, _LOOK_AGAIN_SECONDS)


def _reset_after_fork() -> None:
    """Free every gate in a forked child: whoever held or queued stayed in the parent."""
    for gate in list(_gates):
        gate._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
