"""How long a call on a store may take: a message's time limit, as the store sees it."""

from __future__ import annotations

import math
from threading import get_ident
from time import monotonic
from weakref import ref

from multiturn.stores.errors import StoreBusy

# By thread.  What an interrupt keeps from being taken back ends with its call, since nothing
# else holds it.
_limits: dict[int, ref[Limit]] = {}


class Limit:
    """The time of one call; ``with`` makes it that of what this thread asks stores for.

    One holds at a time: within it there is no other.

    Attributes:
        began: When it was made, or handed over, by ``time.monotonic()``.
        ends: When nobody waits for it any more; may be set earlier by any thread.

    Raises:
        StoreBusy: At the beginning of ``with``, if it is over.
    """

    __slots__ = ("__weakref__", "began", "ends")

    def __init__(self, ends: float = math.inf) -> None:
        self.began, self.ends = monotonic(), ends

    @property
    def left_seconds(self) -> float | None:
        """How much is left of it, None without an end."""
        return None if self.ends == math.inf else max(0.0, self.ends - monotonic())

    def over(self) -> StoreBusy:
        """Return what to raise when it is over and nothing was done."""
        seconds = max(0.0, monotonic() - self.began)
        return StoreBusy(
            "the time limit of the call was over before the store could be asked (it waited "
            f"{seconds:.1f} s); nothing was sent to the model; call again, or give more time"
        )

    def __enter__(self) -> Limit:
        if monotonic() >= self.ends:
            raise self.over()
        _limits[get_ident()] = ref(self)
        return self

    def __exit__(self, *_: object) -> None:
        _limits.pop(get_ident(), None)


def limit_here() -> Limit | None:
    """Return the limit that holds in this thread, None if there is none."""
    held = _limits.get(get_ident())
    return held() if held else None


def wait_seconds(most: float) -> float:
    """Return how long to wait in this thread: at most so long, and not beyond its limit."""
    limit = limit_here()
    left = limit.left_seconds if limit else None
    return most if left is None else min(most, left)
