"""What the tests of the drop-in share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NIGHTLY = os.environ.get("MULTITURN_TEST_EFFORT") == "nightly"
SOURCE = Path(__file__).resolve().parents[2] / "src"
# What multiturn needs to speak to a server; the rest of its dependencies is not met here.
SPEAKING = ("httptools", "jiter")

nightly = pytest.mark.skipif(
    not NIGHTLY, reason="installs other packages; set MULTITURN_TEST_EFFORT=nightly"
)


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make an environment with packages beside ours, and return its Python; one for each list."""

    def make(*packages: str) -> Path:
        home = tmp_path_factory.mktemp("environment")
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        python = home / "bin" / "python"
        command = [str(python), "-m", "pip", "install", "--quiet", *SPEAKING, *packages]
        subprocess.run(command, check=True, timeout=540)
        return python

    return make


def run(python: Path | str, *arguments: str, cwd: Path, **environment: str) -> str:
    """Run a program with multiturn importable; return what it printed."""
    variables = {**os.environ, "PYTHONPATH": str(SOURCE), **environment}
    done = subprocess.run(
        [str(python), *arguments],
        cwd=cwd, env=variables, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout
