"""Weights from the Hugging Face hub, through the optional package huggingface_hub."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multiturn.errors import DownloadFailed, UsageError, WeightsMissing
from multiturn.weights import soundness, store

_PREFIX = "hf:"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_REFERENCE = re.compile(
    rf"(?P<repository>{_NAME}/{_NAME})(?:/(?P<file>[^@]+))?(?:@(?P<revision>.+))?"
)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_EXPECTED = "hf:owner/repository/file.gguf, with @revision after it if one is wanted"


@dataclass(frozen=True, slots=True)
class Reference:
    """A file on the hub.

    Attributes:
        repository: As ``owner/name``.
        file: Path in the repository, None for its only .gguf file.
        revision: Branch, tag or commit, None for the main branch.
    """

    repository: str
    file: str | None
    revision: str | None


def looks_like_reference(name: str) -> bool:
    """Whether a name could mean a file on the hub."""
    return name.startswith(_PREFIX) or _REFERENCE.fullmatch(name) is not None


def parse(name: str) -> Reference:
    """Read ``[hf:]owner/repository[/file.gguf][@revision]``.

    Raises:
        UsageError: It is written otherwise, or the file is not a .gguf file.
    """
    match = _REFERENCE.fullmatch(name.removeprefix(_PREFIX))
    if match is None:
        raise UsageError(
            f"{name!r} does not name a file of the Hugging Face hub; write {_EXPECTED}"
        )
    file = match["file"]
    if file is not None and (not file.endswith(".gguf") or ".." in file.split("/")):
        raise UsageError(
            f"{name!r} names the file {file!r}, which is no .gguf file; write {_EXPECTED}"
        )
    return Reference(match["repository"], file, match["revision"])


def locate(name: str, *, offline: bool, force: bool = False) -> Path:
    """Return the file of a hub reference, from the hub's own cache or downloaded into it.

    The package huggingface_hub downloads, keeps and shows progress.  A file whose hash the hub
    names is hashed once and after each change.  The real hub could not be reached where this was
    written: it was run against a loopback server that speaks the hub's protocol.

    Raises:
        UsageError: The reference is malformed.
        WeightsMissing: The file is not here and ``offline`` forbids to fetch it, or
            huggingface_hub is not installed.
        DownloadFailed: The hub could not be reached or has no such file.
        WeightsBroken: The file is not what the hub said.
    """
    reference = parse(name)
    library = _library(name)
    try:
        file = reference.file or _only_file(library, name, reference, offline)
        path = _download(library, reference, file, offline, force)
    except (OSError, ValueError, library.errors.HfHubHTTPError) as error:
        raise _failure(library, name, error, offline) from error
    check(path)
    return path


def check(path: Path, *, full: bool = False) -> None:
    """Raise WeightsBroken unless a file of the hub's cache is sound.

    The cache calls a large file by its SHA-256 and links to it, so the name tells the hash.
    """
    sha256 = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", sha256) is None:
        soundness.check_unknown(path)
        return
    soundness.check_known(
        path,
        sha256=sha256,
        size_bytes=None,
        stamp=store.stamp_of(sha256, path),
        advice="fetch it again with pull(..., force=True)",
        full=full,
    )
    soundness.check_unknown(path)


def _library(name: str) -> Any:
    """Import huggingface_hub, untyped because it may be absent."""
    try:
        importlib.import_module("huggingface_hub.errors")
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        here = "" if name.startswith(_PREFIX) else f"there is no file {name} here, and "
        raise WeightsMissing(
            name,
            f"{here}fetching from the Hugging Face hub needs a package that is not installed; run: "
            "pip install 'multiturn[hub]'",
        ) from error


def _download(library: Any, reference: Reference, file: str, offline: bool, force: bool) -> Path:
    """Download a file with all its shards and return the path of the first."""
    shard = _SHARD.search(file)
    files = [file]
    if shard is not None:
        stem, count = file[: shard.start()], int(shard[2])
        files = [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]
    paths = [
        library.hf_hub_download(
            repo_id=reference.repository,
            filename=each,
            revision=reference.revision,
            local_files_only=offline,
            force_download=force and not offline,
        )
        for each in files
    ]
    return Path(paths[0])


def _only_file(library: Any, name: str, reference: Reference, offline: bool) -> str:
    if offline:
        folder = Path(
            library.snapshot_download(
                reference.repository, revision=reference.revision, local_files_only=True
            )
        )
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf")]
    else:
        listed = library.list_repo_files(reference.repository, revision=reference.revision)
        names = [each for each in listed if each.endswith(".gguf")]
    first_shards = [each for each in names if (m := _SHARD.search(each)) is None or m[1] == "00001"]
    if len(first_shards) == 1:
        return first_shards[0]
    shown = ", ".join(sorted(first_shards)[:20]) or "none"
    raise UsageError(f"{name!r} must name one of the repository's .gguf files: {shown}")


def _failure(library: Any, name: str, error: Exception, offline: bool) -> Exception:
    if isinstance(error, UsageError):
        return error
    if offline:
        return WeightsMissing(
            name, "fetching is switched off by MULTITURN_OFFLINE, HF_HUB_OFFLINE or the caller"
        )
    first_line = re.sub(r"\s+", " ", str(error))[:300]
    if isinstance(error, library.errors.GatedRepoError):
        return DownloadFailed(
            name, first_line, "accept its licence on the hub and log in: hf auth login"
        )
    return DownloadFailed(
        name, f"{type(error).__name__}: {first_line}", "check the name, the network and HF_ENDPOINT"
    )


def is_offline() -> bool:
    """Whether the hub's own switch forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")
