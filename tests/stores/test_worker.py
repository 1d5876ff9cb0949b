"""The thread that does a store's work."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from multiturn import MemoryStore, SQLiteStore
from multiturn.stores.protocol import SessionState
from multiturn.stores.record import recorded
from multiturn.worker import worker_of
from stores.opening import opened
from ways import said, until


class Watched(MemoryStore):
    """A store that tells when leases are renewed."""

    def __init__(self) -> None:
        super().__init__(lease_seconds=0.1)
        self.renewed = threading.Event()

    def renew(self, states: Iterable[SessionState]) -> None:
        super().renew(states)
        self.renewed.set()


class Interrupting:
    """A queue that has something else happen just before the first job gets in."""

    def __init__(self, jobs: Any, what: Callable[[], object]) -> None:
        self._jobs, self._what = jobs, [what]

    def put(self, job: Any) -> None:
        if self._what:
            self._what.pop()()
        self._jobs.put(job)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)


def test_jobs_handed_over_at_one_moment_are_all_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    worker = worker_of(store, 0)
    may_go_on, done = threading.Event(), list[str]()

    def slow() -> None:
        may_go_on.wait(10)
        done.append("first")

    def other() -> None:
        worker.submit(lambda: done.append("second")).result()
        threading.Timer(0.05, may_go_on.set).start()

    # As another thread may, or a destructor, while the first is handed over.
    monkeypatch.setattr(worker, "_jobs", Interrupting(worker._jobs, other))
    worker.submit(slow)
    worker.catch_up()
    assert ["second", "first"] == done
    until(lambda: not worker._unfinished)
    store.close()


def test_leases_are_renewed_however_much_there_is_to_do() -> None:
    store = Watched()
    worker = worker_of(store, 0)
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


def test_what_is_said_when_the_thread_has_ended_with_its_process_is_stored(tmp_path: Path) -> None:
    """In an atexit handler that was registered before ours, and so is called after it."""
    path = tmp_path / "chats.db"
    done = subprocess.run(
        [sys.executable, "-c", LATE, str(path)], check=True, capture_output=True, timeout=60
    )
    assert (b"late\nlater\n", b"") == (done.stdout, done.stderr)
    with SQLiteStore(path) as store:
        assert ["early", "late", "later"] == said(opened(store))[::2]
        assert ["answered"] * 3 == [entry.outcome for entry in opened(store).journal]


LATE = """
import asyncio, atexit, sys

def say_more():
    print(asyncio.run(chat.send_message_async("late")).text)
    print(chat.send_message("later").text)

atexit.register(say_more)

from multiturn import GenerativeModel, SQLiteStore
from multiturn.testing import ScriptedBackend

backend = ScriptedBackend(lambda request: request.contents[-1].text, repeat=True)
chat = GenerativeModel(backend=backend).start_chat(session="ada", store=SQLiteStore(sys.argv[1]))
asyncio.run(chat.send_message_async("early"))
"""
