"""A real PostgreSQL for the tests, begun in a folder of its own and ended with them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin")


def binaries() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``, None if there is none."""
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).parent
    places = sorted(
        place for pattern in _PLACES for place in Path("/").glob(pattern.removeprefix("/"))
    )
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


class Server:
    """A cluster that listens on a socket in its own folder only."""

    def __init__(self, folder: Path, place: Path) -> None:
        self.folder, self._place = folder, place
        # A server refuses to be the superuser's.
        self._user = "postgres" if os.geteuid() == 0 else None

    @property
    def address(self) -> str:
        user = self._user or pwd.getpwuid(os.geteuid()).pw_name
        return f"postgresql://{user}@/postgres?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._place / program), *arguments],
            check=True,
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def make(self) -> None:
        if self._user:
            shutil.chown(self.folder, self._user)
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}'"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", how, "-w", "stop")

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have it stopped meanwhile."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all its processes stand still meanwhile: connections stay, nobody answers."""
        try:
            self._signal(signal.SIGSTOP)
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(first, number)  # first, so that no more are begun
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == first:
                    os.kill(int(stat.parent.name), number)


@contextmanager
def server() -> Iterator[Server]:
    """Run a server in a folder of its own; where there is none, skip what asks for it."""
    pytest.importorskip("psycopg", reason="PostgresStore needs multiturn[postgres]")
    place = binaries()
    if place is None:
        pytest.skip("NO POSTGRESQL HERE: install it (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="multiturn-pg-"))
    folder.chmod(0o755)  # it is another user who runs the server
    cluster = Server(folder, place)
    try:
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
