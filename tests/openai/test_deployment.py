"""Workers without state, one database, one server of models: the real parts together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stores.postgres_server import server

EXAMPLE = Path(__file__).parents[2] / "examples" / "10_workers.py"


@pytest.mark.timeout(300)
def test_four_workers_share_conversations_in_postgresql_and_a_server_of_models(
    llamacpp_server: Any,
) -> None:
    where = {"LLAMACPP_BASE_URL": llamacpp_server.base_url, "LLAMACPP_API_KEY": llamacpp_server.key}
    with server() as cluster:
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), cluster.address, "llamacpp/smollm2"],
            env={**os.environ, **where},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    assert (0, "") == (done.returncode, done.stderr)
    *answers, ada, bob, cyd, faults = done.stdout.splitlines()
    assert {"ada": 3, "bob": 3, "cyd": 3} == Counter(a.partition(":")[0] for a in answers)
    assert [f"{user}/colours: 3 turns" for user in ("ada", "bob", "cyd")] == [ada, bob, cyd]
    assert "faults: []" == faults
