"""TLS: who is trusted and who is not, straight and through a proxy that passes bytes on."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gemini.wire_server import WireServer, answers, reply, whole
from multiturn import ConnectionFailed, Retry, StatusError
from multiturn.access import Access
from multiturn.backends.gemini.backend import Gemini
from multiturn.http.client import Http
from multiturn.model import GenerativeModel
from ways import Way

trustme = pytest.importorskip("trustme", reason="trustme is not installed")
NAME = "gemini.example"


class Tunnel:
    """Speaks TLS as NAME before a plain server, and is a proxy that leads there."""

    def __init__(self, server: WireServer, authority: Any) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME, "127.0.0.1").configure_cert(self._context)
        self._target = server.port
        self.asked: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if connection.recv(1, socket.MSG_PEEK) == b"C":  # CONNECT
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += connection.recv(1)
                self.asked.append(head)
                connection.sendall(b"HTTP/1.1 200 Go ahead\r\n\r\n")
            with (
                self._context.wrap_socket(connection, server_side=True) as secure,
                socket.create_connection(("127.0.0.1", self._target)) as plain,
            ):
                back = threading.Thread(target=_pump, args=(plain, secure), daemon=True)
                back.start()
                _pump(secure, plain)
                back.join(60)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


VARIABLES = ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]


@pytest.fixture(autouse=True)
def _nobody_is_trusted_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


@pytest.fixture
def tunnel(authority: Any) -> Iterator[Tunnel]:
    with WireServer(answers()) as server:
        tunnel = Tunnel(server, authority)
        yield tunnel
        tunnel.close()


@pytest.fixture
def bundle(authority: Any, tmp_path: Path) -> Path:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


def _model(endpoint: str) -> GenerativeModel:
    access = Access(api_key="k-of-the-tests", endpoint=endpoint, http_client=Http())
    return GenerativeModel("gemini-x", backend=Gemini(access), retry=Retry(attempts=1))


@pytest.mark.parametrize("variable", [VARIABLES[0], *VARIABLES[2:]])
async def test_the_environment_says_who_is_trusted(
    way: Way, tunnel: Tunnel, bundle: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(bundle))
    chat = _model(f"https://127.0.0.1:{tunnel.port}").start_chat()
    for stream in (False, True):
        response = await way.send(chat, "Hi", stream=stream)
        await way.resolve(response)
        assert "Hello." == response.text


async def test_a_stranger_is_not_trusted_and_not_asked_twice(way: Way, tunnel: Tunnel) -> None:
    with pytest.raises(ConnectionFailed, match=r"not trusted.*SSL_CERT_FILE") as caught:
        await way.send(_model(f"https://127.0.0.1:{tunnel.port}").start_chat(), "Hi")
    assert not caught.value.retryable


async def test_a_certificate_must_be_of_the_name_that_was_asked(
    way: Way, tunnel: Tunnel, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with pytest.raises(ConnectionFailed, match="not trusted"):
        await way.send(_model(f"https://localhost:{tunnel.port}").start_chat(), "Hi")


async def test_a_proxy_passes_bytes_on_and_sees_no_key(
    way: Way, tunnel: Tunnel, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("https_proxy", f"http://me:pass@127.0.0.1:{tunnel.port}")
    chat = _model(f"https://{NAME}").start_chat()
    for _ in range(2):
        assert "Hello." == (await way.send(chat, "Hi")).text
    expected = (
        f"CONNECT {NAME}:443 HTTP/1.1\r\nHost: {NAME}:443\r\n"
        "Proxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n"
    )
    assert [expected.encode()] == tunnel.asked


async def test_a_server_without_tls_is_an_error(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ConnectionFailed, match=str(port)):
            await way.send(_model(f"https://127.0.0.1:{port}").start_chat(), "Hi")
        thread.join()


async def test_an_answer_is_read_although_not_all_was_sent(
    way: Way, authority: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)

        def serve() -> None:
            first = context.wrap_socket(listener.accept()[0], server_side=True)
            with first:
                first.recv(1000)
                first.sendall(whole(b"too large", 413))
                second = context.wrap_socket(listener.accept()[0], server_side=True)
                with second:
                    second.recv(100_000)
                    second.sendall(whole(reply("Well.")))
                    is_over.wait(60)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        chat = _model(f"https://127.0.0.1:{listener.getsockname()[1]}").start_chat()
        with pytest.raises(StatusError, match="too large"):
            await way.send(chat, "x" * 20_000_000, request_options={"timeout": 20})
        # The rest of the first request would be read as this one.
        assert "Well." == (await way.send(chat, "Hi", request_options={"timeout": 20})).text
        is_over.set()
        thread.join()


def test_a_bundle_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    with pytest.raises(ValueError, match=r"/no/such/bundle\.pem"):
        Http()._trust.context()


async def test_tls_with_a_server_that_speaks_none_is_told_with_the_scheme(way: Way) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_answered_in_plain_words, args=(listener,), daemon=True).start()
        place = f"https://127.0.0.1:{listener.getsockname()[1]}"
        backend = Gemini(Access(api_key="k-of-the-tests", endpoint=place))
        model = GenerativeModel("gemini-test", backend=backend, retry=Retry(attempts=1))

        with pytest.raises(ConnectionFailed, match="http:// and not https://"):
            await way.send(model.start_chat(), "Hi")


def _answered_in_plain_words(listener: socket.socket) -> None:
    with suppress(OSError), listener.accept()[0] as connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(65536)
