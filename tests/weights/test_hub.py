"""Hub references, with the real huggingface_hub against a loopback server of its protocol."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from multiturn import weights
from multiturn.errors import UsageError, WeightsMissing
from multiturn.weights import hub

from .conftest import gguf_bytes

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = gguf_bytes(b"x" * 1000)

needs_library = pytest.mark.skipif(
    find_spec("huggingface_hub") is None,
    reason="huggingface_hub, which these tests run, is not installed",
)


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves the repository ``owner/one``; knows the main branch, ``v1`` and the commit."""

    files = ("README.md", "model.gguf")
    requests: list[str]

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        self.requests.append(self.path)
        path = self.path.partition("?")[0]
        for revision in ("main", "v1", COMMIT):
            if path == f"/owner/one/resolve/{revision}/model.gguf":
                etag = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
                return self.send(CONTENT, with_body, {"ETag": etag, "X-Repo-Commit": COMMIT})
            if path == f"/api/models/owner/one/revision/{revision}" or (
                path == "/api/models/owner/one" and revision == "main"
            ):
                listed = {"id": "owner/one", "siblings": [{"rfilename": f} for f in self.files]}
                return self.send(json.dumps(listed).encode(), with_body, {})
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound" if "owner/one" in path else "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def send(self, body: bytes, with_body: bool, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def requests(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub on loopback; gives the paths that were asked of it."""
    handler = type("ThisHub", (Hub,), {"requests": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield handler.requests  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def locate(name: str, **environment: str) -> str:
    """Locate in a process of its own, because huggingface_hub reads its settings at import."""
    return asked(name, **environment).stdout.strip()


def asked(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nfrom multiturn import errors, weights\n"
        "try: print(weights.locate(sys.argv[1]))\n"
        "except errors.MultiturnError as e: print(type(e).__name__ + ': ' + str(e))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, name],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )


@needs_library
@pytest.mark.parametrize("name", ["hf:owner/one/model.gguf", "owner/one"])
def test_a_hub_that_cannot_be_reached_is_told_in_one_line_and_at_once(
    name: str, cache: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    done = asked(name, HF_ENDPOINT=f"http://127.0.0.1:{port}", HF_HOME=str(tmp_path / "hub"))
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"DownloadFailed: fetching the weights of {name!r} failed: Connect")
    assert line.endswith("; check the name, the network and HF_ENDPOINT")
    assert "" == done.stderr


@needs_library
def test_a_hub_file_is_fetched_once_and_then_used_offline(requests: list[str]) -> None:
    path = locate("hf:owner/one/model.gguf@v1")
    assert path.endswith(f"snapshots/{COMMIT}/model.gguf")
    assert CONTENT == Path(path).read_bytes()
    assert "/owner/one/resolve/v1/model.gguf" in requests

    requests.clear()
    assert path == locate("owner/one/model.gguf@v1", MULTITURN_OFFLINE="1")
    assert path == locate("hf:owner/one/model.gguf@v1", HF_HUB_OFFLINE="1")
    assert [] == requests

    blob = Path(path).resolve()
    blob.write_bytes(CONTENT[:-1] + b"y")
    answer = locate("owner/one/model.gguf@v1", MULTITURN_OFFLINE="1")
    assert answer.startswith("WeightsBroken: ")
    assert "its content was changed" in answer


@needs_library
def test_a_repository_with_one_weights_file_needs_no_file_name(requests: list[str]) -> None:
    path = locate("owner/one")
    assert path.endswith("/model.gguf")
    assert path == locate("hf:owner/one", MULTITURN_OFFLINE="1")


@needs_library
def test_what_the_hub_does_not_have_is_told(requests: list[str]) -> None:
    answer = locate("hf:owner/one/other.gguf")
    assert answer.startswith("DownloadFailed: fetching the weights of 'hf:owner/one/other.gguf'")
    assert "WeightsMissing" in locate("hf:owner/one/model.gguf", MULTITURN_OFFLINE="1")


@pytest.mark.parametrize(
    "name", ["hf:one", "hf:o/r//x.gguf", "hf:owner/one/model.bin", "hf:owner/one/../x.gguf"]
)
def test_a_malformed_reference_is_refused_with_the_right_form(name: str) -> None:
    with pytest.raises(UsageError, match=r"hf:owner/repository/file\.gguf"):
        weights.locate(name)


def test_a_reference_has_a_repository_a_file_and_a_revision() -> None:
    assert hub.Reference("o/r", "a/b.gguf", "v1") == hub.parse("hf:o/r/a/b.gguf@v1")
    assert hub.Reference("o/r", None, None) == hub.parse("o/r")
    assert hub.Reference("o/r", None, "main") == hub.parse("o/r@main")


@pytest.mark.parametrize("name", ["hf:owner/one/model.gguf", "owner/one/model.gguf"])
def test_without_the_library_the_error_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsMissing, match=r"pip install 'multiturn\[hub\]'") as caught:
        weights.locate(name)
    assert ("there is no file" in str(caught.value)) == (not name.startswith("hf:"))
