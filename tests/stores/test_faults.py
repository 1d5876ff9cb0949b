"""Whatever write fails, tears, kills or is lost in a power cut: nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FAULTS = Path(__file__).parent / "faults"
NIGHTLY = os.environ.get("MULTITURN_TEST_EFFORT") == "nightly"

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("cc") is None,
        reason="faults are put in by a small C library that is preloaded; it needs Linux and cc",
    ),
    pytest.mark.timeout(3000 if NIGHTLY else 120),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faultio") / "faultio.so"
    source = str(FAULTS / "faultio.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"], check=True)
    return path


def run(library: Path, program: str, *arguments: object) -> dict[str, Any]:
    seed = random.randrange(10**6)
    done = subprocess.run(
        [sys.executable, str(FAULTS / program), *map(str, arguments), str(seed)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, (seed, done.stderr[-4000:])
    return json.loads(done.stdout)  # type: ignore[no-any-return]


# By day: every which write goes wrong, and how many torn pictures there are of each moment.
WORK = {"append": (29, 6), "branch": (29, 6), "migrate": (7, 6), "retain": (29, 1)}


@pytest.mark.parametrize("work", WORK)
def test_every_write_may_fail_tear_or_kill(library: Path, work: str) -> None:
    stride = 1 if NIGHTLY else WORK[work][0]
    found = run(library, "points.py", work, stride)
    assert found["calls"] > 40
    for mode in ("kill", "kill_after", "torn", "enospc_once", "enospc_from", "eio_from"):
        assert found[mode] >= found["calls"] // stride, found
    assert found["!DiskFull"] > 0


@pytest.mark.parametrize("work", WORK)
def test_the_power_may_go_at_any_moment(library: Path, work: str) -> None:
    found = run(library, "power.py", work, 60 if NIGHTLY else WORK[work][1])
    assert found["images"] > 300
    assert found["told"] >= 2
