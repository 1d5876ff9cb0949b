"""One PostgreSQL for all tests of stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stores.postgres_server import Server, server


@pytest.fixture(scope="package")
def postgres() -> Iterator[Server]:
    with server() as cluster:
        yield cluster
