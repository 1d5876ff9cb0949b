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
    file, revision = match["file"], match["revision"]
    if revision is not None and ".." in revision:
        raise UsageError(f"{name!r} names no revision; write {_EXPECTED}")
    if file is not None and (not file.endswith(".gguf") or {"", ".."} & set(file.split("/"))):
        raise UsageError(
            f"{name!r} names the file {file!r}, which is no .gguf file; write {_EXPECTED}"
        )
    return Reference(match["repository"], file, revision)


def locate(name: str, *, may_fetch: bool, force: bool = False) -> Path:
    """Return the file of a hub reference, from the hub's own cache or downloaded into it.

    What is in the cache is used as it is, without network and without huggingface_hub, which
    asks the hub for this and that whenever it is imported.  That package downloads, keeps and
    shows progress.  A file whose hash the hub names is hashed once and after each change.  The
    real hub could not be reached where this was written: it was run against a loopback server
    that speaks the hub's protocol.

    Args:
        name: The reference.
        may_fetch: Whether the network may be used.
        force: Fetch again what is here; a branch that has moved is followed.

    Raises:
        UsageError: The reference is malformed, or must name one file of several.
        WeightsMissing: The file is not here and may not be fetched, or huggingface_hub is not
            installed.
        DownloadFailed: The hub could not be reached or has no such file.
        WeightsBroken: The file is not what the hub said.
    """
    reference = parse(name)
    path = None if force else _cached(name, reference)
    if path is None:
        if not may_fetch:
            raise WeightsMissing(
                name,
                "fetching is switched off by MULTITURN_OFFLINE, HF_HUB_OFFLINE or the caller",
            )
        path = _fetch(name, reference, force)
    check(path)
    return path


def _cached(name: str, reference: Reference) -> Path | None:
    """Return the file in the hub's cache, laid out as the hub documents it; None if not there."""
    repository = _cache_folder() / f"models--{reference.repository.replace('/', '--')}"
    revision = reference.revision or "main"
    try:
        commit = (repository / "refs" / revision).read_text("ascii").strip()
    except OSError:
        commit = revision
    snapshot = repository / "snapshots" / commit
    if reference.file is None:
        names = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*.gguf")]
        if not names:
            return None
        file = _only_file(name, names)
    else:
        file = reference.file
    complete = all((snapshot / shard).exists() for shard in _shards(file))
    return snapshot / file if complete else None


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    hub_home = os.environ.get("HF_HOME") or f"{home}/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or f"{hub_home}/hub").expanduser().absolute()


def _fetch(name: str, reference: Reference, force: bool) -> Path:
    library = _library(name)
    try:
        file = _file_on_hub(library, name, reference)
        paths = [
            library.hf_hub_download(
                repo_id=reference.repository,
                filename=shard,
                revision=reference.revision,
                force_download=force,
            )
            for shard in _shards(file)
        ]
    except UsageError:
        raise
    except Exception as error:  # its HTTP library has changed with its releases
        first_line = re.sub(r"\s+", " ", str(error))[:300]
        gated = isinstance(error, library.errors.GatedRepoError)
        status = getattr(getattr(error, "response", None), "status_code", None)
        raise DownloadFailed(
            name,
            f"{type(error).__name__}: {first_line}",
            "accept its licence on the hub and log in: hf auth login"
            if gated
            else "check the name, the network and HF_ENDPOINT",
            retryable=status is None or status in (408, 429) or status >= 500,
        ) from error
    return Path(paths[0])


def _file_on_hub(library: Any, name: str, reference: Reference) -> str:
    """Return the file that a reference means, after asking the hub for it once.

    The download, and every list but this one, asks six times within 23 seconds and prints each;
    how often to ask is the caller's to say.
    """
    repository, revision = reference.repository, reference.revision
    if reference.file is None:
        listed = library.model_info(repository, revision=revision).siblings or ()
        files = [each.rfilename for each in listed]
        return _only_file(name, [file for file in files if file.endswith(".gguf")])
    first = _shards(reference.file)[0]
    library.get_hf_file_metadata(library.hf_hub_url(repository, first, revision=revision))
    return reference.file


def _shards(file: str) -> list[str]:
    """Return all the files that a file belongs to: large models come in numbered pieces."""
    shard = _SHARD.search(file)
    if shard is None:
        return [file]
    stem, count = file[: shard.start()], int(shard[2])
    return [f"{stem}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def _only_file(name: str, files: list[str]) -> str:
    """Return the one weights file of a repository, the first piece if it is in pieces."""
    firsts = [file for file in files if _shards(file)[0] == file]
    if len(firsts) == 1:
        return firsts[0]
    shown = ", ".join(sorted(firsts)[:20]) or "none"
    raise UsageError(f"{name!r} must name one of the repository's .gguf files: {shown}")


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


def is_offline() -> bool:
    """Whether the hub's own switch forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in ("1", "true", "yes", "on")
