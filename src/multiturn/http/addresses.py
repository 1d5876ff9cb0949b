"""Addresses of a server, in the order in which they are tried; looks no name up."""

from __future__ import annotations

import socket
from typing import Any

from multiturn.errors import ConnectionFailed

Address = tuple[int, int, int, str, Any]


def numeric(host: str, port: int) -> list[Address]:
    """Return the address that a host is; none if it is a name, which must be looked up."""
    if not (host.isascii() and (host[-1:].isdigit() or ":" in host)):
        return []
    flags = socket.AI_NUMERICHOST
    try:
        return [*socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=flags)]
    except OSError:  # a name like "server-1"
        return []


def interleaved(addresses: list[Address]) -> list[Address]:
    """Order addresses so that the families alternate, the system's favourite first."""
    first = [a for a in addresses if a[0] == addresses[0][0]]
    others = [a for a in addresses if a[0] != addresses[0][0]]
    mixed = [address for pair in zip(first, others, strict=False) for address in pair]
    return mixed + first[len(others) :] + others[len(first) :]


def not_found(host: str, reason: object) -> ConnectionFailed:
    """Return the error for a name without an address."""
    advice = "check the network, or the address"
    return ConnectionFailed(f"the name {host!r} was not found ({reason}); {advice}")
