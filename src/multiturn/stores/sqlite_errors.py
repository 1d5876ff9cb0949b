"""What the errors of SQLite and of the file system mean for a conversation."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from multiturn.stores.errors import (
    DiskFull,
    ForeignFile,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
)

# Low byte of an error code: its kind (SQLite's documentation, "Result and Error Codes").
_KIND = 0xFF


def store_error(error: sqlite3.Error, path: Path) -> tuple[StoreError, bool]:
    """Return our error, and whether the connection may be used on."""
    store = str(path)
    kind = getattr(error, "sqlite_errorcode", -1) & _KIND
    match kind:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            text = f"another program kept {path} locked ({error}); call again when it has ended"
            return StoreBusy(text, store=store), True
        case sqlite3.SQLITE_FULL:
            text = f"the disk that holds {path} is full; make room and call again"
            return DiskFull(text, store=store), False
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return not_writable(path, error), False
        case sqlite3.SQLITE_NOTADB:
            text = f"{path} is no SQLite database; it was left as it is, choose another path"
            return ForeignFile(text, store=store), False
        case sqlite3.SQLITE_CORRUPT:
            text = (
                f"{path} is damaged ({error}); it was left as it is: copy it and its -wal file "
                'aside, and save what can be read with: sqlite3 copy ".recover"'
            )
            return StoreCorrupt(text, (str(error),), store=store), False
        case _:
            text = f"{path} could not be used ({error}); see to its disk and folder, call again"
            return StoreError(text, store=store), False


def not_writable(path: Path, error: Exception | None = None) -> StoreReadOnly:
    """Return the error for a file that may not be written to, or whose folder may not."""
    return StoreReadOnly(
        f"{path} or its folder may not be written to{f' ({error})' if error else ''}: what is "
        "stored can be read, nothing can be added, and searching finds what is indexed already; "
        "mend the permissions of both, or copy the file to a folder of your own and open the copy",
        store=str(path),
    )


def os_error(error: OSError, path: Path) -> StoreError:
    """Return our error for one of the file system's."""
    kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StoreError
    return kind(f"{path} could not be used ({error}); see to its disk, call again", store=str(path))
