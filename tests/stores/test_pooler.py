"""A store behind PgBouncer, where every transaction may be another connection's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiturn.stores.protocol import Store
from multiturn.testing import StoreContract
from stores.postgres_server import Server
from stores.test_processes import NIGHTLY, run

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = [
    pytest.mark.skipif(
        PGBOUNCER is None,
        reason="NO PGBOUNCER HERE: run scripts/services, or install it (Debian: apt-get install "
        "pgbouncer); whether a pooler may stand before PostgreSQL was not tested",
    ),
    pytest.mark.timeout(3000 if NIGHTLY else 120),
]

# Fewer connections than there are clients, so that they are handed around.
SETTINGS = """
[databases]
postgres = host={server} dbname=pooled user={user} pool_size=3
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
max_client_conn = 200
logfile = {folder}/log
pidfile = {folder}/pid
"""


@pytest.fixture(scope="module")
def pooler(postgres: Server) -> Iterator[str]:
    """Run a pooler in transaction mode; return its address."""
    assert PGBOUNCER is not None
    folder = Path(tempfile.mkdtemp(prefix="multiturn-pb-"))
    folder.chmod(0o777)
    import psycopg

    with psycopg.connect(postgres.address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE pooled")  # others talk in the same sessions
    user = postgres.address.partition("//")[2].partition("@")[0]
    settings = folder / "settings.ini"
    settings.write_text(SETTINGS.format(server=postgres.folder, user=user, folder=folder))
    # It refuses to be the superuser's, as the server does.
    process = subprocess.Popen(
        [PGBOUNCER, str(settings)],
        user=user if os.geteuid() == 0 else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # A store tries for as long as its server is away.
        yield f"postgresql://{user}@/postgres?host={folder}&port=6432"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


class TestPostgresStoreBehindAPooler(StoreContract):
    @pytest.fixture
    def store(self, pooler: str) -> Iterator[Store]:
        from multiturn.stores.postgres import PostgresStore

        with PostgresStore(pooler, schema=f"t{uuid.uuid4().hex}", reconnect_seconds=60) as store:
            yield store


def test_eight_processes_behind_a_pooler_follow_each_other(pooler: str) -> None:
    turns = 200 if NIGHTLY else 10
    assert {"turns": 8 * turns} == run("one_chat_crowd", pooler, 8, turns)


def test_writers_killed_behind_a_pooler_lose_nothing(pooler: str) -> None:
    times = 200 if NIGHTLY else 8
    assert times == run("kill", pooler, times, os.getpid())["killed"]
