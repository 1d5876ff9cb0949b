"""Every store of ours keeps the public contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from multiturn.stores.memory import MemoryStore
from multiturn.stores.protocol import Store
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with SQLiteStore(tmp_path / "chats.db") as store:
            yield store


class TestSQLiteStoreWithoutSyncs(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with SQLiteStore(tmp_path / "chats.db", synchronous="NORMAL") as store:
            yield store
