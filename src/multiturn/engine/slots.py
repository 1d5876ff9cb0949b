"""Which of the engine's slots evaluates a prompt, so that only new tokens are evaluated.

A slot holds the keys and values of one sequence of tokens.  The tokens themselves say
where a prompt belongs: the slot whose sequence the prompt continues.  A prompt that
leaves a sequence midway (a rewind, a fork) gets a copy of that slot, so that the
sequence it leaves stays whole; a slot that is needed for something else is saved first.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from multiturn.engine.tokens import Tokens
from multiturn.errors import EngineError

# Copying a state costs about a hundredth of evaluating its tokens (0.02 against 2.6 ms a
# token for a 135M model on two cores), so a copy pays even where most of it is thrown away.
_FEWEST_COPIED_TOKENS = 32
_LARGEST_WASTE = 16
_LOST_WITHOUT_REGRET = 8
_POLL_SECONDS = 0.02


class StateFile(Protocol):
    """Room outside the engine for the state of one slot."""

    def save(self, slot: int) -> int:
        """Write the slot's state here; return its size in bytes."""
        ...

    def restore(self, slot: int) -> None:
        """Make the slot hold the state that is here."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Slot:
    number: int
    tokens: bytes = b""
    used: int = 0
    busy: bool = False


@dataclass(slots=True, eq=False)
class _Saved:
    tokens: bytes
    file: StateFile
    size_bytes: int
    used: int


@dataclass(frozen=True, slots=True)
class _Plan:
    target: _Slot
    source: _Slot | _Saved | None
    keep: bool


class Slots:
    """The slots of one loaded model. Safe for use from several threads.

    Args:
        count: How many slots the engine has.
        new_file: Makes an empty state file.
        limit_bytes: Most bytes of saved states; the least recently used go first.
    """

    def __init__(self, count: int, new_file: Callable[[], StateFile], limit_bytes: int) -> None:
        self._slots = [_Slot(number) for number in range(count)]
        self._saved: list[_Saved] = []
        self._new_file, self._limit_bytes = new_file, limit_bytes
        self._changed = threading.Condition()
        self._clock = 0

    @contextmanager
    def taken(self, prompt: Tokens, stopped: Callable[[], bool]) -> Iterator[Taken | None]:
        """Wait for a slot and prepare it; None is given if ``stopped()`` first."""
        wanted = array("i", prompt).tobytes()
        plan = self._wait_for_plan(wanted, stopped)
        if plan is None:
            yield None
            return
        taken = Taken(plan.target.number)
        try:
            self._prepare(plan)
            yield taken
        finally:
            with self._changed:
                self._clock += 1
                plan.target.used = self._clock
                plan.target.tokens = array("i", taken.tokens).tobytes()
                plan.target.busy = False
                self._changed.notify()

    def close(self) -> None:
        """Free every saved state. Takes no lock: a forked child may never get it."""
        while self._saved:
            self._saved.pop().file.close()

    def _wait_for_plan(self, wanted: bytes, stopped: Callable[[], bool]) -> _Plan | None:
        with self._changed:
            while not stopped():
                plan = self._plan(wanted)
                if plan is not None:
                    plan.target.busy = True
                    if isinstance(plan.source, _Slot):
                        plan.source.busy = True
                    return plan
                self._changed.wait(_POLL_SECONDS)
        return None

    def _plan(self, wanted: bytes) -> _Plan | None:
        idle = [slot for slot in self._slots if not slot.busy]
        if not idle:
            return None
        held: list[_Slot | _Saved] = [*idle, *self._saved]
        shared = {id(place): _shared_bytes(place.tokens, wanted) for place in held}
        best = max(idle, key=lambda slot: (shared[id(slot)], -len(slot.tokens), slot.used))
        saved = max(self._saved, key=lambda state: shared[id(state)], default=None)
        from_saved = saved is not None and shared[id(saved)] > shared[id(best)]
        lost = len(best.tokens) - shared[id(best)]
        if not from_saved and lost <= _LOST_WITHOUT_REGRET * _TOKEN_BYTES:
            return _Plan(best, None, keep=False)
        source: _Slot | _Saved = saved if from_saved and saved is not None else best
        gained = shared[id(source)]
        pays = gained >= _FEWEST_COPIED_TOKENS * _TOKEN_BYTES and gained * _LARGEST_WASTE >= len(
            source.tokens
        )
        others = [slot for slot in idle if not (pays and slot is source)] or idle
        target = min(others, key=lambda slot: (len(slot.tokens) > 0, slot.used))
        return _Plan(target, source if pays and source is not target else None, keep=True)

    def _prepare(self, plan: _Plan) -> None:
        """Carry out ``plan``; a copy that fails only means more to evaluate."""
        target, source = plan.target, plan.source
        if plan.keep and not self._held_elsewhere(target):
            self._save(target)
        if isinstance(source, _Slot):
            file = self._new_file()
            try:
                file.save(source.number)
                file.restore(target.number)
            except EngineError:
                pass
            finally:
                file.close()
                with self._changed:
                    source.busy = False
                    self._changed.notify()
        elif source is not None:
            with self._changed:
                if source not in self._saved:
                    return
                self._saved.remove(source)
            self._restore(source, target)

    def _restore(self, saved: _Saved, target: _Slot) -> None:
        try:
            saved.file.restore(target.number)
        except EngineError:
            saved.file.close()
            return
        with self._changed:
            self._clock += 1
            saved.used = self._clock
        self._keep(saved)

    def _held_elsewhere(self, target: _Slot) -> bool:
        """Whether nothing is lost when ``target`` takes another sequence."""
        if len(target.tokens) < _FEWEST_COPIED_TOKENS * _TOKEN_BYTES:
            return True
        with self._changed:
            others: list[_Slot | _Saved] = [s for s in self._slots if s is not target]
            others += self._saved
            return any(other.tokens.startswith(target.tokens) for other in others)

    def _save(self, slot: _Slot) -> None:
        file = self._new_file()
        try:
            size_bytes = file.save(slot.number)
        except EngineError:
            file.close()
            return
        with self._changed:
            self._clock += 1
            state = _Saved(slot.tokens, file, size_bytes, self._clock)
        self._keep(state)

    def _keep(self, state: _Saved) -> None:
        """Add a saved state; drop those it contains and, over the limit, the oldest."""
        with self._changed:
            for other in [s for s in self._saved if state.tokens.startswith(s.tokens)]:
                self._drop(other)
            self._saved.append(state)
            while sum(s.size_bytes for s in self._saved) > self._limit_bytes:
                self._drop(min(self._saved, key=lambda s: s.used))

    def _drop(self, state: _Saved) -> None:
        self._saved.remove(state)
        state.file.close()


@dataclass(slots=True)
class Taken:
    """A slot in use; ``tokens`` is what it holds when it is given back."""

    number: int
    tokens: Tokens = ()


_TOKEN_BYTES = array("i").itemsize


def _shared_bytes(held: bytes, wanted: bytes) -> int:
    """Return the length of the common prefix, in whole tokens."""
    low, high = 0, min(len(held), len(wanted)) // _TOKEN_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        if held[: middle * _TOKEN_BYTES] == wanted[: middle * _TOKEN_BYTES]:
            low = middle
        else:
            high = middle - 1
    return low * _TOKEN_BYTES
