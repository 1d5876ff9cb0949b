"""The folder where fetched weights rest, keyed by hash so that no file passes for another.

<cache>/weights/<sha256 of the file>/<file name>     the weights
<cache>/weights/<sha256 of the file>/<key>.stamp     says that a file was hashed
<cache>/weights/<sha256 of the file>.lock            held while fetching
<cache>/weights/fetch-<start of sha256>-<random>/    a fetch under way, or a killed one
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from multiturn.weights import soundness
from multiturn.weights.catalogue import Model

_WAIT_SECONDS = 0.1


def folder() -> Path:
    """Return the folder for weights: under MULTITURN_CACHE, else the user's cache folder."""
    chosen = os.environ.get("MULTITURN_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute() / "weights"
    import platformdirs

    return Path(platformdirs.user_cache_dir("multiturn", appauthor=False)) / "weights"


def path_of(model: Model) -> Path:
    """Return where the file of a model rests, whether it is there or not."""
    return folder() / model.sha256 / model.file_name


def stamp_of(sha256: str, path: Path) -> Path:
    """Return where it is remembered that the file at ``path`` has this hash."""
    import hashlib

    key = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
    return folder() / sha256 / f"{key}.stamp"


def stored_files() -> list[Path]:
    """Return every weights file in the folder, of this version's models or another's."""
    return sorted(path for path in folder().glob("[0-9a-f]*/*") if path.suffix != ".stamp")


def check(model: Model, path: Path, *, full: bool = False) -> None:
    """Raise WeightsBroken unless a file, here or elsewhere, is the right one of a model.

    With ``full`` it is hashed even if it has not changed since it was last hashed.
    """
    soundness.check_known(
        path,
        sha256=model.sha256,
        size_bytes=model.size_bytes,
        stamp=stamp_of(model.sha256, path),
        advice=f"fetch a good one with: multiturn pull {model.name} --force",
        full=full,
    )


def delete(model: Model) -> int:
    """Delete the file of a model from the folder and return the bytes that this freed."""
    path = path_of(model)
    try:
        freed_bytes = path.stat().st_size
    except FileNotFoundError:
        return 0
    path.unlink()
    shutil.rmtree(path.parent, ignore_errors=True)
    return freed_bytes


@contextlib.contextmanager
def workplace(model: Model) -> Iterator[Path]:
    """Lend an empty folder on the weights' own file system; it is deleted whatever happens."""
    import tempfile

    place = Path(tempfile.mkdtemp(prefix=_workplace_prefix(model), dir=folder()))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def delete_abandoned_workplaces(model: Model) -> None:
    """Delete what killed fetches left; only for who holds the model's lock."""
    for place in folder().glob(_workplace_prefix(model) + "*"):
        shutil.rmtree(place, ignore_errors=True)


def _workplace_prefix(model: Model) -> str:
    return f"fetch-{model.sha256[:12]}-"


@contextlib.contextmanager
def lock(model: Model, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Let one process or thread at a time fetch a model.

    Args:
        model: What is fetched.
        on_wait: Called once if somebody else is fetching it, before waiting for that.

    Yields:
        True; False if this file system has no locks, so that others may be at work.  The
        system drops the lock of a process that dies.
    """
    with (folder() / f"{model.sha256}.lock").open("a+b") as file:
        yield _acquire(file.fileno(), on_wait)


def _acquire(descriptor: int, on_wait: Callable[[], None]) -> bool:
    waiting = False
    while True:
        try:
            _lock_without_waiting(descriptor)
            return True
        except (BlockingIOError, PermissionError):
            if not waiting:
                on_wait()
                waiting = True
            time.sleep(_WAIT_SECONDS)
        except OSError:
            return False


if sys.platform == "win32":
    import msvcrt

    def _lock_without_waiting(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock_without_waiting(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
