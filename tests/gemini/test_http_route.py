"""The way to a server: proxies of the environment, addresses of all kinds."""

from __future__ import annotations

import pytest

from gemini.wire_server import (
    WireServer,
    answers,
    whole,
)
from multiturn import ConnectionFailed, InvalidContent
from multiturn.http.route import Origin, proxy_for, split
from ways import Way

PROXIES = [
    ("https://api.example/", {"HTTPS_PROXY": "http://p:1"}, "p"),
    ("https://api.example/", {"https_proxy": "http://q:1", "HTTPS_PROXY": "http://p:1"}, "q"),
    ("https://api.example/", {"ALL_PROXY": "p:1"}, "p"),
    ("https://api.example/", {"HTTP_PROXY": "http://p:1"}, None),
    ("http://api.example/", {"HTTP_PROXY": "http://p:1"}, "p"),
    ("http://api.example/", {"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": "*"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": "api.example"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": ".example"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "no_proxy": "x, example"}, None),
    ("http://api.example/", {"http_proxy": "http://p:1", "NO_PROXY": "pi.example"}, "p"),
    ("http://api.example:8/", {"http_proxy": "http://p:1", "NO_PROXY": "api.example:8"}, None),
    ("http://api.example:8/", {"http_proxy": "http://p:1", "NO_PROXY": "api.example:9"}, "p"),
    ("http://10.1.2.3/", {"http_proxy": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
    ("http://11.1.2.3/", {"http_proxy": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, "p"),
    ("http://127.0.0.1:5/", {"http_proxy": "http://p:1"}, None),
    ("http://localhost:5/", {"http_proxy": "http://p:1"}, None),
    ("http://[::1]:5/", {"http_proxy": "http://p:1"}, None),
]


@pytest.mark.parametrize(("url", "environment", "expected"), PROXIES)
def test_the_environment_names_the_proxy(
    url: str, environment: dict[str, str], expected: str | None
) -> None:
    proxy = proxy_for(split(url)[0], environment)
    assert expected == (proxy.host if proxy else None)


def test_a_proxy_of_another_kind_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidContent) as caught:
        proxy_for(Origin("https", "x", 443), {"https_proxy": "socks5://me:pass-word@p:1"})
    assert "pass-word" not in str(caught.value)


async def test_a_proxy_is_asked_for_the_whole_address(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer(answers()) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:pass@127.0.0.1:{proxy.port}")
        model = proxy.model(access={"endpoint": "http://gemini.example"})
        assert "Hello." == (await way.send(model.start_chat(), "Hi")).text
        received = proxy.requests[0]
        assert received.target.startswith("http://gemini.example/v1beta/models/")
        assert "gemini.example" == received.headers["host"]
        assert "Basic bWU6cGFzcw==" == received.headers["proxy-authorization"]


async def test_a_proxy_that_refuses_is_named(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer(whole(b"", 407)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        model = proxy.model(access={"endpoint": "https://gemini.example"})
        with pytest.raises(ConnectionFailed, match=r"proxy .*407"):
            await way.send(model.start_chat(), "Hi")
        assert ["CONNECT"] == [received.method for received in proxy.requests]
        assert "x-goog-api-key" not in proxy.requests[0].headers


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http://", "x", "http://a:b@c/", "http://x:99999/", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidContent):
        split(url)


def test_an_address_of_version_six_keeps_its_brackets() -> None:
    assert "[::1]:8080" == split("http://[::1]:8080/x")[0].authority
    assert ("/", "x") == (split("http://x")[1], split("http://x:80")[0].authority)
