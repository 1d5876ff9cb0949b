"""Fetches one wheel of a known hash with the user's own installer, pip or else uv.

An installer is used, and not an HTTP library, because it alone knows the user's package index,
proxy, certificates and passwords.  It never installs anything into the user's environment.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from multiturn.weights.catalogue import Wheel

_POLL_SECONDS = 0.1
_JOIN_SECONDS = 1.0
_KEPT_LINES = 500
_LAST_CHARACTERS = 600

# Settings that are meant for the user's projects and would refuse or widen this one request.
_UNRELATED_SETTINGS = ("PIP_CONSTRAINT", "PIP_REQUIREMENT", "UV_CONSTRAINT", "UV_OVERRIDE")


class InstallerMissing(Exception):
    """There is neither pip in this Python nor uv on the PATH."""


class InstallerFailed(Exception):
    """The installer ended with an error.

    Attributes:
        output: The errors that it printed, on one line and without passwords.
        error_number: The system's error number that it named, None if it named none.
        wrong_hash: Whether what it received was another file than the known one.
    """

    def __init__(self, output: str) -> None:
        super().__init__(_readable(output))
        self.output = _readable(output)
        number = re.search(r"\[Errno (\d+)\]|\(os error (\d+)\)", output)
        self.error_number = int(number[1] or number[2]) if number else None
        self.wrong_hash = bool(re.search(r"do not match the hash|hash mismatch", output, re.I))


def download(
    wheel: Wheel, place: Path, on_bytes: Callable[[int], None], *, use_cache: bool = True
) -> Path:
    """Fetch a wheel into a folder and return the wheel, or the folder it was unpacked to.

    Args:
        wheel: What to fetch; anything with another hash is refused by the installer.
        place: An empty folder that is ours; also used for the installer's temporary files.
        on_bytes: Called about ten times a second with the bytes received so far (pip; uv keeps
            them out of sight until the end).  What it raises ends the download.
        use_cache: Whether the installer may take the wheel from its own cache.

    Raises:
        InstallerMissing: There is nothing to fetch with.
        InstallerFailed: It did not succeed.
        OSError: The folder cannot be written.
    """
    temporary, received = place / "temporary", place / "received"
    temporary.mkdir()
    received.mkdir()
    requirements = place / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", "ascii")
    _run(
        _command(requirements, received, use_cache),
        temporary,
        lambda: on_bytes(_largest_file_bytes(temporary, received)),
    )
    wheels = list(received.glob("*.whl"))
    return wheels[0] if wheels else received


def _command(requirements: Path, received: Path, use_cache: bool) -> list[str]:
    rules = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
    # A frozen program is its own sys.executable: asking it for "-m pip" would start it again.
    if sys.executable and not getattr(sys, "frozen", False) and find_spec("pip") is not None:
        # -P keeps a pip.py in the working directory from being run.
        pip = [sys.executable, "-P", "-m", "pip", "download", "--no-input", "--progress-bar", "off"]
        cache = [] if use_cache else ["--no-cache-dir"]
        return [*pip, *cache, *rules, "--dest", str(received)]
    uv = shutil.which("uv")
    if uv is None:
        raise InstallerMissing
    cache = [] if use_cache else ["--no-cache"]
    python = ["--python", sys.executable] if sys.executable else []
    return [uv, "pip", "install", *cache, *python, *rules, "--target", str(received)]


def _run(command: Sequence[str], temporary: Path, on_poll: Callable[[], None]) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in _UNRELATED_SETTINGS
    }
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0"}
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    # Kept in memory: a log file would be lost on the full disk that it is to tell of.
    output: deque[bytes] = deque(maxlen=_KEPT_LINES)
    assert process.stdout is not None
    reader = threading.Thread(target=output.extend, args=(process.stdout,), daemon=True)
    with process:
        try:
            reader.start()
            while _is_running(process):
                on_poll()
        finally:
            # Also on KeyboardInterrupt, and when on_poll raises: nothing may stay behind.
            process.kill()
            process.wait()
            reader.join(_JOIN_SECONDS)
    if process.returncode != 0:
        text = b"".join(output).decode("utf-8", "replace")
        raise InstallerFailed(text or f"the installer ended with status {process.returncode}")


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _largest_file_bytes(*folders: Path) -> int:
    """Return the size of the largest file below folders: the wheel, as far as it has arrived.

    pip writes a wheel more than once (as it arrives, to its cache, to its place), so the sum of
    all files would count bytes twice.
    """
    largest = 0
    for directory, _, names in itertools.chain.from_iterable(map(os.walk, folders)):
        for name in names:
            with contextlib.suppress(OSError):
                largest = max(largest, os.stat(os.path.join(directory, name)).st_size)
    return largest


def _readable(output: str) -> str:
    """Return the errors of an output, or its end, on one line and without passwords."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    plain = re.sub(r"://[^/\s]+@", "://****@", plain)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(ERROR|error|Caused by|×|╰)", line)]
    return " ".join(errors or lines)[-_LAST_CHARACTERS:]
