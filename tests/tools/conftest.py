"""What the tests of tools share: a watch on the threads that run functions."""

from __future__ import annotations

import threading

import pytest

from multiturn.tools import threads


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[threading.Event]:
    """Return, for each piece of work that is handed to a thread, whether it has ended."""
    handed: list[threading.Event] = []
    start = threads.start

    def watched(work: threads.Work) -> None:
        handed.append(threading.Event())
        ended = handed[-1]

        def watch() -> None:
            work()
            ended.set()

        start(watch)

    monkeypatch.setattr(threads, "start", watched)
    return handed
