"""What a durable turn costs, beside a bare SQLite transaction of the same bytes and durability.

    python benchmarks/stores.py [folder on the disk to measure]

The model answers at once.  The floor is one ``INSERT`` of as many bytes as the turn's
record in WAL mode with ``synchronous=FULL``.  Rounds take turns, since a disk's fsync
varies from minute to minute; each figure is a median in milliseconds of wall time.
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
ROUNDS, TURNS = 9, 25


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
    rows: dict[str, list[float]] = {}
    work: dict[str, Callable[[], Any]] = {
        "bare transaction": bare,
        "turn 10": lambda: few.send_message("x"),
        "turn 10,000": lambda: many.send_message("x"),
    }
    for _ in range(ROUNDS * TURNS):
        for name, action in work.items():
            before = written_bytes()
            rows.setdefault(name, []).append(milliseconds(action, 1))
            rows.setdefault(f"{name}, KiB written", []).append((written_bytes() - before) / 1024)
    names = iter(range(10**6))
    rows["fork at 10,000"] = [milliseconds(lambda: many.fork(f"fork {next(names)}"))]
    rows["rewind at 10,000"] = [milliseconds(many.rewind, 10)]

    def reopened() -> int:
        chat = model.start_chat(session="bench", store=SQLiteStore(folder / "many.db"))
        return len(chat.history)

    rows["open 10,000"] = [
        milliseconds(
            lambda: model.start_chat(session="bench", store=SQLiteStore(folder / "many.db")), 5
        )
    ]
    rows["open and read 10,000"] = [milliseconds(reopened, 5)]
    for name, values in rows.items():
        unit = "" if "KiB" in name else "ms"
        print(f"{name:36} {statistics.median(values):8.2f} {unit}")
    floor = rows["bare transaction"]
    for name in ("turn 10", "turn 10,000"):
        ratios = [turn / least for turn, least in zip(rows[name], floor, strict=True)]
        print(f"{name + ' over bare':36} {statistics.median(ratios):8.2f} times")
    ratios = [m / f for m, f in zip(rows["turn 10,000"], rows["turn 10"], strict=True)]
    print(f"{'turn 10,000 over turn 10':36} {statistics.median(ratios):8.2f} times")


if __name__ == "__main__":
    main()
