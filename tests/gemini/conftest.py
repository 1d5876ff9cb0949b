"""Servers for tests of credentials: one of tokens, one of answers, one that is silent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import multiturn
from gemini.asking import NAMES
from gemini.token_server import Tokens
from gemini.wire_server import Pause, WireServer, answers


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def token_url(tokens: Tokens) -> Iterator[str]:
    with WireServer(tokens) as server:
        yield f"{server.url}/token"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    with WireServer(answers()) as server:
        yield server
    multiturn.configure()


@pytest.fixture
def silent() -> Iterator[WireServer]:
    """A server of tokens that answers nobody."""
    with WireServer([Pause(60)]) as server:
        yield server


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Neither the environment nor ``configure()`` says how the server is reached."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    multiturn.configure()
    yield
    multiturn.configure()
