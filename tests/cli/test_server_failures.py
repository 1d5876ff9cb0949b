"""What a server's failure is at the shell: which server it was, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from gemini.wire_server import WireServer, error, whole
from multiturn.cli.failure import explained
from multiturn.cli.main import main
from multiturn.errors import BackendError, BrokenResponseError, ConnectionFailed
from multiturn.google_errors import class_for


@pytest.fixture(autouse=True)
def nothing_else_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def answered(status: int, message: str, headers: Mapping[str, str] | None = None) -> bytes:
    return whole({"error": {"message": message}}, status, **(headers or {}))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (answered(404, "model not found"), "check the model's name (multiturn models lists"),
        (answered(404, "model not found"), "and the address in OPENAI_BASE_URL"),
        (
            answered(429, "slow down", {"Retry-After": "300"}),
            "429 slow down; try again in 5 minutes",
        ),
        (answered(401, "bad key"), "401 bad key; the key is that of OPENAI_API_KEY"),
        (answered(302, "", {"Location": "/x"}), "302 the server redirects elsewhere, which is"),
        (answered(302, "", {"Location": "/x"}), "never followed; check the address in OPENAI_BA"),
        (whole(b"<html>", 200), "; the address is that of OPENAI_BASE_URL"),
    ],
)
def test_a_servers_error_names_the_server_and_what_to_do(
    answer: bytes, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with WireServer(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-tests")

        assert 1 == main(["chat", "--model", "openai/m", "hi"])
    err = capsys.readouterr().err
    assert err.startswith(f"multiturn: 127.0.0.1:{server.port}: ")
    assert told in err
    assert ("sk-of" in err, "base_url" in err, err.count("\n")) == (False, False, 1)


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_a_key_that_gemini_does_not_know_is_told_by_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    refused = error(400, "INVALID_ARGUMENT", "API key not valid.", detail)
    with WireServer(whole(refused, 400)) as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        monkeypatch.setenv(name, "k-of-the-tests")

        assert 1 == main(["chat", "--model", "gemini-test", "hi"])
    assert f"API key not valid.; the key is that of {name}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "1 second"), (59.1, "60 seconds"), (300, "5 minutes"), (301, "6 minutes"),
        (7200, "2 hours"), (None, "later"),
    ],
)  # fmt: skip
def test_a_server_that_failed_is_asked_again_when_it_says(seconds: Any, told: str) -> None:
    failed = class_for(500, "")("oops", retryable=True, retry_after_seconds=seconds)
    failed.backend, failed.server = "openai", "api.openai.com"

    again = told if seconds is None else f"in {told}"
    assert f"api.openai.com: 500 oops; try again {again}" == explained(failed)


def test_a_server_that_is_named_already_is_named_once() -> None:
    failed = ConnectionFailed("no connection to 127.0.0.1:1 could be made (refused)")
    failed.backend, failed.server = "openai", "127.0.0.1:1"

    assert str(failed) == explained(failed)


def test_an_error_without_a_server_is_told_as_it_is() -> None:
    assert "gone" == explained(BackendError("gone", backend="scripted"))


def test_attributes_of_python_are_not_told_at_the_shell() -> None:
    cut = BrokenResponseError(
        "the reply stopped arriving; what had arrived is in .response; send the message again"
    )

    assert "the reply stopped arriving; send the message again" == explained(cut)


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("gemini-test", "GEMINI_API_KEY"),
        ("gemini-test", "GOOGLE_API_KEY"),
        ("openai/m", "OPENAI_API_KEY"),
    ],
)
def test_a_key_that_is_none_is_told_by_its_variable(
    model: str, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "k\nx")

    assert 2 == main(["chat", "--model", model, "hi"])
    assert f"multiturn: {variable} is " in capsys.readouterr().err


def test_a_key_that_is_empty_is_told_as_empty(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "")

    assert 2 == main(["chat", "--model", "gemini-test", "hi"])
    assert "(GEMINI_API_KEY is set and empty)" in capsys.readouterr().err
