"""The file of an SQLite store: made if there is none, told from others, and what lies beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.stores.errors import ForeignFile

if TYPE_CHECKING:
    from multiturn.stores.write_lock import WriteLock


def beside(path: Path, end: str) -> Path:
    """Return what lies beside a file under its name and this end.

    Where the path is a link, that is beside what it leads to: SQLite looks there too
    (sqlite.org/c3ref/open.html, SQLITE_OPEN_NOFOLLOW is not given).
    """
    return Path(os.path.realpath(path) + end)


def may_write(path: Path) -> bool:
    """Whether a file may be written to, and what SQLite and we need beside it."""
    needed = [beside(path, end) for end in ("", "-wal", "-shm", "-lock")]
    folder = os.access(needed[0].parent, os.W_OK)
    return all(os.access(one, os.W_OK) if one.exists() else folder for one in needed)


def identity(path: Path) -> tuple[int, int]:
    """Return what tells the file at a path from others, (0, 0) if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def require_file(path: Path, writers: WriteLock) -> None:
    """Make the file if there is none, for its owner only, and make its name durable."""
    if path.is_dir():
        example = path / "chats.db"
        raise ForeignFile(f"{path} is a folder; name a file in it, as {example}", store=str(path))
    if path.exists():
        return
    folder = beside(path, "").parent
    if not folder.is_dir():
        raise ForeignFile(f"the folder {folder} does not exist; make it first", store=str(path))
    try:
        writers.take()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(descriptor)
    finally:
        writers.release()
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Make the names beside a file durable: that it is new, and that a journal is gone."""
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(beside(path, "").parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
