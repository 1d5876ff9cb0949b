"""How a socket notices that its peer is gone, where silence says nothing: a model may think."""

from __future__ import annotations

import socket

# Seconds of silence before the peer's system is asked, between two tries, how often; and
# milliseconds that it may leave data unacknowledged: all is over within a minute.
_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


def set_up(sock: socket.socket) -> None:
    """Have a new socket send at once, and fail when its peer is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):  # systems differ
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
