"""Many processes on one store: killed at any moment, or talking at once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TRAFFIC = Path(__file__).parent / "traffic.py"
NIGHTLY = os.environ.get("MULTITURN_TEST_EFFORT") == "nightly"


def run(name: str, address: str, *numbers: int) -> dict[str, Any]:
    """Run a scenario of ``traffic.py`` in processes of its own."""
    done = subprocess.run(
        [sys.executable, str(TRAFFIC), name, address, *map(str, numbers)],
        capture_output=True,
        text=True,
        timeout=3000 if NIGHTLY else 100,
        check=False,
    )
    assert 0 == done.returncode, (numbers, done.stderr[-4000:])
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.timeout(3000 if NIGHTLY else 120)
def test_a_writer_killed_at_any_moment_loses_nothing_it_was_told_of(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    times = 500 if NIGHTLY else 40
    found = run("kill", str(tmp_path / "chats.db"), times, seed)
    print("seed", seed, found)
    assert times == found["killed"]
    assert found["acknowledged"] > times / 4
    assert found["slowest_open_seconds"] < 5


@pytest.mark.timeout(3000 if NIGHTLY else 120)
def test_eight_processes_in_one_session_follow_each_other(tmp_path: Path) -> None:
    turns = 200 if NIGHTLY else 20
    found = run("one_chat_crowd", str(tmp_path / "chats.db"), 8, turns)
    assert {"turns": 8 * turns} == found


@pytest.mark.timeout(3000 if NIGHTLY else 120)
def test_eight_processes_in_fifty_sessions_lose_no_turn(tmp_path: Path) -> None:
    turns = 200 if NIGHTLY else 20
    assert {"turns": 8 * turns} == run("crowd", str(tmp_path / "chats.db"), 8, turns, 50)
