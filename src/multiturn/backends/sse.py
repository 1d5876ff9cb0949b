"""Server-sent events as they arrive: bytes go in, the data of events come out.

Lines end in CR LF, LF or CR only (WHATWG HTML, "Server-sent events"), so that other
separators of Unicode may stand in text.  What is no line of the format at all is kept
aside: servers and gateways answer with JSON or HTML where a stream was asked for.
"""

from __future__ import annotations

from multiturn.errors import MalformedReply

EVENT_BYTES = 32 * 1024 * 1024
_MARK = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")
_LF, _CR = b"\n\r"


class SseDecoder:
    """Takes a stream apart; pure.

    Attributes:
        stray: Lines that the format does not know, as they came.
    """

    __slots__ = ("_ended_in_cr", "_event", "_event_bytes", "_is_begun", "_line", "stray")

    def __init__(self) -> None:
        self._line: list[bytes] = []  # pieces of the line that is not at its end
        self._event: list[bytes] = []  # the data lines of the event that is not at its end
        self._event_bytes = 0
        self._is_begun = self._ended_in_cr = False
        self.stray = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that these bytes complete.

        Raises:
            MalformedReply: An event is longer than EVENT_BYTES.
        """
        if self._ended_in_cr and data:
            data = data[1:] if data[:1] == b"\n" else data
            self._ended_in_cr = False
        if not data:
            return []
        self._count(len(data))
        if b"\n" not in data and b"\r" not in data:
            self._line.append(data)
            return []
        if self._line:
            data = b"".join((*self._line, data))
            self._line.clear()
        if not self._is_begun:
            self._is_begun = True
            data = data.removeprefix(_MARK)
        lines = data.splitlines()
        if data[-1] == _CR:
            self._ended_in_cr = True
        elif data[-1] != _LF:
            self._line.append(lines.pop())
        events: list[bytes] = []
        self._take(lines, events)
        if events:
            self._event_bytes = sum(map(len, self._line))
        return events

    def end(self) -> list[bytes]:
        """Return the data of an event that the end of the stream completes."""
        events: list[bytes] = []
        line = b"".join(self._line)
        self._line.clear()
        self._take([line if self._is_begun else line.removeprefix(_MARK), b""], events)
        return events

    def _take(self, lines: list[bytes], events: list[bytes]) -> None:
        event = self._event
        for line in lines:
            if line:
                if line[:6] == b"data: ":
                    event.append(line[6:])
                else:
                    self._take_other(line)
            elif event:
                events.append(event[0] if len(event) == 1 else b"\n".join(event))
                event.clear()
            elif self.stray:
                self.stray += b"\n"

    def _take_other(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._event.append(value.removeprefix(b" "))
        elif name and name not in _FIELDS:
            self.stray += line + b"\n"

    def _count(self, size: int) -> None:
        self._event_bytes += size
        if self._event_bytes > EVENT_BYTES:
            raise MalformedReply(f"an event of the stream is longer than {EVENT_BYTES >> 20} MiB")
