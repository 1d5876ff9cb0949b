"""Every write of a store's work fails, tears or kills, one after another; then all is judged.

Run as a program with ``faultio`` preloaded.  Each point is a forked child that opens the
store, works and dies or goes on; a second child judges what is on disk.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from traffic import Echo, chat_in, double, judged

from multiturn import GenerativeModel
from multiturn.stores.errors import StoreError
from multiturn.stores.sqlite import SQLiteStore

MODES = {
    "kill": 2,
    "kill_after": 3,
    "torn": 4,
    "enospc_once": 5,
    "enospc_from": 6,
    "eio_once": 7,
    "eio_from": 8,
}
COUNT, LOG = 1, 9
Tell = Callable[[str], object]


START = ["text 0", "tool 1", "text 2"]
# What the session holds after each step of a piece of work, beginning before the first.
STATES = {
    "append": [START[:n] for n in range(4)],
    "branch": [
        START,
        [*START, "text b0"],
        [*START, "text b0", "text b1"],
        [*START, "text b0"],
        [*START, "text b0", "text b1"],
    ],
    "migrate": [START, START, [*START, "text m"]],
    "retain": [START] * 7,
}
# How many steps of "retain" there are when the secret is gone.
ERASED = 3


def append(path: str, tell: Tell) -> None:
    """Begin a store and say three things, one of them with a call."""
    chat = chat_in(SQLiteStore(path), "ada")
    for text in START:
        chat.send_message(text)
        tell(text)


def branch(path: str, tell: Tell) -> None:
    """Go on, back, on again, and elsewhere, in a store that has turns."""
    store = SQLiteStore(path)
    chat = chat_in(store, "ada")
    for text in ("text b0", "text b1"):
        chat.send_message(text)
        tell(text)
    chat.rewind()
    tell("rewind")
    chat.redo()
    tell("redo")
    chat.fork("bob").send_message("text bob")
    store.rename("bob", "eve")
    store.delete("eve")
    store.close()


def migrate(path: str, tell: Tell) -> None:
    """Bring a store of version 1 up to date, and go on in it."""
    store = SQLiteStore(path)
    chat = chat_in(store, "ada")
    assert START == judged(chat)
    tell("migrated")
    chat.send_message("text m")
    tell("text m")
    store.close()


def downgrade(path: str) -> None:
    """Make a store one of version 1: take away what later steps brought."""
    SQLiteStore(path).close()  # moves the log into the file
    database = sqlite3.connect(path, isolation_level=None)
    for table in ("passages", "indexing", "erasures"):
        database.execute(f"DROP TABLE {table}")
    database.execute("ALTER TABLE attempts DROP COLUMN ended_at")
    database.execute("PRAGMA user_version = 1")
    database.execute("VACUUM")
    database.close()


def retain(path: str, tell: Tell) -> None:
    """Search, erase, vacuum, prune and checkpoint beside a conversation."""
    store = SQLiteStore(path)
    chat_in(store, "eve").send_message("text secret")
    tell("said")
    assert store.search("secret")
    tell("found")
    store.erase(store.tree("eve")[0].id)
    tell("erased")
    store.vacuum()
    tell("vacuumed")
    chat_in(store, "old").send_message("text old")
    store.prune(older_than_seconds=0, prefix="old")
    tell("pruned")
    store.close()
    tell("closed")


def judge_retained(store: SQLiteStore, n_steps: int) -> None:
    """Raise unless what is found is what is there, and what was erased is not."""
    secret = store.tree("eve")
    if n_steps >= ERASED:
        assert [True] == [turn.is_erased for turn in secret]
    if n_steps >= 5:
        assert ["ada", "eve"] == [state.name for state in store.sessions()]
    there = {turn.id for turn in store.tree("ada") if b'"text ' in turn.body}
    assert there == {found.turn for found in store.search("text", "ada", 100)}
    told = {turn.id for turn in secret if not turn.is_erased}
    assert told == {found.turn for found in store.search("secret")}
    store._alone("INSERT INTO passage_words (passage_words, rank) VALUES ('integrity-check', 1)")


WORK = {"append": append, "branch": branch, "migrate": migrate, "retain": retain}


def template(name: str, path: str) -> None:
    """Make what a piece of work begins with, if that is not nothing."""
    if name != "append":
        assert 0 == in_child(lambda tell: append(path, tell))[1]
    if name == "migrate":
        assert 0 == in_child(lambda tell: downgrade(path))[1]


def shim() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ["LD_PRELOAD"])


def warm_up() -> None:
    """Load what every child would load anew."""
    import multiturn.durable_turn
    import multiturn.stored_session
    import multiturn.stores.verify  # noqa: F401

    model = GenerativeModel(backend=Echo(), tools=[double])
    model.start_chat(enable_automatic_function_calling=True).send_message("tool")


def folder_of(path: str) -> bytes:
    return os.path.dirname(path).encode()


def in_child(work: Callable[[Tell], None]) -> tuple[list[str], int]:
    """Do work in a forked child; return what it told and how it ended."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            work(lambda text: os.write(told, text.encode() + b"\n"))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(told)
    with os.fdopen(heard, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    return lines, os.waitpid(pid, 0)[1]


def faulty(name: str, path: str, mode: int, n: int) -> Callable[[Tell], None]:
    """Return work during which call ``n`` goes wrong; if it lives, it must work again after."""

    def work(tell: Tell) -> None:
        library = shim()
        library.fault_arm(mode, ctypes.c_long(n), folder_of(path), -1)
        try:
            WORK[name](path, tell)
        except StoreError as error:
            tell(f"!{type(error).__name__}")
        library.fault_arm(0, ctypes.c_long(0), folder_of(path), -1)
        with SQLiteStore(path) as store:
            chat_in(store, "ada").send_message("text after")
        tell("text after")

    return work


def judge(name: str, path: str, told: list[str]) -> Callable[[Tell], None]:
    """Return work that raises unless the store holds what was told, whole."""

    def work(tell: Tell) -> None:
        steps = [line for line in told if line[0] != "!" and line != "text after"]
        # The step that nobody was told of may have happened, or not.
        possible = STATES[name][len(steps) : len(steps) + 2]
        after = ["text after"] if "text after" in told else []
        with SQLiteStore(path) as store:
            chat = chat_in(store, "ada")
            texts = judged(chat)
            assert texts in [[*state, *after] for state in possible], (told, texts)
            assert [] == store.check(), store.check()
            if name == "retain":
                judge_retained(store, len(steps))
            chat.send_message("text judge")
            assert "text judge" == judged(chat)[-1]

    return work


def main() -> None:
    name, stride, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng, counts = random.Random(seed), Counter[str]()
    warm_up()
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        (folder / "template").mkdir()
        template(name, str(folder / "template" / "chats.db"))

        def fresh() -> str:
            shutil.rmtree(folder / "try", ignore_errors=True)
            shutil.copytree(folder / "template", folder / "try")
            return str(folder / "try" / "chats.db")

        path = fresh()

        def count(tell: Tell) -> None:
            shim().fault_arm(COUNT, ctypes.c_long(0), folder_of(path), -1)
            WORK[name](path, lambda _: None)
            tell(str(shim().fault_calls()))

        total = int(in_child(count)[0][0])
        assert total > 10, "nothing was counted: is the shim loaded?"
        for label, mode in MODES.items():
            for n in range(rng.randrange(stride), total, stride):
                path = fresh()
                told, status = in_child(faulty(name, path, mode, n))
                if mode >= 5:
                    assert 0 == status, (label, n, told, status)
                _, verdict = in_child(judge(name, path, told))
                assert 0 == verdict, (label, n, told)
                counts[label] += 1
                counts.update(line for line in told if line.startswith("!"))
        print(json.dumps({"calls": total, **counts}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
