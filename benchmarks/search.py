"""What searching costs: those who search, and those who do not.

    python benchmarks/search.py [number of turns]

CPU time of this process and bytes of the write-ahead log, since wall time is the disk's.
A turn says 60 words of a vocabulary in which few are frequent, as in natural text.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from multiturn.stores.conformance import EMPTY, new_attempt, say
from multiturn.stores.protocol import StoredTurn
from multiturn.stores.record import recorded, turn_id
from multiturn.stores.search import _caught_up
from multiturn.stores.sqlite import SQLiteStore

WORDS = [f"w{i}" for i in range(20_000)]
WEIGHTS = [1 / (i + 1) for i in range(len(WORDS))]
BATCH, PAIRS = 1000, 200


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, WEIGHTS, k=60))


def filled(path: Path, n_turns: int, rng: random.Random) -> SQLiteStore:
    """Return a store with sessions of 1000 turns."""
    store = SQLiteStore(path, synchronous="NORMAL")
    for first in range(0, n_turns, BATCH):
        state = store.begin(store.open(f"s{first // BATCH}"), new_attempt(), EMPTY)
        rows: list[StoredTurn] = []
        for number in range(BATCH):
            parent = rows[-1].id if rows else None
            record = recorded({"contents": [{"role": "user", "parts": [{"text": text(rng)}]}]})
            rows.append(StoredTurn(turn_id(parent, record.body), parent, number, 0, record.body))
        store.commit(state, rows, {})
    return store


def milliseconds(work: Callable[[], object], times: int = 1) -> float:
    spent = []
    for _ in range(times):
        started = time.process_time()
        work()
        spent.append((time.process_time() - started) * 1e3)
    return statistics.median(spent)


def turns(folder: Path, rng: random.Random) -> None:
    """Compare a turn that is not indexed with one that is, pair by pair."""
    plain, indexed = (SQLiteStore(folder / name, synchronous="NORMAL") for name in ("p", "i"))
    states = [store.open("ada") for store in (plain, indexed)]
    spent: dict[str, list[float]] = {"": [], "and is indexed at once": []}
    for _ in range(PAIRS):
        words = text(rng)
        for i, (store, what) in enumerate(zip((plain, indexed), spent, strict=True)):
            started = time.process_time()
            states[i] = say(store, states[i], words)
            if what:
                _caught_up(store)
            spent[what].append((time.process_time() - started) * 1e3)
    for what, found in spent.items():
        print(f"a turn is stored {what:28} {statistics.median(found):8.3f} ms")


def show(what: str, value: float, unit: str) -> None:
    print(f"{what:36} {value:10.2f} {unit}")


def searches(store: SQLiteStore) -> None:
    for what, query, prefix in (
        ("a frequent word", "w0", ""),
        ("a rare word", "w15000", ""),
        ("two words", "w5 w300", ""),
        ("a phrase", '"w0 w1"', ""),
        ("a rare word in 11 % of sessions", "w15000", "s7"),
        ("nothing", "nowhere", ""),
    ):
        show(what, milliseconds(lambda q=query, p=prefix: store.search(q, p), 9), "ms")


def main() -> None:
    n_turns = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / "many"
        turns(folder, rng)
        store = filled(path, n_turns, rng)
        store.vacuum()
        before = path.stat().st_size
        show(f"{n_turns} turns", before / 1e6, "MB")
        show("the first search", milliseconds(lambda: store.search("w1")), "ms")
        store.vacuum()
        show("the index", (path.stat().st_size - before) / 1e6, "MB")
        searches(store)

        def said_and_sought() -> None:
            say(store, store.open("s0"), text(rng))
            store.search("w0")

        show("a turn, searched for at once", milliseconds(said_and_sought, 9), "ms")
        turn = store.tree("s0")[500].id
        show("erase", milliseconds(lambda: store.erase(turn)), "ms")
        show("delete of 1000 turns", milliseconds(lambda: store.delete("s3")), "ms")
        show("prune of all", milliseconds(lambda: store.prune(older_than_seconds=-60)), "ms")
        store.close()


if __name__ == "__main__":
    main()
