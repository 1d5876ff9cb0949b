"""A file that is written whole or not at all, and never put in the place of a device."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from multiturn.errors import UsageError


def require_room(path: Path, *, overwrite: bool, advice: str) -> None:
    """Raise UsageError if nothing should be written at a path.

    Args:
        path: A file that is there or could be; links are followed.
        overwrite: Whether a file that is there may be replaced.
        advice: How the caller says that it may, as ``say overwrite=True``.

    Raises:
        UsageError: There is a file, a folder, or what is neither a file nor a device to
            write to, as a socket is; or there is no folder for it.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, as: {path / 'talk.json'}")
    if _is_stream(path):
        return
    if _target(path).is_symlink():
        raise UsageError(f"{path} is a link that leads back to itself")
    folder = _target(path).parent
    if not folder.is_dir():
        state = "is no folder" if folder.exists() else "does not exist; make it first"
        raise UsageError(f"the folder {folder} {state}")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no file; give the path of one, or of one to be made")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; to overwrite it {advice}")


def save(data: bytes, path: Path, *, overwrite: bool, advice: str = "say overwrite=True") -> None:
    """Write a file whole or not at all; a character device or a FIFO is written to.

    The file that a link leads to is written, not the link; a file that is there keeps its
    permissions.

    Args:
        data: What is written.
        path: Where.
        overwrite: Whether a file that is there may be replaced.
        advice: As of ``require_room``.

    Raises:
        UsageError: As ``require_room``.
        OSError: It cannot be written; its ``filename`` is the path that was given.
    """
    require_room(path, overwrite=overwrite, advice=advice)
    try:
        if _is_stream(path):
            with path.open("wb", buffering=0) as stream:
                _write(stream.fileno(), data)
        else:
            _replace(data, _target(path))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _is_stream(path: Path) -> bool:
    """Whether bytes go through it rather than into it; a file cannot take its place."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _replace(data: bytes, target: Path) -> None:
    partial = target.with_name(f".{os.urandom(8).hex()}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with suppress(FileNotFoundError):
                os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
            _write(descriptor, data)
        finally:
            os.close(descriptor)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
