"""Ctrl-C at a chosen line: a trace function that raises KeyboardInterrupt in the package."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import sys
import traceback
from collections.abc import Callable, Container, Coroutine, Generator, Iterable, Iterator
from itertools import count
from pathlib import Path
from types import CodeType, FrameType, TracebackType, coroutine
from typing import Any, TypeAlias

import multiturn
from conftest import EFFORT
from ways import Way

SOURCE = str(Path(multiturn.__file__).parent)
# The backend is not part of the turn: what is raised within it is its own failure.
OUTSIDE = str(Path(SOURCE) / "testing.py")
# What a ``with`` statement of the package runs in Python is struck too.
CONTEXTS = contextlib.__file__
ENTER = contextlib._GeneratorContextManager.__enter__.__code__


Place: TypeAlias = tuple[CodeType, int]


class Strike:
    """Raises KeyboardInterrupt at the n-th line that is executed within the package.

    Attributes:
        first: Which of the lines executed is the first at each place.
        where: The line that was struck, "" if there is none yet.
        trace: The traceback of what was raised, as whoever catches it holds it.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.lines = 0
        self.where = ""
        self.trace: TracebackType | None = None
        self.first: dict[Place, int] = {}
        self._held: set[tuple[FrameType, int]] = set()

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        name = frame.f_code.co_filename
        if name == CONTEXTS:
            name = _caller_of_contexts(frame)
        return self._line if name.startswith(SOURCE) and name != OUTSIDE else None

    def release(self) -> None:
        """Let go of the traceback, and with it perhaps of a stream struck while it closed."""
        # A cleared frame still holds its function's cells.
        traceback.clear_frames(self.trace)
        self.trace = None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        # That a generator has entered its block is no line, and yet signals come there.
        entered = event == "return" and frame.f_code is ENTER and arg is not None
        if entered or (event == "line" and not self._is_spared(frame)):
            line = -1 if entered else frame.f_lineno
            self.lines += 1
            self.first.setdefault((frame.f_code, line), self.lines)
            if self.lines == self.n:
                self.where = f"{Path(frame.f_code.co_filename).name}:{line}"
                raise KeyboardInterrupt(self.where)
        return self._line

    def _is_spared(self, frame: FrameType) -> bool:
        """Whether the line is ``try``, the first of a ``finally``, or leaves a ``with lock``.

        Python looks for signals after calls and at backward jumps, so that none can come
        between the end of a block and what is done then; a trace function can.
        """
        name, number = frame.f_code.co_filename, frame.f_lineno
        line = linecache.getline(name, number).strip()
        if line == "try:" or linecache.getline(name, number - 1).strip() == "finally:":
            return True
        if not line.startswith("with ") or not line.endswith("lock:"):
            return False
        place = (frame, frame.f_lineno)
        if place in self._held:
            self._held.remove(place)
            return True
        self._held.add(place)
        return False


def _caller_of_contexts(frame: FrameType) -> str:
    """Return the file of whoever uses a context manager."""
    caller: FrameType | None = frame
    while caller is not None and caller.f_code.co_filename == CONTEXTS:
        caller = caller.f_back
    return caller.f_code.co_filename if caller is not None else ""


def strike(way: Way, coroutine: Coroutine[Any, Any, Any], n: int) -> Strike:
    """Run a scenario with an interrupt at the n-th line."""
    struck, tracer = Strike(n), sys.gettrace()
    sys.settrace(struck)
    try:
        way.run(coroutine)
    except KeyboardInterrupt as error:
        struck.trace = error.__traceback__
        if coroutine.cr_code not in _codes_of(struck.trace):
            way.let_stop()
    finally:
        sys.settrace(tracer)
    return struck


def _codes_of(trace: TracebackType | None) -> set[CodeType]:
    return {frame.f_code for frame, _ in traceback.walk_tb(trace)}


@coroutine
def cancelled_at(n: int, inner: Coroutine[Any, Any, None], seen: list[int]) -> Generator[Any, Any]:
    """Run a coroutine within this task, and throw CancelledError at its n-th suspension."""
    outcome: Any = None
    error: BaseException | None = None
    while True:
        try:
            waits_for = inner.send(outcome) if error is None else inner.throw(error)
        except StopIteration:
            return
        seen.append(1)
        outcome, error = None, None
        if len(seen) == n:
            if waits_for is not None:
                waits_for.cancel()
            error = asyncio.CancelledError()
            continue
        try:
            outcome = yield waits_for
        except BaseException as thrown:
            error = thrown


def moments(unstruck: Callable[[], Strike], known: Container[Place] = ()) -> Iterable[int]:
    """Which of the lines executed are struck: by night all, by day the first at each place.

    Args:
        unstruck: Runs the scenario without an interrupt.
        known: Places that are left out by day, since another scenario has them.
    """
    if EFFORT == "nightly":
        return count(1)
    unstruck()  # imports what is imported late: it is not again, hereafter
    return [n for place, n in unstruck().first.items() if place not in known]


@contextlib.contextmanager
def quiet_finalisers() -> Iterator[None]:
    """Let an interrupt within ``__del__`` vanish, as Python does; anything else is an error."""
    strange: list[Any] = []

    def hook(args: Any) -> None:
        if not isinstance(args.exc_value, KeyboardInterrupt):
            strange.append((args.exc_value, args.object))

    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        yield
    finally:
        sys.unraisablehook = before
    assert [] == strange
