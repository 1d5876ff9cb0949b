"""Whether a file is the right one: its hash, remembered by a stamp until the file changes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from multiturn.errors import WeightsBroken


def check_known(
    path: Path, *, sha256: str, size_bytes: int | None, stamp: Path, advice: str, full: bool
) -> None:
    """Raise unless the file has this hash.

    Args:
        path: The file.
        sha256: Its right hash, in hexadecimal.
        size_bytes: Its right size, None if only the hash is known.
        stamp: Where to remember that the file was hashed; need not exist, nor be writable.
        advice: What mends a broken file, for the message.
        full: Hash again even if the stamp says that the file has not changed.

    Raises:
        WeightsBroken: The file is another one; the message says how it differs.
    """
    try:
        before = path.stat()
        if size_bytes is not None and before.st_size != size_bytes:
            shorter = "is truncated: it " if before.st_size < size_bytes else ""
            raise WeightsBroken(
                path, f"it {shorter}has {before.st_size} bytes and should have {size_bytes}", advice
            )
        if not full and stamp_is_valid(path, stamp):
            return
        found = file_sha256(path)
        unchanged = _fingerprint(before) == _fingerprint(path.stat())
    except OSError as error:
        raise unreadable(path, error, advice) from error
    if found != sha256:
        discard(stamp)
        raise WeightsBroken(
            path,
            f"its content was changed: its SHA-256 is {found[:16]}… and should be {sha256[:16]}…",
            advice,
        )
    if unchanged:
        write_stamp(path, stamp)


def check_unknown(path: Path) -> None:
    """Raise unless a file whose hash nobody knows has a sound GGUF header.

    Raises:
        WeightsBroken: It is no GGUF file, is truncated, or cannot be read.
    """
    from multiturn.weights.gguf import HeaderError, read_header

    advice = "get the file again, or name another one"
    try:
        read_header(path)
    except HeaderError as error:
        raise WeightsBroken(path, str(error), advice) from error
    except OSError as error:
        raise unreadable(path, error, advice) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unreadable(path: Path, error: OSError, advice: str) -> WeightsBroken:
    """Return the error for a file that the system does not let us read."""
    return WeightsBroken(path, f"it cannot be read ({error.strerror or error})", advice)


def write_stamp(path: Path, stamp: Path) -> None:
    """Remember that the file, as it is now, has the right hash; silently not, if that fails.

    The stamp saves time and nothing else, so a folder that cannot be written is no fault.
    """
    new = stamp.with_name(f"{stamp.name}.{os.getpid()}.new")
    try:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(_fingerprint(path.stat()), encoding="ascii")
        os.replace(new, stamp)
    except OSError:
        discard(new)


def stamp_is_valid(path: Path, stamp: Path) -> bool:
    """Whether the file has not changed since its stamp was written."""
    try:
        return stamp.read_text(encoding="ascii", errors="replace") == _fingerprint(path.stat())
    except OSError:
        return False


def discard(path: Path) -> None:
    """Delete a file if that is possible."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _fingerprint(status: os.stat_result) -> str:
    # The change time is what an edit cannot set back, unlike the modification time.
    return (
        f"size_bytes={status.st_size} mtime_ns={status.st_mtime_ns} "
        f"ctime_ns={status.st_ctime_ns} inode={status.st_ino}\n"
    )
