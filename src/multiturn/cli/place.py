"""Where conversations that last are kept: the user's file, or what ``--store`` names."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.errors import InvalidContent, UnknownName, UsageError

if TYPE_CHECKING:
    from multiturn.stores.protocol import SessionState, Store

VARIABLE = "MULTITURN_STORE"
_SERVER = ("postgresql://", "postgres://")


def user_file() -> Path:
    """Return the file that is taken if none is named: in the user's folder for data."""
    import platformdirs

    return Path(platformdirs.user_data_dir("multiturn", appauthor=False)) / "sessions.db"


class Place:
    """Where a store is, or would be; nothing is made before ``store()``.

    Args:
        address: A path, or ``postgresql://…``; None takes the environment's
            MULTITURN_STORE, else the file in the user's folder.

    Raises:
        UsageError: The address is of another kind.
    """

    def __init__(self, address: str | None = None) -> None:
        self._given = address
        address = address or os.environ.get(VARIABLE)
        is_server = address is not None and address.startswith(_SERVER)
        if address is not None and "://" in address and not is_server:
            kind = address.partition("://")[0]
            raise UsageError(
                f"a store is the path of a file or an address that begins with postgresql://, not "
                f"with {kind}://"
            )
        self._server = address if is_server else None
        self._is_named = address is not None
        self._path = user_file() if address is None else Path(address).expanduser()
        self._store: Store | None = None

    def __str__(self) -> str:
        return str(self._path) if self._server is None else self.store().address

    @property
    def file(self) -> Path | None:
        """The file, None if it is a server."""
        return self._path if self._server is None else None

    @property
    def option(self) -> str:
        """What names this place again behind a command, "" where nothing has to."""
        if not self._given:
            return ""
        return f" --store {shlex.quote(str(self._path)) if self._server is None else '…'}"

    def require_folder(self) -> None:
        """Raise UsageError if a file is named whose folder is not there."""
        if self._is_named and self._server is None and not self._path.parent.is_dir():
            raise UsageError(
                f"the folder {self._path.parent} does not exist, so that nothing is kept in "
                f"{self._path}; look at --store and {VARIABLE}"
            )

    @property
    def exists(self) -> bool:
        """Whether there is a file; a server is taken to be there."""
        return self._server is not None or self._path.exists()

    def store(self) -> Store:
        """Return the store; a file that is not there is made when something is kept."""
        if self._store is None and self._server is not None:
            self._store = _on_server(self._server)
        if self._store is None:
            from multiturn.stores.sqlite import SQLiteStore

            if not self._is_named:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store = SQLiteStore(self._path)
        return self._store

    def names(self) -> list[str]:
        """Return the names of all sessions."""
        return [state.name for state in self.store().sessions()] if self.exists else []

    def state(self, name: str, *, likeness: float = 0.6) -> SessionState:
        """Return a session.

        Args:
            name: As it was given.
            likeness: How near a name must be to be suggested, from 0 to 1.

        Raises:
            UnknownName: There is none of this name; the nearest is suggested.
        """
        state = self.store().state(name) if self.exists else None
        if state is None:
            raise unknown(name, self.names(), likeness)
        return state

    def latest(self) -> str:
        """Return the name of the session that was changed last.

        Raises:
            UsageError: There is none.
        """
        states = self.store().sessions() if self.exists else []
        if not states:
            raise UsageError(
                f"there is no conversation to go on with in {self}; begin one: "
                "multiturn chat --session NAME"
            )
        return max(states, key=lambda state: state.changed_at).name

    def close(self) -> None:
        """Let go of what was opened, once all that was handed over to it is done."""
        if self._store is not None:
            from multiturn.worker import catch_up

            catch_up(self._store)
            self._store.close()


def _on_server(address: str) -> Store:
    from multiturn.stores.postgres import PostgresStore

    try:
        return PostgresStore(address)
    except InvalidContent:
        raise UsageError(
            "the address of the store cannot be read as postgresql://USER@HOST:PORT/DATABASE"
        ) from None


@contextmanager
def place(address: str | None) -> Iterator[Place]:
    """Give the place of the store, and close it afterwards."""
    found = Place(address)
    try:
        yield found
    finally:
        found.close()


def unknown(name: str, known: list[str], likeness: float) -> UnknownName:
    """Return the error that says that no session has this name."""
    from difflib import get_close_matches

    if near := get_close_matches(name, known, n=1, cutoff=likeness):
        return UnknownName("session", name, known, f"did you mean {near[0]!r}?")
    advice = "multiturn sessions lists them" if known else "there is none yet"
    return UnknownName("session", name, known, advice)
