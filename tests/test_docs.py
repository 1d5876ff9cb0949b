"""Every Python block of the documentation runs, top to bottom, with the embedded model.

A comment at the end of a ``print`` line is what that line must print.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPECTED = re.compile(r"^ *print\(.*\)\s+# (?P<printed>.+)$", re.MULTILINE)


def blocks_of(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


WITH_CODE = [page for page in PAGES if blocks_of(page)]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_pages_python_runs_and_prints_what_it_says(page: Path, weights_path: Path) -> None:
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks_of(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, f"{page.name}:{block[:30]!r}", "exec"), namespace)
        for expected in EXPECTED.finditer(block):
            assert expected["printed"] in printed.getvalue().splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_pages_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)

    missing = [target for target in targets if not (page.parent / target).exists()]

    assert missing == []
