"""A proxy before PostgreSQL that cuts the connection at one message of its protocol."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path


class CuttingProxy:
    """Forwards whole messages between clients and a server on a unix socket.

    Attributes:
        messages: How many were forwarded since ``arm``.
        has_cut: Whether the armed message came.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.messages, self.has_cut = 0, False
        self._server = str(server)
        self._lock = threading.Lock()
        self._at, self._delivers = -1, False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def arm(self, at: int, delivers: bool) -> None:
        """Cut at a message, counted from now in both directions; -1 never.

        Args:
            at: Its number.
            delivers: Whether it still reaches the other side.
        """
        with self._lock:
            self.messages, self.has_cut = 0, False
            self._at, self._delivers = at, delivers

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            pair = client, server
            threading.Thread(target=self._forward, args=(*pair, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(*pair[::-1], False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, has_startup: bool) -> None:
        with contextlib.suppress(OSError, struct.error):
            while True:
                head = _exactly(source, 4 if has_startup else 5)
                (length,) = struct.unpack("!I", head[-4:])
                message = head + _exactly(source, length - 4)
                has_startup = False
                with self._lock:
                    cuts = self.messages == self._at
                    self.messages += 1
                    self.has_cut = self.has_cut or cuts
                if not cuts or self._delivers:
                    target.sendall(message)
                if cuts:
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.recv(count - len(data))
        if not piece:
            raise OSError("the other side is gone")
        data += piece
    return data
