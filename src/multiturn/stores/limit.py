"""How long a call on a store may take: a message's time limit, as the store sees it."""

from __future__ import annotations

import math
import threading
import time

from multiturn.stores.errors import StoreBusy


class Limit:
    """The time of one call; ``with`` makes it that of what this thread asks stores for.

    Attributes:
        began: When it was made, or handed over, by ``time.monotonic()``.
        ends: When nobody waits for it any more; may be set earlier by any thread.
    """

    __slots__ = ("began", "ends")

    def __init__(self, ends: float = math.inf) -> None:
        self.began, self.ends = time.monotonic(), ends

    @property
    def left_seconds(self) -> float | None:
        """How much is left of it, None without an end."""
        return None if self.ends == math.inf else max(0.0, self.ends - time.monotonic())

    def require(self) -> None:
        """Raise StoreBusy if it is over."""
        if time.monotonic() >= self.ends:
            raise self.over()

    def over(self) -> StoreBusy:
        """Return what to raise when it is over and nothing was done."""
        seconds = max(0.0, time.monotonic() - self.began)
        return StoreBusy(
            "the time limit of the call was over before the store could be asked (it waited "
            f"{seconds:.1f} s); nothing was sent to the model; call again, or give more time"
        )

    def __enter__(self) -> Limit:
        self.require()
        _here.limits.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _here.limits.pop()


class _Here(threading.local):
    def __init__(self) -> None:
        self.limits: list[Limit] = []


_here = _Here()


def limit_here() -> Limit:
    """Return the limit that holds in this thread, one without an end if there is none."""
    return _here.limits[-1] if _here.limits else Limit()
