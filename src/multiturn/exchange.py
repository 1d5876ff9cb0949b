"""A call in progress: who advances it, what has arrived, and how it ended."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from multiturn.backends import Backend
from multiturn.calls import Waiting
from multiturn.cancel import Cancel
from multiturn.drive import drive, drive_async
from multiturn.errors import (
    ApprovalNeeded,
    BlockedPromptException,
    BrokenResponseError,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.history import Outcome
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.reply import Reply
from multiturn.turn import AskModel, RunCalls, Steps

if TYPE_CHECKING:
    from multiturn.gate import Gate


def outcome_of(error: BaseException | None) -> Outcome:
    """Name the way a call ended."""
    match error:
        case None:
            return "answered"
        case BlockedPromptException():
            return "blocked"
        case StopCandidateException():
            return "stopped"
        case ApprovalNeeded():
            return "paused"
        case GeneratorExit():
            return "abandoned"
        case KeyboardInterrupt() | SystemExit():
            return "interrupted"
        case TurnCancelled():
            return "cancelled"
        case Exception():
            return "failed"
        case _:  # asyncio's CancelledError, not imported here
            return "cancelled"


_process_id = os.getpid()


def _note_process() -> None:
    global _process_id
    _process_id = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_process)


def runner() -> tuple[threading.Thread, Any]:
    """Return who is running now: the thread, and the task if there is an event loop."""
    asyncio = sys.modules.get("asyncio")
    # Nearly always there is no loop; an exception for it would cost more than all the rest.
    if asyncio is None or asyncio._get_running_loop() is None:
        return threading.current_thread(), None
    return threading.current_thread(), asyncio.current_task()


_closings: set[Any] = set()
# What has arrived before anything was asked.
_NOTHING = Reply()


async def _closed(generator: AsyncGenerator[Object]) -> None:
    with suppress(Exception):  # it is being read after all, and ends by itself
        await generator.aclose()


class Exchange:
    """One call in progress, outside a conversation; OpenTurn is its like within one.

    Attributes:
        cancel: Raised by any thread, ends the call.
        reply: What has arrived in the round that was asked last.
        earlier_usages: The wire's UsageMetadata of each ask before that one.
        outcome: "open" until it has ended.
        error: What ended it, None while open or answered.
        gate: What it holds until it has ended, None if nothing.
    """

    __slots__ = (
        "__weakref__",
        "_generator",
        "_task",
        "_thread",
        "cancel",
        "earlier_usages",
        "error",
        "gate",
        "outcome",
        "process_id",
        "reply",
    )

    def __init__(self) -> None:
        self.gate: Gate | None = None
        self.cancel = Cancel()
        self.reply = _NOTHING
        self.earlier_usages: Sequence[Object] = ()
        self.error: BaseException | None = None
        self._thread, self._task = runner()
        self.process_id = _process_id
        # Weak, since the generator refers to this object: a reply that nobody holds any
        # more must vanish at once, not at the next run of the cycle collector.
        self._generator: weakref.ref[Any] | None = None
        # Last: what has no outcome was interrupted while it was made, and never began.
        self.outcome: Outcome = "open"

    def run(self, steps: Steps, backend: Backend) -> Iterator[Object]:
        """Carry the steps out, blocking; give the chunks and note the end."""
        generator = drive(steps, backend, self)
        self._generator = weakref.ref(generator)
        return generator

    def run_async(self, steps: Steps, backend: Backend) -> AsyncIterator[Object]:
        """The same for an event loop."""
        generator = drive_async(steps, backend, self)
        self._generator = weakref.ref(generator)
        return generator

    def ended(self, error: BaseException | None) -> None:
        """Note how the call ended; what was cancelled before it was left, was cancelled."""
        if isinstance(error, GeneratorExit) and self.cancel.reason is not None:
            error = TurnCancelled(self.cancel.reason)
        outcome = outcome_of(error)
        if isinstance(error, GeneratorExit):  # told to whoever reads on, in another loop
            error = BrokenResponseError("the reply was not read to its end when its loop ended")
        self.settle(outcome, error)

    def shown_as(self, response: object) -> None:
        """Take note of the reply that the user gets."""

    def asked(self, step: AskModel) -> Callable[[Object], None]:
        """Take note of what is asked; return what takes in the chunks of its reply."""
        self.earlier_usages = self.usages
        self.reply = step.reply
        return step.reply.add

    @property
    def usages(self) -> list[Object]:
        """The wire's UsageMetadata of each ask that told one."""
        usage = self.reply.usage
        return [*self.earlier_usages, usage] if usage else list(self.earlier_usages)

    @property
    def runs_the_caller(self) -> bool:
        """Whether the caller is a function that this call runs."""
        caller = sys.modules.get("multiturn.tools.caller")
        return caller is not None and bool(caller.is_called_by(self))

    def note(self, contents: tuple[Content, ...]) -> None:
        """Note how far a turn has come; outside a conversation there is no journal."""

    def run_calls(self, step: RunCalls) -> list[Object] | Waiting:
        """Run functions; outside a conversation nobody does."""
        return []

    async def run_calls_async(self, step: RunCalls) -> list[Object] | Waiting:
        """Run functions; outside a conversation nobody does."""
        return []

    def pause(self, contents: tuple[Content, ...], waiting: Waiting) -> None:
        """Keep a turn that waits for approval; outside a conversation there is none."""

    def save(self, contents: tuple[Content, ...]) -> None:
        """Keep a turn's contents; outside a conversation there is nowhere to keep them."""

    async def save_async(self, contents: tuple[Content, ...]) -> None:
        """The same without blocking the event loop; memory does not block."""
        self.save(contents)

    def settle(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Note how the call ended; the first note stays."""
        if self.outcome == "open":
            self.error, self.outcome = error, outcome
            self._let_go()

    def _let_go(self) -> None:
        """Leave the gate; again, when dropped, if an interrupt fell into the first time."""
        if self.gate is not None:
            self.gate.leave()
            self.gate = None

    @property
    def runner(self) -> tuple[threading.Thread, Any]:
        """The thread and task that last advanced it."""
        return self._thread, self._task

    @property
    def is_running(self) -> bool:
        """Whether some thread or task is within it right now."""
        generator = self._generator() if self._generator else None
        return bool(getattr(generator, "gi_running", getattr(generator, "ag_running", False)))

    @property
    def _has_run_out(self) -> bool:
        """Whether it has ended without the end being noted: Ctrl-C fell in between."""
        if self._generator is None:
            return False
        generator = self._generator()
        return getattr(generator, "gi_frame", getattr(generator, "ag_frame", None)) is None

    @property
    def is_mine(self) -> bool:
        """Whether the caller is the one who last advanced it.

        What a thread began outside its event loop is also its tasks' own.
        """
        here, current = runner()
        return self._thread is here and self._task in (None, current)

    @property
    def is_orphaned(self) -> bool:
        """Whether nobody is left who could advance it."""
        if self.process_id != os.getpid() or self._has_run_out:
            return True
        return not self._thread.is_alive() if self._task is None else bool(self._task.done())

    def abandon(self, reason: str, error: BaseException | None = None) -> None:
        """End the call without an answer; does nothing if it has ended.

        Args:
            reason: Told to whoever reads on.
            error: What interrupted it, None if it was just left.
        """
        if self.outcome != "open":
            return
        was_cancelled = self.cancel.is_set()
        if self.process_id == os.getpid():
            self.cancel.set(reason)
        if error is not None or was_cancelled:
            self.ended(error or GeneratorExit())
        else:
            self.settle("abandoned", BrokenResponseError(reason, None))
        generator = self._generator() if self._generator else None
        if generator is None or self.is_running or self.process_id != os.getpid():
            return
        if hasattr(generator, "close"):
            generator.close()
        else:
            self._close_in_loop(generator)

    def _close_in_loop(self, generator: AsyncGenerator[Object]) -> None:
        """Have the reply's own event loop close it; nobody else may."""
        if self._task is None:
            return
        loop = self._task.get_loop()

        def close() -> None:
            closing = loop.create_task(_closed(generator))
            _closings.add(closing)  # a loop holds its tasks weakly
            closing.add_done_callback(_closings.discard)

        with suppress(RuntimeError):  # it is closed, and with it what ran there
            loop.call_soon_threadsafe(close)

    def note_runner(self) -> None:
        """Note who reads on; refuse a process that was forked off: the bytes are its parent's."""
        self._thread, self._task = runner()
        if self.process_id != _process_id:
            raise BrokenResponseError(
                f"this reply belongs to process {self.process_id}, from which this one "
                f"({_process_id}) was forked; send the message again here"
            )

    def __del__(self) -> None:
        if getattr(self, "outcome", None) == "open":
            self.abandon("the reply was dropped before it was read to its end")
        elif getattr(self, "gate", None) is not None:
            self._let_go()
