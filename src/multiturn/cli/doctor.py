"""``multiturn doctor``: what is installed, found and missing, and what mends it.

The network is not touched, and no key is shown.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from multiturn import __version__
from multiturn.cli.attachments import size
from multiturn.cli.failure import FAILED, OK, explained
from multiturn.cli.visible import visible
from multiturn.errors import MultiturnError, UsageError, WeightsMissing

# The default model, its window and the interpreter, as measured: 300 MB; with room.
_ENOUGH_MEMORY_BYTES = 500_000_000
_IMPORT_SECONDS = 60


class Finding(NamedTuple):
    """What was found about one thing.

    Attributes:
        level: "ok"; "note" if something could be better; "FAIL" if chat would not work.
        subject: What was looked at.
        found: What was found.
        remedy: The command or the setting that mends it, "" if there is nothing to mend.
    """

    level: Literal["ok", "note", "FAIL"]
    subject: str
    found: str
    remedy: str = ""


def examine() -> int:
    """Print every finding and return the exit code: whether chat would work."""
    works = True
    for finding in findings():
        works = works and finding.level != "FAIL"
        print(visible(f"{finding.level:4}  {finding.subject:10}  {finding.found}"))
        if finding.remedy:
            print(visible(f"{'':18}mend it with: {finding.remedy}"))
        sys.stdout.flush()
    print("\nchat would work" if works else "\nchat would not work: see FAIL above")
    return OK if works else FAILED


def findings() -> Iterator[Finding]:
    """Look at everything that a chat needs, and at what else can be used."""
    yield _python()
    yield Finding("ok", "multiturn", f"{__version__} in {Path(__file__).parents[1]}")
    yield _engine()
    yield _weights()
    yield _cache()
    yield _sessions()
    yield _memory()
    yield from _extras()
    yield from _keys()
    yield from _settings()
    yield _terminal()


def _python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable}), {platform.platform()}"
    return Finding("ok", "python", found)


def _engine() -> Finding:
    """Import the engine in another process: one that does not fit the processor ends it."""
    try:
        version = importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        return Finding("FAIL", "engine", "xllamacpp is not installed", _installing("xllamacpp"))
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import xllamacpp"],
            capture_output=True, text=True, errors="replace", timeout=_IMPORT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("note", "engine", f"xllamacpp {version}; not tried: {error}")
    if done.returncode == 0:
        return Finding("ok", "engine", f"xllamacpp {version}")
    reason = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
    if "libgomp" in reason:
        remedy = "apt-get install libgomp1 (Debian, Ubuntu), or dnf install libgomp (Fedora)"
    else:
        remedy = _installing("--force-reinstall xllamacpp")
    return Finding("FAIL", "engine", f"xllamacpp {version} cannot be imported: {reason}", remedy)


def _weights() -> Finding:
    from multiturn import weights
    from multiturn.cli.models import is_served

    name = os.environ.get("MULTITURN_MODEL") or weights.DEFAULT_MODEL
    if is_served(name):
        return Finding("ok", "weights", f"none needed: {name} is a model of a server")
    try:
        path = weights.locate(name, fetch=False)
        weights.verify(path)
    except UsageError as error:
        return Finding("FAIL", "weights", explained(error), "multiturn models")
    except WeightsMissing as error:
        missing, cache = explained(error).partition("; ")[0], _cache()
        if cache.level != "ok":
            return Finding("FAIL", "weights", f"{missing}, and {cache.found}", cache.remedy)
        return Finding("FAIL", "weights", missing, f"multiturn pull {name}")
    except MultiturnError as error:
        force = " --force" if "cannot be used" in str(error) else ""
        return Finding("FAIL", "weights", explained(error), f"multiturn pull {name}{force}")
    found = f"{name}, {size(path.stat().st_size)}, every byte checked: {path}"
    return Finding("ok", "weights", found)


def _cache() -> Finding:
    from multiturn.weights import store

    folder = store.folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "export MULTITURN_CACHE=/a/folder/that/can/be/written"
        return Finding("note", "cache", f"{folder} cannot be written: {reason}", remedy)
    return Finding("ok", "cache", f"{folder}, {size(free)} free")


def _sessions() -> Finding:
    """Say where conversations are kept; a server is not reached for, nor its password shown."""
    from multiturn.cli.place import Place

    try:
        place = Place()
        file = place.file
        if file is None:
            return Finding("ok", "sessions", str(place))
    except UsageError as error:
        return Finding("note", "sessions", explained(error), "multiturn sessions --help")
    if not place.exists:
        return Finding("ok", "sessions", f"none kept yet; they would be in {file}")
    return Finding("ok", "sessions", f"{size(file.stat().st_size)} in {file}")


def _memory() -> Finding:
    from multiturn.engine.memory import available_bytes

    available = available_bytes()
    if available is None:
        return Finding("note", "memory", "not known on this system")
    level: Literal["ok", "note"] = "ok" if available >= _ENOUGH_MEMORY_BYTES else "note"
    remedy = "" if level == "ok" else "end other programs, or give the container more memory"
    return Finding(level, "memory", f"{size(available)} available", remedy)


def _extras() -> Iterator[Finding]:
    """Say which optional dependencies, as the package's own metadata names them, are here."""
    for requirement in importlib.metadata.requires("multiturn") or []:
        match = re.match(r"([\w.-]+).*extra == ['\"](\w+)['\"]", requirement)
        if match is None or match[2] == "test":
            continue
        name, extra = match.groups()
        try:
            found = f"{name} {importlib.metadata.version(name)}"
            yield Finding("ok", extra, found)
        except importlib.metadata.PackageNotFoundError:
            remedy = _installing(f"'multiturn[{extra}]'")
            yield Finding("note", extra, f"{name} is not installed (optional)", remedy)


def _keys() -> Iterator[Finding]:
    names = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    found = [f"{name} is {_is_set(os.environ.get(name))}" for name in names]
    yield Finding("ok", "keys", f"{', '.join(found)}; the embedded model needs none")
    if os.environ.get("GEMINI_BASE_URL"):
        remedy = "export GOOGLE_GEMINI_BASE_URL=…"
        yield Finding("note", "keys", "GEMINI_BASE_URL is set, and nobody looks at it", remedy)


def _is_set(value: str | None) -> str:
    return "set" if value else "not set" if value is None else "set and empty"


def _settings() -> Iterator[Finding]:
    for name in ("MULTITURN_MODEL", "MULTITURN_CACHE", "MULTITURN_OFFLINE"):
        if os.environ.get(name):
            yield Finding("ok", "setting", f"{name}={os.environ[name]}")


def _terminal() -> Finding:
    place = "terminal" if sys.stdout.isatty() else "no terminal"
    encoding = (getattr(sys.stdout, "encoding", None) or "unknown").lower()
    if encoding.replace("-", "") == "utf8":
        return Finding("ok", "output", f"{place}, {encoding}")
    return Finding("note", "output", f"{place}, {encoding}", "export PYTHONUTF8=1")


def _installing(what: str) -> str:
    return f"{sys.executable} -m pip install {what}"
