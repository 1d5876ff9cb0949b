"""What `import multiturn` costs: modules and CPU, in fresh interpreters, compiled as pip leaves it.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile

PROGRAM = """
import sys, time
before, started = set(sys.modules), time.process_time()
{statement}
print([len(set(sys.modules) - before), (time.process_time() - started) * 1e3])
"""


def measure(statement: str, runs: int = 9) -> tuple[int, float]:
    """Return modules added and the median CPU milliseconds."""
    program = PROGRAM.format(statement=statement)
    command = [sys.executable, "-c", program]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(runs + 1):
            out = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            results.append(json.loads(out.stdout))
    _, *compiled = results  # the first compiles
    return compiled[0][0], statistics.median(cpu for _, cpu in compiled)


if __name__ == "__main__":
    for statement in ("import multiturn", "import asyncio", "import json, typing, re"):
        modules, milliseconds = measure(statement)
        print(f"{statement:24} {modules:4} modules {milliseconds:7.1f} ms CPU")
