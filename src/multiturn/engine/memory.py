"""Whether a model fits the memory of this machine, told before it is loaded."""

from __future__ import annotations

from pathlib import Path

from multiturn.engine.server import Load
from multiturn.errors import EngineError
from multiturn.weights.gguf import Header

_MEMORY = Path("/proc/meminfo")
_LIMIT = Path("/sys/fs/cgroup/memory.max")
_USED = Path("/sys/fs/cgroup/memory.current")
_STATISTICS = Path("/sys/fs/cgroup/memory.stat")
# Buffers for computing, measured with a 135M model; they grow with its width.
_COMPUTE_BYTES = 64 * 2**20


def check_memory(load: Load, header: Header) -> None:
    """Refuse what would not fit; llama.cpp would end the process or the machine would swap.

    Raises:
        EngineError: Weights and windows need more than is available, where that is known.
    """
    windows_bytes = state_bytes_per_token(header) * load.context_tokens * load.slots
    needed = windows_bytes + load.path.stat().st_size + _COMPUTE_BYTES
    available = available_bytes()
    if available is not None and needed > available:
        raise EngineError(
            f"{load.path.name} with context_tokens={load.context_tokens} and slots={load.slots} "
            f"needs about {needed / 1e6:.0f} MB of memory and {available / 1e6:.0f} MB are "
            "available; lower context_tokens or slots"
        )


def state_bytes_per_token(header: Header) -> int:
    """Return the size of one token's keys and values, 0 if not known.

    An upper bound where layers differ: each counts as one with full attention.
    """
    layers, heads = _number(header, "block_count"), _number(header, "attention.head_count")
    keys = _length(header, "key")
    key_bytes = keys * 34 // 32 if has_eight_bit_keys(header) else keys * 2
    head_bytes = key_bytes + 2 * _length(header, "value")
    return layers * _number(header, "attention.head_count_kv", heads) * head_bytes


def has_eight_bit_keys(header: Header) -> bool:
    """Return whether the model's keys can be kept in llama.cpp's blocks of 32 numbers.

    Not where keys and values are one (``kv_lora_rank``): values stay at 16 bits.
    """
    start = f"{header.architecture}.attention."
    lengths = [
        value for name, value in header.entries.items() if name.startswith(start + "key_length")
    ]
    known = [_length(header, "key"), *lengths]
    whole = all(isinstance(length, int) and length and length % 32 == 0 for length in known)
    return whole and f"{start}kv_lora_rank" not in header.entries


def available_bytes() -> int | None:
    """Return how much memory can still be used, None where that is not known."""
    found = [size for size in (_system_bytes(), _container_bytes()) if size is not None]
    return min(found, default=None)


def _length(header: Header, name: str) -> int:
    """Return how many numbers the ``key`` or ``value`` of one head has, 0 if not known."""
    heads = _number(header, "attention.head_count")
    width = _number(header, "embedding_length") // heads if heads else 0
    return _number(header, f"attention.{name}_length", width)


def _number(header: Header, name: str, otherwise: int = 0) -> int:
    value = header.entries.get(f"{header.architecture}.{name}", otherwise)
    return value if isinstance(value, int) and value >= 0 else otherwise


def _system_bytes() -> int | None:
    for line in (_read(_MEMORY) or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _container_bytes() -> int | None:
    limit, used = _read(_LIMIT), _read(_USED)
    if limit is None or used is None or not limit.isdecimal():
        return None
    statistics = (_read(_STATISTICS) or "").splitlines()
    cached = sum(int(line.split()[1]) for line in statistics if line.startswith("inactive_file "))
    return max(0, int(limit) - int(used) + cached)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
