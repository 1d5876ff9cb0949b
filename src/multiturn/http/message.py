"""HTTP/1.1 messages as bytes: writes requests, reads answers; knows no socket.

The only file that knows the parsing library (httptools, the parser of Node.js).
"""

from __future__ import annotations

import httptools

from multiturn.errors import ConnectionFailed, InvalidContent, MalformedReply
from multiturn.http import (
    BODY_BYTES,
    HEAD_BYTES,
    PACKING_RATIO,
    Headers,
    HttpHead,
    HttpRequest,
    revealed,
)
from multiturn.http.route import Route, addressed

_MIB = 1024 * 1024
_SLICE_BYTES = 256 * 1024
# Pieces of a request up to this size are sent in one, at the price of a copy.
_JOINED_BYTES = 32_768


def request_head(
    method: str, target: str, host: str, headers: Headers, body_bytes: int | None = None
) -> memoryview:
    """Return the head of a request; as a view, which shows nothing of it in a traceback.

    Raises:
        InvalidContent: A header holds what cannot travel in one; its value is not shown.
    """
    lines = "".join([f"{n}: {v if isinstance(v, str) else v.reveal()}\r\n" for n, v in headers])
    breaks = 2 * len(headers)
    if not lines.isascii() or "\0" in lines or lines.count("\r") + lines.count("\n") != breaks:
        del lines  # a traceback may show variables
        raise _refused(headers)
    length = "" if body_bytes is None else f"Content-Length: {body_bytes}\r\n"
    try:
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}{length}\r\n".encode("ascii")
    except UnicodeEncodeError:
        del lines
        raise InvalidContent("$.url", target, "ASCII, percent-encoded") from None
    return memoryview(head)


def _refused(headers: Headers) -> InvalidContent:
    name = next(
        name
        for name, value in revealed(headers)
        if not (name + value).isascii() or any(c in name + value for c in "\r\n\0")
    )
    return InvalidContent(f"$.headers[{name!r}]", "a text (not shown)", "ASCII text in one line")


def written(route: Route, target: str, request: HttpRequest) -> list[bytes | memoryview]:
    """Return what is sent along a route, in pieces: the head, and the body as it is."""
    target, host, headers = addressed(route, target)
    headers = (*request.headers, *headers) if headers else request.headers
    head = request_head(request.method, target, host, headers, request.size_bytes)
    # Python 3.12's event loops never get done with an empty piece.
    return [head, *[piece for piece in request.pieces if piece]]


def joined(pieces: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return what is sent with small pieces in one; as views, like the head among them."""
    fewer: list[bytes | memoryview] = []
    small: list[bytes | memoryview] = []
    for piece in pieces:
        if len(piece) > _JOINED_BYTES:
            fewer += memoryview(b"".join(small)), piece
            small = []
        else:
            small.append(piece)
    return [*fewer, memoryview(b"".join(small))]


def unsent(pieces: list[bytes | memoryview], sent_bytes: int) -> list[bytes | memoryview]:
    """Return what is left of pieces of which so much was sent."""
    for index, piece in enumerate(pieces):
        if sent_bytes < len(piece):
            return [memoryview(piece)[sent_bytes:], *pieces[index + 1 :]]
        sent_bytes -= len(piece)
    return []


class ResponseReader:
    """Reads the answers that arrive on one connection, one after another.

    Attributes:
        head: How the answer begins, None until that has arrived.
        complete: Whether the whole answer has arrived.
        began: Whether any byte of it has.
        reusable: Whether the connection may carry another request afterwards.
        waiting_bytes: Size of what was not taken of the body.
    """

    __slots__ = (
        "_bytes",
        "_head_bytes",
        "_headers",
        "_parser",
        "_pieces",
        "_problem",
        "_taken_bytes",
        "_takes_body",
        "_unpacker",
        "_until_close",
        "began",
        "complete",
        "head",
        "reusable",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect the next answer."""
        self.head: HttpHead | None = None
        self.complete = self.began = False
        self.reusable = True
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._takes_body = False
        self._bytes = self._taken_bytes = self._head_bytes = 0
        self._unpacker: _Unpacker | None = None
        self._until_close = False
        self._problem: MalformedReply | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes in; raise MalformedReply for what HTTP does not allow."""
        self.began = True
        if self.head is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:  # what follows a whole answer does not spoil it
                raise self._problem or MalformedReply(
                    f"the server's answer is not HTTP/1.1 ({error})", data
                ) from None
        if self._problem is not None and not self.complete:
            raise self._problem
        if self.head is None and self._head_bytes > HEAD_BYTES:
            raise MalformedReply(f"the head of the answer is longer than {HEAD_BYTES} bytes")

    def end(self, server: str) -> None:
        """Take note that ``server`` closed the connection; raise if that cut the answer."""
        self.reusable = False
        if self.complete:
            return
        if self.head is None:
            where = "within the head of its answer" if self.began else "before it answered"
            raise ConnectionFailed(f"{server} closed the connection {where}")
        if not self._until_close:
            raise ConnectionFailed(
                f"the connection was cut after {self._bytes} bytes of the answer's body"
            )
        self.on_message_complete()
        if self._problem is not None:
            raise self._problem

    @property
    def body_began(self) -> bool:
        """Whether anything of the answer's body has arrived."""
        return self._bytes > 0

    @property
    def waiting_bytes(self) -> int:
        return self._bytes - self._taken_bytes

    def take(self) -> bytes:
        """Return what arrived of the body since the last call."""
        if not self._pieces:
            return b""
        pieces, self._pieces = self._pieces, []
        self._taken_bytes = self._bytes
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # -- what the parser calls -----------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False  # an answer that nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}
        if self.head is not None or 100 <= status < 200:
            return  # informational: the answer is still to come
        self.head = HttpHead(status, headers)
        self._takes_body = True
        transfer = headers.get("transfer-encoding", "chunked").lower()
        encoding = headers.get("content-encoding", "identity").strip().lower()
        self._until_close = "content-length" not in headers and "transfer-encoding" not in headers
        if encoding in ("gzip", "x-gzip"):
            self._unpacker = _Unpacker()
        elif encoding not in ("identity", ""):
            self._refuse(
                MalformedReply(
                    f"the answer is packed in a way that was not asked for ({encoding[:20]})",
                    encoding,
                )
            )
        if transfer != "chunked":
            self._refuse(MalformedReply("the answer has an unknown transfer coding", transfer))

    def on_body(self, data: bytes) -> None:
        if not self._takes_body:
            return
        if self._unpacker is not None:
            try:
                data = self._unpacker.unpack(data)
            except MalformedReply as problem:
                self._refuse(problem)
                return
        self._bytes += len(data)
        self._pieces.append(data)
        if self._bytes > BODY_BYTES:
            self._pieces = []
            self._refuse(MalformedReply(f"the answer is longer than {BODY_BYTES // _MIB} MiB"))

    def _refuse(self, problem: MalformedReply) -> None:
        self._problem, self._takes_body = problem, False

    def on_message_complete(self) -> None:
        if self.head is None or self.complete:
            return
        if self._unpacker is not None and not self._unpacker.is_whole and self._problem is None:
            self._problem = MalformedReply("the answer's gzip data is cut")
            return
        self.complete = self._problem is None
        self._takes_body = False
        self.reusable = self.reusable and not self._until_close and self._parser_allows_more()

    def _parser_allows_more(self) -> bool:
        return bool(self._parser.should_keep_alive())


class _Unpacker:
    """Unpacks gzip as it arrives, within the ratio."""

    def __init__(self) -> None:
        import zlib

        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._in_bytes = self._out_bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether the data came to their end; an empty body counts."""
        return self._stream.eof or not self._in_bytes

    def unpack(self, data: bytes) -> bytes:
        import zlib

        pieces = []
        self._in_bytes += len(data)
        while data and not self._stream.eof:
            try:
                piece = self._stream.decompress(data, _SLICE_BYTES)
            except zlib.error as error:
                raise MalformedReply(f"the answer's gzip data is broken ({error})") from None
            data = self._stream.unconsumed_tail
            self._out_bytes += len(piece)
            used = self._in_bytes - len(data)
            if self._out_bytes > _MIB and self._out_bytes > PACKING_RATIO * used:
                raise MalformedReply(
                    f"the answer's gzip data unfolds to more than {PACKING_RATIO} times their size"
                )
            if piece:
                pieces.append(piece)
        return b"".join(pieces)
