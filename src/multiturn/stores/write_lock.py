"""One writer at a time on a file, among threads and processes; none outlives its holder.

SQLite before 3.51.3 can corrupt a database in WAL mode when one connection resets the
log while another checkpoints it (its own release notes, "WAL-reset bug").  Resets and
checkpoints happen only while writing, so that writing one at a time avoids them.  It also
wakes the next writer within a millisecond, where SQLite's own wait takes up to 100.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from multiturn.stores.errors import StoreBusy
from multiturn.stores.limit import Limit, limit_here
from multiturn.stores.sqlite_file import beside

try:
    import fcntl
except ImportError:  # Windows has none; there SQLite's own locks must do
    fcntl = None  # type: ignore[assignment]

EXISTS = fcntl is not None
_FIRST_WAIT_SECONDS = 0.0002
_LONGEST_WAIT_SECONDS = 0.005


class WriteLock:
    """The right to write, from ``take`` to ``release``.

    Its own file beside the database, since closing any descriptor of the database itself
    would drop SQLite's locks.  Take it within the ``try`` whose ``finally`` releases it.

    Args:
        path: The database's file; the lock's is beside it, made if it is not there, never
            removed.
        timeout_seconds: How long to wait for another writer, within the limit of the call;
            then StoreBusy is raised.

    Attributes:
        release: Lets others write; harmless if it was not taken.  A function in C, since one
            in Python may be interrupted before its first line.
    """

    _descriptor: int | None = None
    release: Callable[[], object] = object

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds

    def __del__(self) -> None:
        self.close()

    def take(self) -> None:
        """Wait until no other writes."""
        if fcntl is not None:
            descriptor = self._descriptor
            if descriptor is None:
                descriptor = os.open(beside(self._path, "-lock"), os.O_RDWR | os.O_CREAT, 0o600)
                # Said aloud: a forked child may hold a copy of the descriptor.
                self.release = partial(fcntl.flock, descriptor, fcntl.LOCK_UN)
                self._descriptor = descriptor
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._wait_for(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        assert fcntl is not None
        began, pause = time.monotonic(), _FIRST_WAIT_SECONDS
        limit, deadline = limit_here() or Limit(), began + self._timeout_seconds
        while time.monotonic() <= min(deadline, limit.ends):
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
            with suppress(BlockingIOError):
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise StoreBusy(
            f"others were writing to {self._path} for {time.monotonic() - began:.1f} seconds; "
            "call again, or see whether a process holds it and hangs",
            store=str(self._path),
        )

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        descriptor, self._descriptor, self.release = self._descriptor, None, object
        if descriptor is not None:
            os.close(descriptor)
