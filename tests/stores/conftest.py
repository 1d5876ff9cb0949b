"""One PostgreSQL for all tests of stores, and the stores that need no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from multiturn.stores.memory import MemoryStore
from multiturn.stores.protocol import Store
from multiturn.stores.sqlite import SQLiteStore
from stores.postgres_server import Server, server


@pytest.fixture(scope="package")
def postgres() -> Iterator[Server]:
    with server() as cluster:
        yield cluster


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with SQLiteStore(tmp_path / "chats.db") as store:
        yield store
