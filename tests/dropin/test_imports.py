"""Every import that the page about migration names does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import multiturn

PAGE = Path(__file__).resolve().parents[2] / "docs" / "migration.md"
ROW = re.compile(r"^\| `(?P<old>[^`]+)` \| `(?P<new>[^`]+)` \|$", re.MULTILINE)
ROWS = [row.group("old", "new") for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("old", "new"), ROWS, ids=[old for old, _ in ROWS])
def test_an_import_that_the_page_names_brings_what_the_old_one_brought(old: str, new: str) -> None:
    brought: dict[str, object] = {}
    exec(new, brought)

    names = {re.split(r"\s+as\s+", name)[-1].strip() for name in brought_by(old)}
    assert names <= brought.keys()


def brought_by(statement: str) -> list[str]:
    return statement.rpartition("import ")[2].split(",")


def test_the_version_is_where_it_was() -> None:
    from multiturn import version

    assert multiturn.__version__ == version.__version__
    assert multiturn.version is version
