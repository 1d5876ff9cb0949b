"""The old SDK and ours make the same calls, side by side, against one scripted service."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropin.conftest import nightly, run

COMPARE = Path(__file__).parent / "compare"
OLD = ("google-generativeai==0.8.6", "pillow", "typing_extensions")


def outcomes(python: Path | str, sdk: str, out: Path) -> dict[str, Any]:
    run(python, "run.py", sdk, str(out), cwd=COMPARE)
    return json.loads(out.read_text())  # type: ignore[no-any-return]


@nightly
@pytest.mark.timeout(900)
def test_every_call_does_the_same_but_for_the_rulings(
    interpreter: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.path.insert(0, str(COMPARE))
    try:
        from comparing import difference
        from rulings import gap, ruling
    finally:
        sys.path.remove(str(COMPARE))
    python = interpreter(*OLD)
    new = outcomes(sys.executable, "new", tmp_path / "new.json")
    for transport in ("rest", "grpc"):
        old = outcomes(python, transport, tmp_path / f"{transport}.json")
        assert old.keys() == new.keys()
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        for name in old:
            copies = (json.loads(json.dumps(record[name])) for record in (old, new))
            differs = difference(*copies)
            reason = ruling(name, rest=transport == "rest")
            expected = reason or gap(name)
            counts["ruled" if differs and reason else "gap" if differs else "same"] += 1
            if bool(differs) != bool(expected) and not (reason and transport == "rest"):
                wrong.append(f"{name}: {differs or 'is the same now, and ruled to differ'}")
        with capsys.disabled():
            print(f"\n{transport}: {len(old)} calls, {dict(counts)}")
        assert [] == wrong
        assert counts["same"] >= 200
