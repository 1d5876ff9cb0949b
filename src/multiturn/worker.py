"""One thread that does a store's work for those who may not block, in order.

Handing a job over takes no lock, so that it may happen anywhere: in an event loop, in a
destructor, while another job is handed over.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiturn.stores.protocol import SessionState, Store

T = TypeVar("T")
_EXIT_SECONDS = 10.0
_DEFAULT_LEASE_SECONDS = 60.0

_workers: weakref.WeakKeyDictionary[Store, Worker] = weakref.WeakKeyDictionary()
_making = threading.Lock()


class Worker:
    """A store's thread; it ends with the store.

    Attributes:
        leases: The attempts under way, whose leases it renews.
    """

    def __init__(self, store: Store) -> None:
        self.leases: dict[str, SessionState] = {}
        self._store = weakref.ref(store)
        self._every_seconds = getattr(store, "lease_seconds", _DEFAULT_LEASE_SECONDS) / 3
        self._unfinished: set[Future[Any]] = set()
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="multiturn-store", daemon=True)
        self._thread.start()
        weakref.finalize(store, self._jobs.put, None)

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Have a job done after those before it; its outcome is in the future."""
        future = Future[T]()

        def run() -> None:
            try:
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
        return future

    def catch_up(self) -> None:
        """Wait until all that was handed over so far is done; a job itself does not wait."""
        if self._unfinished and threading.current_thread() is not self._thread:
            for future in list(self._unfinished):
                future.exception()

    def _work(self) -> None:
        renews_at = time.monotonic() + self._every_seconds
        while True:
            with suppress(queue.Empty):
                job = self._jobs.get(timeout=max(0.0, renews_at - time.monotonic()))
                if job is None:
                    return
                job()
                del job
            if time.monotonic() >= renews_at:  # however much there is to do
                self._renew()
                renews_at = time.monotonic() + self._every_seconds

    def _renew(self) -> None:
        store, leases = self._store(), list(self.leases.values())
        if store is not None and leases:
            with suppress(Exception):  # the next one tries again; commit says if it was too late
                store.renew(leases)

    def finish(self) -> None:
        """Do what is left, and end."""
        self._jobs.put(None)
        self._thread.join(_EXIT_SECONDS)


def worker_of(store: Store) -> Worker:
    """Return the one worker of a store in this process."""
    worker = _workers.get(store)
    if worker is None:
        with _making:
            worker = _workers.get(store)
            if worker is None:
                worker = _workers[store] = Worker(store)
    return worker


async def result_of(future: Future[T]) -> T:
    """Await a job to its end, whatever happens to the task meanwhile; then raise that."""
    import asyncio

    waiting: asyncio.Future[Any] = asyncio.wrap_future(future)
    cancelled: BaseException | None = None
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        waiting.exception()  # looked at, so that nobody warns of it
        raise cancelled
    return waiting.result()  # type: ignore[no-any-return]


def _finish_all() -> None:
    for worker in list(_workers.values()):
        worker.finish()


def _after_fork_in_child() -> None:
    """Forget the parent's threads, which are not here."""
    global _making, _workers
    _making, _workers = threading.Lock(), weakref.WeakKeyDictionary()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
