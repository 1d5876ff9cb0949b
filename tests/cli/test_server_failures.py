"""What a server's failure is at the shell: which server it was, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

import multiturn as genai
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


NOBODY_KNOWS = "no key was sent; export"


@pytest.mark.parametrize(
    ("backend", "variables", "told"),
    [
        ("openai", {}, f"{NOBODY_KNOWS} OPENAI_API_KEY=… is the place for one"),
        ("gemini", {}, f"{NOBODY_KNOWS} GEMINI_API_KEY=… is the place for one"),
        ("gemini", {"GOOGLE_GENAI_USE_VERTEXAI": "1"}, "no key was sent but Google's application"),
        ("gemini", {"GOOGLE_APPLICATION_CREDENTIALS": "/x"}, "no key was sent but Google's applic"),
        ("any/anthropic", {}, "see to the key of anthropic, which any-llm takes from the environm"),
        ("of_a_package", {}, "see to the key that the backend of_a_package takes"),
    ],
)
def test_where_a_refused_key_came_from_is_told_as_far_as_it_is_known(
    backend: str, variables: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert told in explained(refused_by(backend, 401))


def refused_by(backend: str, code: int) -> BackendError:
    refused = class_for(code, "")("no", code=code)
    refused.backend, refused.server = backend, "example.com"
    return refused


@pytest.mark.parametrize("given", [{"api_key": "k"}, {"credentials": object()}])
def test_a_key_that_the_program_gave_is_told_as_that(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "not-used")
    genai.configure(**given)
    try:
        assert explained(refused_by("gemini", 403)).endswith(" of configure()")
    finally:
        genai.configure()


@pytest.mark.parametrize(
    ("backend", "told"),
    [("of_a_package", "check its address"), ("gemini", "check the address in GOOGLE_VERTEX_BASE_")],
)
def test_a_redirect_is_told_with_the_place_of_the_address(
    backend: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    assert told in explained(refused_by(backend, 302))


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
