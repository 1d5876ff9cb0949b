"""The page about the terminal: its commands run, and it forgets none."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from tests.cli.talker import talk

from multiturn.cli.arguments import parser
from multiturn.cli.commands import COMMANDS
from multiturn.testing import ScriptedBackend

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")


def test_the_pages_commands_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MULTITURN_STORE", str(tmp_path / "chats.db"))
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("a note")
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    backend = ScriptedBackend("A colour.", repeat=True)

    lines = [line for block in blocks for line in block.splitlines()]
    for line in lines:
        command = line.removeprefix("$ ").rpartition(" | ")[2]
        program, *arguments = shlex.split(command)
        assert ("multiturn", 0) == (program, talk(arguments, backend)), line
        capsys.readouterr()
    assert len(lines) > 15


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_conversation_is_on_the_page(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}[` ]", PAGE)


def test_every_action_and_exit_code_is_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["sessions", "--help"])
    actions = re.findall(r"^    (\w+)  ", capsys.readouterr().out, re.MULTILINE)
    assert len(actions) > 9
    assert [] == [name for name in actions if f"multiturn sessions {name}" not in PAGE]
    assert [] == [code for code in (0, 1, 2, 130, 141) if f"\n| {code} | " not in PAGE]
