"""Libraries that read JSON: what a streamed chunk costs, what stays of it, and what is refused.

python benchmarks/json_readers.py [RUNS]

jiter is there with multiturn; orjson and msgspec are measured if they are installed.
Every chunk has another text, as in a stream, since some libraries keep strings.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, Literal

from multiturn.backends.wire_json import parsed

_COUNT = 2000
_CHUNKS = [
    b'{"candidates":[{"content":{"parts":[{"text":"Piece %06d of what the model says."}],'
    b'"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":'
    b'%d,"totalTokenCount":39,"promptTokensDetails":[{"modality":"TEXT","tokenCount":12}]},'
    b'"modelVersion":"gemini-2.5-flash","responseId":"x1Yhaf-sGqqQxs0P4czY0AQ"}' % (place, place)
    for place in range(_COUNT)
]
# What no reply may hold, and what it must keep.
_REFUSED = {
    "1e400": b"[1e400]",
    "NaN": b"[NaN]",
    "half a character": b'["\\ud800"]',
    "201 levels": b"[" * 201 + b"1" + b"]" * 201,
    "not UTF-8": b'["\xff"]',
    "more behind": b"[1] 2",
}
_BIG = b"[123456789012345678901234567890]"


def readers() -> dict[str, tuple[str, Callable[[bytes], Any]]]:
    """Return, by its name, what each reader imports and how it reads."""
    from jiter import from_json

    def jiter(kept: Literal["all", "keys", "none"]) -> Callable[[bytes], Any]:
        return lambda data: from_json(data, allow_inf_nan=False, cache_mode=kept)

    found: dict[str, tuple[str, Callable[[bytes], Any]]] = {
        "json": ("json", json.loads),
        "jiter, all strings kept": ("jiter", jiter("all")),
        "jiter, names kept": ("jiter", jiter("keys")),
        "jiter, none kept": ("jiter", jiter("none")),
        "ours": ("jiter", parsed),
    }
    if importlib.util.find_spec("orjson"):
        found["orjson"] = "orjson", importlib.import_module("orjson").loads
    if importlib.util.find_spec("msgspec"):
        decoder = importlib.import_module("msgspec.json").Decoder()
        found["msgspec"] = "msgspec.json", decoder.decode
    return found


def chunk_microseconds(read: Callable[[bytes], Any], runs: int) -> float:
    """Return the CPU of one chunk, in the best of some runs over all of them."""
    best = math.inf
    for _ in range(runs):
        began = time.process_time()
        for chunk in _CHUNKS:
            read(chunk)
        best = min(best, time.process_time() - began)
    return best / _COUNT * 1e6


def kept_bytes(read: Callable[[bytes], Any]) -> float:
    """Return the memory of one chunk that is kept, what the library keeps itself left out."""
    for chunk in _CHUNKS:
        read(chunk)
    tracemalloc.start()
    kept = [read(chunk) for chunk in _CHUNKS]
    size = tracemalloc.get_traced_memory()[0] / len(kept)
    tracemalloc.stop()
    return size


def import_milliseconds(module: str, runs: int) -> float:
    """Return the CPU of an import after that of multiturn, in the best of some processes."""
    program = (
        "import json, time, multiturn; began = time.process_time(); "
        f"import {module}; print((time.process_time() - began) * 1e3)"
    )
    command = [sys.executable, "-c", program]
    outputs = (subprocess.run(command, check=True, capture_output=True) for _ in range(runs))
    return min(float(done.stdout) for done in outputs)


def is_refused(read: Callable[[bytes], Any], data: bytes) -> bool:
    """Whether a reader raises."""
    try:
        read(data)
    except Exception:
        return True
    return False


if __name__ == "__main__":
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{'':24}{'µs':>6}{'bytes':>7}{'import, ms':>12}  big integers, then what it takes")
    for name, (module, read) in readers().items():
        figures = f"{chunk_microseconds(read, runs):6.2f}{kept_bytes(read):7.0f}"
        imported = f"{import_milliseconds(module, runs):12.1f}"
        exact = "exact" if read(_BIG) == json.loads(_BIG) else "rounded"
        taken = [what for what, data in _REFUSED.items() if not is_refused(read, data)]
        print(f"{name:24}{figures}{imported}  {exact}; {', '.join(taken) or 'nothing'}")
