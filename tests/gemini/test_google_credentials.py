"""Credentials of the real google-auth: from the environment, a file, a key; and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import multiturn
from gemini.token_server import Tokens, account, shown, vertex
from gemini.wire_server import Pause, WireServer, error, whole
from multiturn import (
    GenerativeModel,
    MissingKey,
    StatusError,
    TimedOut,
)
from multiturn.google_errors import Unauthenticated
from multiturn.http import HttpHead
from ways import Way

# -- application default credentials -------------------------------------------------------


def _user(token_url: str) -> dict[str, str]:
    """Return what ``gcloud auth application-default login`` leaves."""
    return {
        "type": "authorized_user", "client_id": "c", "client_secret": "s",
        "refresh_token": "r-1", "token_uri": token_url,
    }  # fmt: skip


@pytest.mark.parametrize("content", [account, _user])
def test_the_environment_names_a_file_of_credentials(
    service: WireServer,
    tokens: Tokens,
    token_url: str,
    content: Callable[[str], dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(content(token_url)), encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    # The address of a user's tokens is Google's own, whatever the file says.
    client = _Redirected(token_url) if content is _user else None
    chat = vertex(service, http_client=client).start_chat()
    for _ in range(2):
        chat.send_message("Hi")
    assert (["Bearer ya29.token-1"] * 2, 1) == (shown(service), len(tokens.asked))
    if content is _user:
        assert ("r-1", "refresh_token") == (
            tokens.asked[0]["refresh_token"],
            tokens.asked[0]["grant_type"],
        )


class _Redirected:
    """Our client, which finds Google's tokens on this machine."""

    def __init__(self, token_url: str) -> None:
        from multiturn.http.client import Http

        self._http, self._token_url = Http(), token_url

    def exchange(self, request: Any, cancel: Any) -> Iterator[HttpHead | bytes]:
        if request.url.startswith("https://oauth2.googleapis.com"):
            request.url = self._token_url
        return self._http.exchange(request, cancel)

    def exchange_async(self, request: Any, cancel: Any) -> Any:
        return self._http.exchange_async(request, cancel)


def test_a_file_may_be_named_in_the_client_options(
    service: WireServer, tokens: Tokens, token_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account(token_url)), encoding="utf-8")
    multiturn.configure(
        client_options={"api_endpoint": service.url, "credentials_file": str(path)}, project="shop"
    )
    GenerativeModel("gemini-kite").generate_content("Hi")
    assert ["Bearer ya29.token-1"] == shown(service)


@pytest.mark.parametrize("text", [None, "no JSON", '{"type": "nobody"}', "{}"])
def test_a_file_that_is_none_is_named(
    service: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    path = tmp_path / "credentials.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(MissingKey, match=r"credentials\.json"):
        vertex(service).generate_content("Hi")
    with pytest.raises(MissingKey, match=r"credentials\.json"):
        multiturn.configure(client_options={"credentials_file": str(path)})
    assert [] == service.requests


# -- an API key alone ----------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_express_mode_shows_the_key_and_names_no_project(
    way: Way, service: WireServer, stream: bool
) -> None:
    model = vertex(service, api_key="k-of-express", vertexai=True, project=None, location=None)
    await way.resolve(await way.generate(model, "Hi", stream=stream))
    received = service.requests[0]
    assert ("k-of-express", [""]) == (received.headers["x-goog-api-key"], shown(service))
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    assert f"/v1beta1/publishers/google/models/gemini-kite:{method}" == received.target


# -- what goes wrong -----------------------------------------------------------------------


async def test_credentials_that_are_revoked_say_so(
    way: Way, service: WireServer, token_url: str
) -> None:
    refusal = whole({"error": "invalid_grant", "error_description": "Account disabled."}, 400)
    with WireServer(refusal) as gone:
        model = vertex(service, credentials=account(f"{gone.url}/token"))
        with pytest.raises(Unauthenticated, match="invalid_grant: Account disabled") as caught:
            await way.generate(model, "Hi")
        assert (1, 1) == (caught.value.attempts, len(gone.requests))
    assert [] == service.requests
    assert "PRIVATE" not in repr(vars(caught.value)) + str(caught.value)


async def test_a_server_of_tokens_that_is_silent_ends_with_the_call(
    way: Way, service: WireServer
) -> None:
    with WireServer([Pause(30)]) as silent:
        model = vertex(service, credentials=account(f"{silent.url}/token"))
        with pytest.raises(TimedOut):
            await way.generate(model, "Hi", request_options={"timeout": 0.2, "retry": False})
    assert [] == service.requests


async def test_a_server_of_tokens_that_is_gone_is_asked_again(
    way: Way, service: WireServer, token_url: str
) -> None:
    with WireServer(b"") as gone:
        url = gone.url
    model = vertex(service, credentials=account(f"{url}/token"))
    with pytest.raises(multiturn.ConnectionFailed) as caught:
        await way.generate(model, "Hi")
    assert (4, []) == (caught.value.attempts, service.requests)


def test_what_is_no_account_is_refused_before_anything_is_sent(service: WireServer) -> None:
    with pytest.raises(multiturn.UsageError, match="client_email"):
        vertex(service, credentials={"type": "service_account"}).generate_content("Hi")
    assert [] == service.requests


def test_a_token_is_found_nowhere(service: WireServer, tokens: Tokens, token_url: str) -> None:
    service.script[:] = [whole(error(403, "PERMISSION_DENIED", "ya29.token-1 may not."), 403)]
    chat = vertex(service, credentials=account(token_url)).start_chat()
    with pytest.raises(StatusError) as caught:
        chat.send_message("Hi")
    seen = repr((chat, chat.model, chat.journal, multiturn.access.configured()))
    assert "token-1" not in seen + str(caught.value) + repr(vars(caught.value))
