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
from contextlib import suppress
from pathlib import Path

from multiturn.stores.errors import StoreBusy

try:
    import fcntl
except ImportError:  # Windows has none; there SQLite's own locks must do
    fcntl = None  # type: ignore[assignment]

EXISTS = fcntl is not None
_FIRST_WAIT_SECONDS = 0.0002
_LONGEST_WAIT_SECONDS = 0.005


class WriteLock:
    """The right to write, for as long as a ``with`` statement lasts.

    Its own file beside the database, since closing any descriptor of the database itself
    would drop SQLite's locks.

    Args:
        path: The lock's file; made if it is not there, never removed.
        timeout_seconds: How long to wait for another writer; then StoreBusy is raised.
    """

    _descriptor: int | None = None

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        self._path, self._timeout_seconds = path, timeout_seconds

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> None:
        if fcntl is not None:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._wait_for(self._descriptor)

    def __exit__(self, *_: object) -> None:
        if fcntl is not None and self._descriptor is not None:
            # Said aloud: a forked child may hold a copy of the descriptor.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _wait_for(self, descriptor: int) -> None:
        assert fcntl is not None
        deadline, pause = time.monotonic() + self._timeout_seconds, _FIRST_WAIT_SECONDS
        while time.monotonic() <= deadline:
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
            with suppress(BlockingIOError):
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise StoreBusy(
            f"others were writing to {self._path} for {self._timeout_seconds:g} "
            "seconds; call again, or see whether a process holds it and hangs",
            store=str(self._path),
        )

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
