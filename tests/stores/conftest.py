"""One PostgreSQL for all tests of stores."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stores.postgres_server import Server, binaries, server


@pytest.fixture(scope="package")
def postgres() -> Iterator[Server]:
    pytest.importorskip("psycopg_pool", reason="PostgresStore needs multiturn[postgres]")
    if binaries() is None:
        pytest.skip("NO POSTGRESQL HERE: install it (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="multiturn-pg-"))
    folder.chmod(0o755)
    try:
        with server(folder) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)
