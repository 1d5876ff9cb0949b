"""Where a program has loaded the real google-api-core, our errors are its errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dropin.conftest import nightly, run

PROGRAM = Path(__file__).parent / "packages" / "with_google_core.py"


@nightly
@pytest.mark.timeout(900)
def test_googles_errors_retries_and_timeouts_are_honoured(
    interpreter: Callable[..., Path], tmp_path: Path
) -> None:
    python = interpreter("google-api-core")
    assert [
        "every_error_is_googles",
        "a_retry_of_google_is_kept",
        "a_timeout_of_google_is_kept",
        "their_decorator_retries_ours",
    ] == run(python, str(PROGRAM), cwd=tmp_path).split()
