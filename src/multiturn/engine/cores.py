"""How many physical cores this process may use, within a container's limits."""

from __future__ import annotations

import os
from pathlib import Path

_SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def physical_cores() -> int:
    """Return how many physical cores this process may use, at least 1."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    allowed = os.sched_getaffinity(0)
    siblings = {_read(Path(_SIBLINGS.format(cpu))) or str(cpu) for cpu in allowed}
    return max(1, min(len(siblings), _quota_cores()))


def _quota_cores() -> int:
    quota, _, period = (_read(_QUOTA) or "max").partition(" ")
    if not quota.isdecimal() or not period.isdecimal():
        return 2**31
    return max(1, int(quota) // int(period))


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
