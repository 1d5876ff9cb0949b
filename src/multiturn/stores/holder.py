"""Who holds a lease: a process, named so that others on its machine can see it die.

Elsewhere, and where the system does not tell, a holder counts as alive until its lease
runs out.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
# States of a process that ended and that its parent has not asked about: zombie, dead.
_ENDED = ("Z", "X", "x")


# The attempts of this process, and whether bytes are kept for them; of its own it knows
# which are over, whatever a store says.
under_way: dict[str, bool] = {}


def lives(attempt: str, holder: str, until: float, now: float) -> bool:
    """Return whether an attempt is leased and, for all that is known here, under way."""
    if until <= now:
        return False
    return attempt in under_way if holder == this_process() else not is_dead(holder)


def this_process() -> str:
    """Return the name of this process; equal names are the same process."""
    return _name_of(os.getpid())


def is_dead(holder: str) -> bool:
    """Return whether a holder is known to have ended."""
    machine, _, process = holder.rpartition("|")[0].rpartition("|")
    started = holder.rpartition("|")[2]
    if machine != _machine() or not started or not process.isdecimal():
        return False
    return _started(int(process)) != started


@cache
def _name_of(process_id: int) -> str:
    return f"{_machine()}|{process_id}|{_started(process_id)}"


@cache
def _machine() -> str:
    """Name the run of the machine and the table of processes that this one is in."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}|{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(process_id: int) -> str:
    """Return when a process started, in the system's words; "" if there is none, or it ended."""
    try:
        # The name, in parentheses, may hold anything; the 3rd and the 22nd field follow it.
        fields = (_PROC / str(process_id) / "stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in _ENDED else fields[19]
    except (OSError, IndexError):
        return ""
