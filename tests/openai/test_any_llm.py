"""The way to the rest of the world: by any-llm, if it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import multiturn as genai
from multiturn.backends.any_llm.backend import AnyLlmBackend
from multiturn.backends.registry import backend_for
from multiturn.errors import UnknownName, UsageError
from ways import Way

from .conftest import IS_NIGHTLY, Server

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "through_any_llm" / "scenarios.py"


def test_a_name_of_any_llm_leads_to_it() -> None:
    found, asked = backend_for("any/anthropic/claude-sonnet-4")
    assert isinstance(found, AnyLlmBackend)
    assert ("any", "anthropic/claude-sonnet-4") == (found.name, asked)
    assert found is backend_for("any/groq/m")[0]


async def test_a_missing_package_is_named_with_the_command_that_brings_it(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])  # whether or not it is there
    for name in [name for name in sys.modules if name.partition(".")[0] == "any_llm"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UsageError, match=r'pip install "multiturn\[any\]"'):
        await way.generate(genai.GenerativeModel("any/anthropic/claude"), "Hi")


def test_a_name_without_a_provider_is_refused() -> None:
    with pytest.raises(UsageError, match="'claude' names no provider"):
        genai.GenerativeModel("any/claude").generate_content("Hi")
    with pytest.raises(UnknownName, match="known: any"):
        backend_for("zzzzzzzz/model")


def test_a_key_of_the_environment_goes_to_no_other_place() -> None:
    with pytest.raises(UsageError, match="api_key"):
        AnyLlmBackend(base_url="http://127.0.0.1:9/v1")
    keyed = AnyLlmBackend("k-of-the-tests", "http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match="api_key"):
        keyed.access({"api_endpoint": "http://127.0.0.1:8/v1"})
    with pytest.raises(UsageError, match="'metadata' means nothing"):
        keyed.access({"metadata": ()})


@pytest.fixture(scope="session")
def any_llm_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has any-llm beside us: 80 MB, which the usual tests do without."""
    home = tmp_path_factory.mktemp("any_llm")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "-e", f"{ROOT}[any]", "pytest"]
    subprocess.run(command, check=True, timeout=540)
    return python


@pytest.mark.timeout(600)
@pytest.mark.skipif(not IS_NIGHTLY, reason="installs any-llm; set MULTITURN_TEST_EFFORT=nightly")
def test_conversations_go_through_any_llm(
    any_llm_python: Path, llamacpp_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMACPP_URL", llamacpp_server.base_url)
    monkeypatch.setenv("LLAMACPP_KEY", str(llamacpp_server.key))
    done = subprocess.run(
        [str(any_llm_python), "-m", "pytest", "-q", "--noconftest",
         "-p", "no:cacheprovider", "-c", os.devnull, "-W", "error", str(SCENARIOS)],
        capture_output=True, text=True, check=False, cwd=SCENARIOS.parent, timeout=300,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout[-8000:] + done.stderr[-2000:]
