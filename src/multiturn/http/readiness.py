"""Waiting until a socket that does not block can be read or written."""

from __future__ import annotations

import math
import select
import socket
from typing import Any


class Readiness:
    """Tells when a socket is ready; for one thread at a time.

    Asking one object again and again costs one call of the system, where a time limit of
    the socket's own would cost two more for every read.
    """

    __slots__ = ("_poll", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._poll: Any = None
        if hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)

    def readable(self, seconds: float) -> bool:
        """Wait until there is something to read, an end or an error included."""
        if self._poll is None:
            return bool(select.select([self._socket], [], [], seconds)[0])
        return bool(self._poll.poll(math.ceil(seconds * 1000)))

    def writable(self, seconds: float) -> bool:
        """Wait until something can be sent, or will fail."""
        if self._poll is None:
            return any(select.select([], [self._socket], [self._socket], seconds)[1:])
        return self._polled(select.POLLOUT, seconds)

    def either(self, seconds: float) -> bool:
        """Wait until it is readable or writable."""
        if self._poll is None:
            return any(select.select([self._socket], [self._socket], [self._socket], seconds))
        return self._polled(select.POLLIN | select.POLLOUT, seconds)

    def _polled(self, events: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, events)
        return bool(poll.poll(math.ceil(seconds * 1000)))
