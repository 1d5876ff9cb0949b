"""An SQLite file that may not be written to here: how it is read without ever reading it wrong.

Source: sqlite.org/wal.html, "Read-Only Databases", and sqlite.org/uri.html, "immutable".
A connection that may not write takes part in SQLite's own locking if there is a ``-shm``.
Without one it would have to make it, in the folder and with the permissions of another,
who would then be shut out.  What is left is ``immutable``: SQLite takes the file as it is,
with no lock, no log and no look at whether it changes.  That is right if all that was
stored is in the file, which an empty or missing ``-wal`` and ``-journal`` say, and as long
as nobody writes, which ``mark`` tells: what was read counts if it is the same afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from multiturn.stores.errors import StoreReadOnly
from multiturn.stores.sqlite_file import beside

Mark: TypeAlias = tuple[tuple[int, ...], ...]


def how_to_read(path: Path) -> tuple[str, Mark | None]:
    """Return the query of the URI, and the mark if the file is read as one that is still.

    Raises:
        StoreReadOnly: Something was stored that is not in the file yet.
    """
    before = mark(path)
    if beside(path, "-wal").exists() and beside(path, "-shm").exists():
        return "mode=ro", None
    for log in (beside(path, "-wal"), beside(path, "-journal")):
        if log.exists() and log.stat().st_size:
            raise unreadable(path, f"what was stored last is in {log.name} beside it")
    return "mode=ro&immutable=1", before


def unreadable(path: Path, why: str) -> StoreReadOnly:
    """Return the error for a file that cannot be read as it is."""
    return StoreReadOnly(
        f"{path} may not be written to, and cannot be read without that: {why}; let somebody who "
        "may write open it once, or copy it, with the -wal beside it if there is one, to a folder "
        "of your own and open the copy",
        store=str(path),
    )


def mark(path: Path) -> Mark:
    """Return what changes when somebody writes to a file, or begins to."""
    ends = ("", "-wal", "-journal")
    return tuple(_seen(beside(path, end)) for end in ends)


def _seen(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
