"""A thread that does a store's work for those who may not block, in order.

A session's work is always done by the same one; ``store.threads`` says how many there
may be, one unless it says so.  It looks after turns under way too: renews their leases,
and records what has arrived.

Handing a job over takes no lock, so that it may happen anywhere: in an event loop, in a
destructor, while another job is handed over.
"""

from __future__ import annotations

import atexit
import math
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from multiturn.stores.limit import Limit, limit_here

if TYPE_CHECKING:
    from multiturn.durable_turn import DurableTurn
    from multiturn.stores.protocol import SessionState, Store

T = TypeVar("T")
_EXIT_SECONDS = 10.0
_DEFAULT_LEASE_SECONDS = 60.0
# How often it looks for what has arrived.
_LOOK_SECONDS = 0.5

_workers: weakref.WeakKeyDictionary[Store, dict[int, Worker]] = weakref.WeakKeyDictionary()
_making = threading.Lock()


class Worker:
    """A store's thread, or one of them; it ends with the store.

    Attributes:
        leases: The attempts under way, whose leases it renews.
        arriving: Of those, the turns whose answers are arriving; a reply that nobody holds
            any more must vanish, so that they are not held here.
    """

    def __init__(self, store: Store) -> None:
        self.leases: dict[str, SessionState] = {}
        self.arriving: dict[str, weakref.ref[DurableTurn]] = {}
        self._recording = ""
        self._looks_at = math.inf
        self._has_ended = False
        self._store = weakref.ref(store)
        self._every_seconds = getattr(store, "lease_seconds", _DEFAULT_LEASE_SECONDS) / 3
        self._unfinished: set[Future[Any]] = set()
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="multiturn-store", daemon=True)
        self._thread.start()
        weakref.finalize(store, self._jobs.put, None)

    def submit(self, job: Callable[[], T], limit: Limit | None = None) -> Future[T]:
        """Have a job done after those before it, within a limit; its outcome is in the future.

        Its time runs from now on: of many that wait for a server, none waits for it anew.
        """
        future, its_limit = Future[T](), limit or Limit()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    with its_limit:
                        result = job()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            self._unfinished.discard(future)

        self._jobs.put(run)
        # Behind it: a destructor may hand another job over at any point, and wait for this set.
        self._unfinished.add(future)
        if future.done():
            self._unfinished.discard(future)
        if self._has_ended:  # with its process; whoever comes later does the work
            self._do_what_is_left()
        return future

    def catch_up(self) -> None:
        """Wait until all that was handed over so far is done; a job itself does not wait.

        Raises:
            StoreBusy: The limit of this call was over before.
        """
        if self._unfinished and threading.current_thread() is not self._thread:
            limit = limit_here() or Limit()
            for future in list(self._unfinished):
                try:
                    future.exception(limit.left_seconds)
                except CancelledError:  # nobody wants it any more
                    pass
                except TimeoutError:
                    raise limit.over() from None

    def look_after(self, attempt: str, turn: weakref.ref[DurableTurn]) -> None:
        """Have what arrives in a turn recorded now and then, until it is left."""
        self.arriving[attempt] = turn
        if self._looks_at == math.inf:
            self._jobs.put(_wake)

    def leave(self, attempt: str) -> list[Future[None]]:
        """Have nothing more of a turn recorded; return what to wait for if it just is."""
        self.arriving.pop(attempt, None)
        return [self.submit(_wake)] if self._recording == attempt else []

    def over(self, attempt: str) -> None:
        """Neither renew the lease of a turn any more nor look for what has arrived."""
        self.leases.pop(attempt, None)
        self.arriving.pop(attempt, None)

    def _work(self) -> None:
        renews_at = time.monotonic() + self._every_seconds
        while True:
            with suppress(queue.Empty):
                wakes_at = min(renews_at, self._looks_at)
                job = self._jobs.get(timeout=max(0.0, wakes_at - time.monotonic()))
                if job is None:
                    self._has_ended = True
                    return self._do_what_is_left()
                job()
                del job
            now = time.monotonic()
            if now >= renews_at:  # however much there is to do
                self._renew()
                renews_at = time.monotonic() + self._every_seconds
            if now >= self._looks_at:
                self._record()
                self._looks_at = math.inf
            if self.arriving and self._looks_at == math.inf:
                self._looks_at = time.monotonic() + _LOOK_SECONDS

    def _do_what_is_left(self) -> None:
        with suppress(queue.Empty):
            while True:
                if (job := self._jobs.get_nowait()) is not None:
                    job()

    def _record(self) -> None:
        with Limit():  # if the server is away, they wait for it together
            for attempt, reference in list(self.arriving.items()):
                turn, self._recording = reference(), attempt
                # Whoever leaves it sees that it is being recorded, or is seen to have left.
                if turn is not None and attempt in self.arriving:
                    with suppress(Exception):  # the next look tries again
                        turn.record_arrived()
                del turn
        self._recording = ""

    def _renew(self) -> None:
        store, leases = self._store(), list(self.leases.values())
        if store is not None and leases:
            with suppress(Exception):  # the next one tries again; commit says if it was too late
                store.renew(leases)

    def finish(self, until: float) -> None:
        """Wait until it has ended, but not longer."""
        self._thread.join(max(0.0, until - time.monotonic()))

    def end(self) -> None:
        """Have it end when it has done what is left."""
        self._jobs.put(None)


def _wake() -> None:
    """Do nothing: the thread looks around after each job."""


def worker_of(store: Store, session: int) -> Worker:
    """Return the one worker of a session in this process, by the session's key."""
    number = session % getattr(store, "threads", 1)
    try:
        return _workers[store][number]
    except KeyError:
        with _making:
            workers = _workers.setdefault(store, {})
            if number not in workers:
                workers[number] = Worker(store)
            return workers[number]


def catch_up(store: Store) -> None:
    """Wait until all that was handed over to a store's workers so far is done."""
    for worker in list(_workers.get(store, {}).values()):
        worker.catch_up()


async def result_of(future: Future[T], limit: Limit | None = None) -> T:
    """Await a job.

    Without a limit to its end, whatever happens to the task meanwhile; then raise that.
    With one it is given up when that is over or the task is cancelled: at once if it has
    not begun, else as soon as it notices.
    """
    import asyncio

    waiting: asyncio.Future[Any] = asyncio.wrap_future(future)
    cancelled: BaseException | None = None
    left = limit.left_seconds if limit else None
    while not waiting.done():
        try:
            await asyncio.wait([waiting], timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
            if limit is not None:
                limit.ends = 0.0
        if limit is not None and limit.left_seconds == 0:
            left = None
            if future.cancel():
                raise cancelled or limit.over()
    if cancelled is not None:
        waiting.exception()  # looked at, so that nobody warns of it
        raise cancelled
    return waiting.result()  # type: ignore[no-any-return]


def _finish_all() -> None:
    workers = [worker for some in list(_workers.values()) for worker in list(some.values())]
    for worker in workers:
        worker.end()
    until = time.monotonic() + _EXIT_SECONDS
    for worker in workers:
        worker.finish(until)


def _after_fork_in_child() -> None:
    """Forget the parent's threads, which are not here."""
    global _making, _workers
    _making, _workers = threading.Lock(), weakref.WeakKeyDictionary()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
