"""The thread that does a store's work."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from multiturn import MemoryStore
from multiturn.stores.protocol import SessionState
from multiturn.stores.record import recorded
from multiturn.worker import worker_of


class Watched(MemoryStore):
    """A store that tells when leases are renewed."""

    def __init__(self) -> None:
        super().__init__(lease_seconds=0.1)
        self.renewed = threading.Event()

    def renew(self, states: Iterable[SessionState]) -> None:
        super().renew(states)
        self.renewed.set()


def test_leases_are_renewed_however_much_there_is_to_do() -> None:
    store = Watched()
    worker = worker_of(store)
    begun = store.begin(store.create("a", None), "1" * 32, recorded({"contents": []}))

    def work() -> Any:
        if not store.renewed.is_set():
            worker.submit(work)

    worker.leases[begun.attempt] = begun
    worker.submit(work)
    try:
        assert store.renewed.wait(10)
    finally:
        store.renewed.set()
        store.close()
