"""What a durable turn costs, beside a bare SQLite transaction of the same bytes and durability.

    python benchmarks/stores.py [folder on the disk to measure]

The model answers at once.  The floor is one ``INSERT`` of as many bytes as the turn's
record in WAL mode with ``synchronous=FULL``.  Rounds take turns, since a disk's fsync
varies from minute to minute; each figure is a median in milliseconds of wall time.

A new log grows until SQLite first moves it into the file, after 1,000 pages, and is
written over from then on; to sync a file that grew takes a disk longer.  Both are
measured, for all three in the same state.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from overhead import Ready

import multiturn as genai
from multiturn.stores.sqlite import SQLiteStore

N_MANY = 10_000
ROUNDS, TURNS = 6, 25
# SQLite's wal_autocheckpoint, in frames of a page and its header.
LOG_BYTES = 1_000 * (4096 + 24)
PAIRS = (("turn 10", "bare"), ("turn 10,000", "bare"), ("turn 10,000", "turn 10"))


def milliseconds(work: Callable[[], object], times: int = TURNS) -> float:
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        spent.append((time.perf_counter() - started) * 1e3)
    return statistics.median(spent)


class Bare:
    """One row in one transaction."""

    def __init__(self, path: Path, n_bytes: int) -> None:
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute("CREATE TABLE turns (number INTEGER PRIMARY KEY, body BLOB)")
        self.body = b"x" * n_bytes

    def __call__(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")
        self.database.execute("INSERT INTO turns (body) VALUES (?)", (self.body,))
        self.database.execute("COMMIT")


def chat_of(path: Path, n_turns: int, model: genai.GenerativeModel) -> genai.ChatSession:
    """Return a stored conversation of this length, put there in one transaction."""
    history = [
        {"role": role, "parts": [{"text": f"message {i}"}]}
        for i in range(n_turns)
        for role in ("user", "model")
    ]
    return model.start_chat(session="bench", store=SQLiteStore(path), history=history)


def written_bytes() -> int:
    """Return what this process has had written to disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def spent(work: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Return what each did cost in rounds in which each comes first, second and third."""
    rows: dict[str, list[float]] = {}
    order = [*work.items()]
    for _ in range(ROUNDS * TURNS):
        order.append(order.pop(0))
        for name, action in order:
            before = written_bytes()
            rows.setdefault(name, []).append(milliseconds(action, 1))
            rows.setdefault(f"{name}, KiB written", []).append((written_bytes() - before) / 1024)
    return rows


def report(rows: dict[str, list[float]]) -> None:
    for name, values in rows.items():
        unit = "" if "KiB" in name else "ms"
        print(f"{name:36} {statistics.median(values):8.2f} {unit}")


def compare(rows: dict[str, list[float]], upper: str, lower: str) -> None:
    ratios = [one / other for one, other in zip(rows[upper], rows[lower], strict=True)]
    print(f"{upper + ' over ' + lower:36} {statistics.median(ratios):8.2f} times")


def report_turns(state: str, work: dict[str, Callable[[], Any]]) -> None:
    print(f"-- {state}")
    rows = spent(work)
    report(rows)
    for upper, lower in PAIRS:
        compare(rows, upper, lower)


def main() -> None:
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    model = genai.GenerativeModel(backend=Ready(0))
    few = chat_of(folder / "few.db", 10, model)
    started = time.perf_counter()
    many = chat_of(folder / "many.db", N_MANY, model)
    print(f"{'import of 10,000 turns':36} {(time.perf_counter() - started) * 1e3:8.1f} ms")
    few.send_message("x")
    many.send_message("x")
    assert few._stored is not None
    bare = Bare(folder / "bare.db", len(few._stored.store.line(few.turns[-1].id, 1)[0].body))
    work: dict[str, Callable[[], Any]] = {
        "bare": bare,
        "turn 10": lambda: few.send_message("x"),
        "turn 10,000": lambda: many.send_message("x"),
    }
    for chat in (few, many):
        assert chat._stored is not None
        chat._stored.store.close()  # the next turn begins a log
    report_turns("a log that grows", work)
    for name, action in zip(("bare", "few", "many"), work.values(), strict=True):
        while (folder / f"{name}.db-wal").stat().st_size < LOG_BYTES:
            action()
    report_turns("a log that is written over", work)
    report_others(model, many, folder)


def report_others(model: genai.GenerativeModel, many: genai.ChatSession, folder: Path) -> None:
    """Report what does not wait for the disk so much."""

    def opened() -> genai.ChatSession:
        return model.start_chat(session="bench", store=SQLiteStore(folder / "many.db"))

    names = iter(range(10**6))
    print("-- at 10,000 turns")
    report(
        {
            "fork": [milliseconds(lambda: many.fork(f"fork {next(names)}"))],
            "rewind": [milliseconds(many.rewind, 10)],
            "open": [milliseconds(opened, 5)],
            "open and read": [milliseconds(lambda: len(opened().history), 5)],
        }
    )


if __name__ == "__main__":
    main()
