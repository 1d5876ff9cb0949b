"""How commands about kept conversations are run, in a store of the test's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.kept import Run
from tests.cli.talker import talk

from multiturn.cli.main import main
from multiturn.testing import ScriptedBackend


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The store that the environment names; nothing is piped in."""
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setenv("MULTITURN_STORE", str(tmp_path / "chats.db"))
    return tmp_path / "chats.db"


@pytest.fixture
def run(file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; give its exit code and what it wrote."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def ask(file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Ask one question with an answer that is known."""

    def ask(question: str, *arguments: str, answer: Any = "Yes.") -> tuple[int, str, str]:
        code = talk(["chat", *arguments, question], ScriptedBackend(answer))
        out, err = capsys.readouterr()
        return code, out, err

    return ask
