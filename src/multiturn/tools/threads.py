"""Daemon threads for functions, used again while there is work.

A function that hangs keeps its thread and nothing else: not the call, which goes on at
its time limit, and not the program, which ends without it.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

Work: TypeAlias = Callable[[], None]

# How long a thread waits for more work before it ends.
_IDLE_SECONDS = 5.0
# The inboxes of threads that wait, the last to have worked at the end.
_idle: deque[queue.SimpleQueue[Work]] = deque()


def start(work: Work) -> None:
    """Do work in a thread; it must not raise."""
    try:
        inbox = _idle.pop()
    except IndexError:
        inbox = queue.SimpleQueue()
        thread = threading.Thread(target=_serve, args=(inbox,), name="multiturn-tool", daemon=True)
        thread.start()
    inbox.put(work)


def _serve(inbox: queue.SimpleQueue[Work]) -> None:
    while True:
        try:
            work = inbox.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            try:
                _idle.remove(inbox)
            except ValueError:
                continue  # work is on its way
            return
        work()
        del work  # while this thread waits, nothing of it shall stay alive
        _idle.append(inbox)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)
