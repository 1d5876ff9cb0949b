"""A store that any version wrote opens in this one, with all that was said.

``files/`` holds one store for each version of the tables, written by the release that
brought it; ``python tests/stores/test_upgrades.py`` writes the newest.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from multiturn.stores import migrations
from multiturn.stores.conformance import EMPTY, HARD_TEXTS, new_attempt, say, texts
from multiturn.stores.sqlite import SQLiteStore

FILES = Path(__file__).parent / "files"


def write(path: Path) -> None:
    """Write a store with a session, a fork, a turn that came to nothing, one that is erased."""
    with SQLiteStore(path) as store:
        state = store.open("ada")
        for text in HARD_TEXTS[:-1]:
            state = say(store, state, text)
        say(store, store.create("bob", state.head), "only here")
        store.settle(store.begin(state, new_attempt(), EMPTY), "failed", EMPTY)
        erased = say(store, store.open("eve"), "secret")
        say(store, erased, "after it")
        store.search("after")
        store.erase(str(erased.head))
    for leftover in path.parent.glob(f"{path.name}-*"):
        leftover.unlink()


@pytest.mark.parametrize("version", range(1, migrations.NEWEST + 1))
def test_a_store_of_every_version_opens_whole(version: int, tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    shutil.copy(FILES / f"version_{version}.db", path)
    with SQLiteStore(path) as store:
        assert [*HARD_TEXTS[:-1]] == texts(store, "ada")
        assert [*HARD_TEXTS[:-1], "only here"] == texts(store, "bob")
        assert ["failed"] == [attempt.outcome for attempt in store.attempts("ada")]
        assert [] == store.check()
        assert version < 2 or ["after it"] == texts(store, "eve")
        say(store, store.open("ada"), "said today")
        assert ["ada"] == [found.session for found in store.search("said today")]
        assert ["bob"] == [found.session for found in store.search("only here")]
        assert [] == store.search("secret")
        assert "said today" == texts(store, "ada")[-1]


if __name__ == "__main__":
    write(Path(sys.argv[1] if sys.argv[1:] else FILES / f"version_{migrations.NEWEST}.db"))
