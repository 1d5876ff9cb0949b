"""Uploads survive cuts; what is around the chat says clearly what is wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

import multiturn
from gemini.wire_server import Received, Reset, WireServer, whole
from multiturn import Retry, files
from multiturn.errors import InvalidContent, MalformedReply, UsageError

FILE = {"name": "files/a", "uri": "https://x/files/a", "mimeType": "text/plain", "state": "ACTIVE"}
QUICK = {"retry": Retry(uniform=lambda low, high: 0.0)}
# The connection is lost within the answer: nobody knows how much has arrived.
CUT = [b"HTTP/1.1 200 OK\r\nX-Goog", Reset]
KEY = "a-key-of-the-tests"


@pytest.fixture
def server() -> Iterator[WireServer]:
    with WireServer(b"") as server:
        multiturn.configure(api_key=KEY, client_options={"api_endpoint": server.url})
        yield server
    multiturn.configure()


def begun(server: WireServer, granularity: int = 4) -> bytes:
    return whole(
        b"",
        **{
            "X-Goog-Upload-URL": f"{server.url}/here?upload_id=1",
            "X-Goog-Upload-Status": "active",
            "X-Goog-Upload-Chunk-Granularity": str(granularity),
        },
    )


def active(size_received: int | None = None) -> bytes:
    headers = {"X-Goog-Upload-Status": "active"}
    if size_received is not None:
        headers["X-Goog-Upload-Size-Received"] = str(size_received)
    return whole(b"", **headers)


def final() -> bytes:
    return whole({"file": FILE}, **{"X-Goog-Upload-Status": "final"})


def commands(server: WireServer) -> list[tuple[str, bytes]]:
    return [(r.headers["x-goog-upload-command"], r.body) for r in server.requests[1:]]


def test_a_file_goes_up_in_one_piece_with_its_name_and_type(
    server: WireServer, tmp_path: Path
) -> None:
    server.script[:] = [begun(server), final()]
    path = tmp_path / "kite.txt"
    path.write_bytes(b"0123456789")
    file = multiturn.upload_file(path, name="kite")
    start, data = server.requests
    assert ("files/a", "https://x/files/a") == (file.name, file.uri)
    assert "/upload/v1beta/files" == start.target
    about = {"mimeType": "text/plain", "sizeBytes": "10", "name": "files/kite"}
    assert {"file": {**about, "displayName": "kite.txt"}} == start.json
    assert "10" == start.headers["x-goog-upload-header-content-length"]
    assert ("upload, finalize", "0") == tuple(
        data.headers[f"x-goog-upload-{name}"] for name in ("command", "offset")
    )
    assert b"0123456789" == data.body


def test_the_key_goes_only_where_the_upload_begins(server: WireServer) -> None:
    server.script[:] = [begun(server), final()]
    multiturn.upload_file(io.BytesIO(b"abc"), mime_type="text/plain")
    assert [KEY, None] == [r.headers.get("x-goog-api-key") for r in server.requests]


def test_an_upload_in_pieces_tells_how_far_it_is(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_PIECE_BYTES", 4)
    server.script[:] = [begun(server), active(), active(), final()]
    told: list[tuple[int, int]] = []
    multiturn.upload_file(
        io.BytesIO(b"0123456789"),
        mime_type="text/plain",
        progress=lambda sent, size: told.append((sent, size)),
    )
    assert [("upload", b"0123"), ("upload", b"4567"), ("upload, finalize", b"89")] == commands(
        server
    )
    assert [(4, 10), (8, 10), (10, 10)] == told


def test_after_a_cut_the_upload_goes_on_from_what_has_arrived(
    server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_PIECE_BYTES", 4)
    server.script[:] = [begun(server), active(), CUT, active(6), final()]
    file = multiturn.upload_file(
        io.BytesIO(b"0123456789"), mime_type="text/plain", request_options=QUICK
    )
    assert "files/a" == file.name
    assert [
        ("upload", b"0123"), ("upload", b"4567"), ("query", b""), ("upload, finalize", b"6789"),
    ] == commands(server)  # fmt: skip


def test_a_cut_after_the_last_byte_is_no_loss(server: WireServer) -> None:
    server.script[:] = [begun(server), CUT, final()]
    file = multiturn.upload_file(io.BytesIO(b"0123"), mime_type="text/plain", request_options=QUICK)
    assert "files/a" == file.name
    assert ["upload, finalize", "query"] == [command for command, _ in commands(server)]


def test_an_upload_gives_up_with_the_servers_reason(server: WireServer) -> None:
    refusal = whole({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "No."}}, 403)
    server.script[:] = [begun(server), refusal]
    with pytest.raises(multiturn.StatusError, match="No\\.") as caught:
        multiturn.upload_file(io.BytesIO(b"0123"), mime_type="text/plain")
    assert KEY not in repr(caught.value)


def test_a_server_that_cannot_be_believed_is_named_so(server: WireServer) -> None:
    server.script[:] = [whole(b"")]
    with pytest.raises(MalformedReply, match="where the upload goes"):
        multiturn.upload_file(io.BytesIO(b"0123"), mime_type="text/plain")


@pytest.mark.parametrize(
    ("path", "expected"),
    [("nowhere.txt", "a regular file"), ("kite.unheard-of", "mime_type"), (io.BytesIO(), "type")],
)
def test_what_cannot_be_uploaded_is_refused_before_anything_is_sent(
    path: str | io.BytesIO, expected: str, server: WireServer, tmp_path: Path
) -> None:
    (tmp_path / "kite.unheard-of").write_bytes(b"a")
    with pytest.raises(InvalidContent, match=expected):
        multiturn.upload_file(tmp_path / path if isinstance(path, str) else path)
    assert [] == server.requests


def test_lists_end_when_a_server_names_the_same_page_twice(server: WireServer) -> None:
    server.script[:] = [whole({"files": [FILE], "nextPageToken": "again"})]
    with pytest.raises(MalformedReply, match="same page twice"):
        list(multiturn.list_files())


def test_what_is_asked_around_the_chat_is_asked_again_too(server: WireServer) -> None:
    busy = whole({"error": {"code": 503, "status": "UNAVAILABLE", "message": "Busy."}}, 503)
    server.script[:] = [busy, whole(FILE)]
    assert "files/a" == multiturn.get_file("a", request_options=QUICK).name
    assert 2 == len(server.requests)


def test_files_are_not_looked_for_on_vertex_ai(server: WireServer) -> None:
    with pytest.raises(UsageError, match="Vertex AI"):
        multiturn.get_file("a", request_options={"vertexai": True, "api_key": KEY})
    assert [] == server.requests


def test_a_retired_service_says_that_it_is() -> None:
    for name in ("create_tuned_model", "get_operation"):
        with pytest.raises(AttributeError, match="went out of service"):
            getattr(multiturn, name)


def seen(request: Received) -> tuple[str, str]:
    return request.method, request.target


def test_names_that_need_it_are_percent_encoded(server: WireServer) -> None:
    server.script[:] = [whole(FILE)]
    multiturn.get_file("files/a b?c")
    assert ("GET", "/v1beta/files/a%20b%3Fc") == seen(server.requests[0])
