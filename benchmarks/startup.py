"""What `import multiturn` costs: modules and CPU, in fresh interpreters.

python benchmarks/startup.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

PROGRAM = """
import sys, time
before, started = set(sys.modules), time.process_time()
{statement}
print([len(set(sys.modules) - before), (time.process_time() - started) * 1e3])
"""


def measure(statement: str, runs: int = 9) -> tuple[int, float]:
    """Return modules added and the median CPU milliseconds."""
    results = []
    for _ in range(runs):
        program = PROGRAM.format(statement=statement)
        out = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        results.append(json.loads(out.stdout))
    return results[0][0], statistics.median(cpu for _, cpu in results)


if __name__ == "__main__":
    for statement in ("import multiturn", "import asyncio", "import json, typing, re"):
        modules, milliseconds = measure(statement)
        print(f"{statement:24} {modules:4} modules {milliseconds:7.1f} ms CPU")
