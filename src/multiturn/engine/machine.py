"""What this machine offers a model: physical cores and free memory, within a container's limits."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MEMORY_USED = Path("/sys/fs/cgroup/memory.current")
_MEMORY_STATISTICS = Path("/sys/fs/cgroup/memory.stat")
_MEMORY = Path("/proc/meminfo")


def physical_cores() -> int:
    """Return how many physical cores this process may use, at least 1."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    allowed = os.sched_getaffinity(0)
    siblings = {_read(Path(_TOPOLOGY.format(cpu))) or str(cpu) for cpu in allowed}
    return max(1, min(len(siblings), _quota_cores()))


def available_bytes() -> int | None:
    """Return how much memory can still be used, None where that is not known."""
    found = [size for size in (_system_bytes(), _container_bytes()) if size is not None]
    return min(found, default=None)


def _quota_cores() -> int:
    quota, _, period = (_read(_QUOTA) or "max").partition(" ")
    if not quota.isdecimal() or not period.isdecimal():
        return 2**31
    return max(1, int(quota) // int(period))


def _system_bytes() -> int | None:
    for line in (_read(_MEMORY) or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _container_bytes() -> int | None:
    limit, used = _read(_MEMORY_LIMIT), _read(_MEMORY_USED)
    if limit is None or used is None or not limit.isdecimal():
        return None
    statistics = (_read(_MEMORY_STATISTICS) or "").splitlines()
    cached = sum(int(line.split()[1]) for line in statistics if line.startswith("inactive_file "))
    return max(0, int(limit) - int(used) + cached)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
