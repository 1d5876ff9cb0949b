"""The real model, loaded once for all these tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multiturn import weights
from multiturn.engine.llama import LlamaEngine, open_engine


@pytest.fixture(scope="session")
def weights_path() -> Path:
    return weights.locate(weights.DEFAULT_MODEL)


@pytest.fixture(scope="session")
def engine(weights_path: Path) -> Iterator[LlamaEngine]:
    """An engine with four slots of 1024 tokens; one thread, for a busy machine's sake."""
    engine = open_engine(weights_path, context_tokens=1024, slots=4, threads=1)
    yield engine
    engine.close()


@pytest.fixture
def fresh_engine(engine: LlamaEngine) -> LlamaEngine:
    """The same engine with nothing in its cache."""
    engine.close()
    return engine


@pytest.fixture(scope="session")
def run_script(weights_path: Path) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Run Python source in a process of its own; ``engine`` and ``STORY`` are there."""

    def run(source: str) -> subprocess.CompletedProcess[str]:
        start = (
            "import os, signal, sys, threading, time\n"
            "from multiturn.engine import Sampling, open_engine\n"
            f"engine = open_engine({str(weights_path)!r}, context_tokens=1024, slots=2, threads=1)"
            "\n"
            "STORY = [('user', 'Write a long story about a dragon.')]\n"
            "def answer(tokens=3):\n"
            "    sampling = Sampling(temperature=0, max_tokens=tokens)\n"
            "    return ''.join(p.text for p in engine.stream(STORY, sampling))\n"
        )
        return subprocess.run(
            [sys.executable, "-c", start + source],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
