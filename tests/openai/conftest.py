"""Real servers of the OpenAI protocol, each started once and ended with the tests.

llama.cpp's runs always.  Transformers' runs where MULTITURN_TRANSFORMERS_PYTHON names a
Python that has ``transformers[serving]``, ``torch`` and ``gguf``, at nightly effort.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from multiturn import OpenAIBackend

SERVERS = Path(__file__).parent / "servers"
OTHER_PYTHON = os.environ.get("MULTITURN_TRANSFORMERS_PYTHON")
IS_NIGHTLY = os.environ.get("MULTITURN_TEST_EFFORT") == "nightly"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests the time that loading torch and unpacking weights takes."""
    for item in items:
        if "transformers" in item.name:
            item.add_marker(pytest.mark.timeout(600))


class Server(NamedTuple):
    """A server under test, and what it can do."""

    name: str
    base_url: str
    key: str | None
    model: str
    counts: bool
    keeps_to_schemas: bool

    def backend(self, **options: object) -> OpenAIBackend:
        return OpenAIBackend(self.base_url, self.key, name=self.name, **options)  # type: ignore[arg-type]


def llamacpp(weights_path: Path, *template: str) -> Iterator[Server]:
    key = secrets.token_hex(16)
    command = [sys.executable, str(SERVERS / "llamacpp.py"), str(weights_path), key, *template]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address, "llama.cpp's server did not start"
            yield Server("llamacpp", address, key, "smollm2", True, True)
        finally:
            process.kill()


def transformers(weights_path: Path, directory: Path) -> Iterator[Server]:
    assert OTHER_PYTHON is not None
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    plain = directory / "smollm2"
    subprocess.run(
        [OTHER_PYTHON, str(SERVERS / "plain_weights.py"), str(weights_path), str(plain)],
        check=True, env=environment, capture_output=True,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tool = str(Path(OTHER_PYTHON).with_name("transformers"))
    command = [tool, "serve", str(plain), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--device", "cpu"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            _await(f"http://127.0.0.1:{port}/health", process)
            base_url = f"http://127.0.0.1:{port}/v1"
            yield Server("transformers", base_url, None, str(plain), False, False)
        finally:
            process.kill()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def llamacpp_server(weights_path: Path) -> Iterator[Server]:
    """llama.cpp's server with the default model."""
    yield from llamacpp(weights_path)


@pytest.fixture(scope="session")
def calling_server(weights_path: Path) -> Iterator[Server]:
    """The same with a template by which the model can call functions."""
    yield from llamacpp(weights_path, str(SERVERS / "calling.jinja"))


@pytest.fixture(scope="session")
def transformers_server(
    weights_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Transformers' server with the default model's weights, unpacked."""
    yield from transformers(weights_path, tmp_path_factory.mktemp("transformers"))


@pytest.fixture(
    params=["llamacpp", "transformers"] if IS_NIGHTLY and OTHER_PYTHON else ["llamacpp"]
)
def server(request: pytest.FixtureRequest) -> Server:
    """Each real server in turn."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found
