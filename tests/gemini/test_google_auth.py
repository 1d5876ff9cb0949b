"""Credentials of the real google-auth: a service account, a user, a file; tokens by our HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt
from google.oauth2 import service_account

import multiturn
from gemini.wire_server import Pause, Received, WireServer, answers, error, whole
from multiturn import (
    ChatSession,
    GenerativeModel,
    MissingKey,
    Retry,
    StatusError,
    TimedOut,
    TurnCancelled,
)
from multiturn.backends import google_auth
from multiturn.google_errors import Unauthenticated
from multiturn.http import HttpHead
from ways import Way

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MAIL = "kites@shop.iam.example"


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(token_url: str) -> dict[str, str]:
    """Return what the file of a service account holds, with a key made for these tests."""
    private = _private_key().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "shop",
        "private_key_id": "k1",
        "private_key": private.decode(),
        "client_email": MAIL,
        "client_id": "1",
        "token_uri": token_url,
    }


def _public_pem() -> bytes:
    return (
        _private_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


class Tokens:
    """Answers requests for tokens with token-1, token-2, …

    Attributes:
        seconds: For how long a token is good; google-auth renews what ends in minutes.
        asked: The forms that arrived.
        waits_for: Something that must happen before an answer.
    """

    def __init__(self) -> None:
        self.seconds = 3600
        self.asked: list[dict[str, str]] = []
        self.waits_for: threading.Event | None = None

    def __call__(self, received: Received) -> bytes:
        form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        self.asked.append(form)
        if self.waits_for is not None:
            assert self.waits_for.wait(30)
        token = f"ya29.token-{len(self.asked)}"
        return whole({"access_token": token, "expires_in": self.seconds, "token_type": "Bearer"})


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


def vertex(service: WireServer, **access: Any) -> GenerativeModel:
    """Configure Vertex AI at the service, and return a model of it."""
    multiturn.configure(
        client_options={"api_endpoint": service.url},
        **{"project": "shop", "location": "europe-west4", **access},
    )
    return GenerativeModel("gemini-kite", retry=Retry(uniform=lambda low, high: low))


def shown(service: WireServer) -> list[str]:
    return [received.headers.get("authorization", "") for received in service.requests]


async def test_a_service_account_signs_for_a_token_and_shows_it(
    way: Way, service: WireServer, tokens: Tokens, token_url: str
) -> None:
    model = vertex(service, credentials=account(token_url))
    assert "Hello." == (await way.generate(model, "Hi")).text
    assert ["Bearer ya29.token-1"] == shown(service)
    claims = jwt.decode(tokens.asked[0]["assertion"], certs=_public_pem())
    assert (MAIL, SCOPE) == (claims["iss"], claims["scope"])
    assert "x-goog-api-key" not in service.requests[0].headers
    assert (
        "/v1beta1/projects/shop/locations/europe-west4/publishers/google/models/gemini-kite"
        ":generateContent" == service.requests[0].target
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_token_is_used_again(
    way: Way, service: WireServer, tokens: Tokens, token_url: str, stream: bool
) -> None:
    chat = vertex(service, credentials=account(token_url)).start_chat()
    for _ in range(3):
        await way.resolve(await way.send(chat, "Hi", stream=stream))
    assert (["Bearer ya29.token-1"] * 3, 1) == (shown(service), len(tokens.asked))


async def test_a_token_that_ends_is_renewed_before_it_is_shown(
    way: Way, service: WireServer, tokens: Tokens, token_url: str
) -> None:
    tokens.seconds = 1
    chat = vertex(service, credentials=account(token_url)).start_chat()
    for _ in range(3):
        await way.send(chat, "Hi")
    assert ["Bearer ya29.token-1", "Bearer ya29.token-2", "Bearer ya29.token-3"] == shown(service)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_refused_token_is_renewed_once(
    way: Way, service: WireServer, tokens: Tokens, token_url: str, stream: bool
) -> None:
    refused = whole(error(401, "UNAUTHENTICATED"), 401)
    service.script[:] = [refused, answers()]
    chat = vertex(service, credentials=account(token_url)).start_chat()
    await way.resolve(await way.send(chat, "Hi", stream=stream))
    assert (["Bearer ya29.token-1", "Bearer ya29.token-2"], 2) == (
        shown(service),
        len(chat.history),
    )
    service.script[:] = [refused]
    with pytest.raises(Unauthenticated):
        await way.resolve(await way.send(chat, "Hi", stream=stream))
    assert (3, 2) == (len(tokens.asked), len(chat.history))


async def test_counting_shows_a_token_too(way: Way, service: WireServer, token_url: str) -> None:
    service.script[:] = [whole(error(401, "UNAUTHENTICATED"), 401), whole({"totalTokens": 2})]
    model = vertex(service, credentials=account(token_url))
    assert 2 == (await way.count(model, "Hi")).total_tokens
    assert ["Bearer ya29.token-1", "Bearer ya29.token-2"] == shown(service)
    assert {"contents"} == service.requests[0].json.keys()


def test_an_event_loop_goes_on_while_a_token_is_waited_for(
    service: WireServer, tokens: Tokens, token_url: str
) -> None:
    tokens.waits_for = threading.Event()
    model = vertex(service, credentials=account(token_url))

    async def both() -> str:
        asking = asyncio.create_task(model.generate_content_async("Hi"))
        while not tokens.asked:
            await asyncio.sleep(0.001)
        assert tokens.waits_for is not None
        tokens.waits_for.set()  # only a loop that is not blocked comes here
        return (await asking).text

    assert "Hello." == asyncio.run(both())


def test_threads_share_one_token(service: WireServer, tokens: Tokens, token_url: str) -> None:
    model = vertex(service, credentials=account(token_url))
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait(30)
        model.generate_content("Hi")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (["Bearer ya29.token-1"] * 8, 1) == (shown(service), len(tokens.asked))


def test_two_service_accounts_in_turns_keep_their_tokens(
    service: WireServer, tokens: Tokens, token_url: str
) -> None:
    model = vertex(service, credentials=account(token_url))
    other = {**account(token_url), "client_email": "gliders@shop.iam.example"}
    for _ in range(3):
        model.generate_content("Hi")
        model.generate_content("Hi", request_options={"credentials": dict(other)})
    assert ["Bearer ya29.token-1", "Bearer ya29.token-2"] * 3 == shown(service)
    assert 2 == len(tokens.asked)


@pytest.fixture
def silent() -> Iterator[WireServer]:
    """A server of tokens that answers nobody."""
    with WireServer([Pause(60)]) as server:
        yield server


def _cancel_when(chat: ChatSession, begun: Callable[[], object]) -> None:
    """Cancel a chat's turn, from another thread, as soon as something has begun."""

    def cancel() -> None:
        while not begun():
            time.sleep(0.001)
        assert chat.last is not None
        chat.last.cancel()

    threading.Thread(target=cancel).start()


async def test_cancelling_a_turn_ends_its_request_for_a_token(
    way: Way, service: WireServer, silent: WireServer
) -> None:
    chat = vertex(service, credentials=account(silent.url)).start_chat()
    _cancel_when(chat, lambda: silent.requests)
    with pytest.raises(TurnCancelled):
        await way.send(chat, "Hi")
    assert ("cancelled", []) == (chat.journal[-1].outcome, service.requests)
    assert not google_auth._lock.locked()


def test_cancelling_a_task_leaves_no_request_for_a_token_behind(
    service: WireServer, silent: WireServer
) -> None:
    chat = vertex(service, credentials=account(silent.url)).start_chat()

    async def cancelled() -> None:
        asking = asyncio.create_task(chat.send_message_async("Hi"))
        while not silent.requests:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(cancelled())  # ends only when its threads have
    assert ("cancelled", []) == (chat.journal[-1].outcome, service.requests)


async def test_a_turn_that_waits_for_the_token_of_another_can_be_cancelled(
    way: Way, service: WireServer, token_url: str
) -> None:
    chat = vertex(service, credentials=account(token_url)).start_chat()
    with google_auth._lock:
        _cancel_when(chat, lambda: chat.last is not None)
        with pytest.raises(TurnCancelled):
            await way.send(chat, "Hi")
    assert [] == service.requests


async def test_the_token_of_another_call_is_waited_for_within_the_time_limit(
    way: Way, service: WireServer, token_url: str
) -> None:
    model = vertex(service, credentials=account(token_url))
    with google_auth._lock, pytest.raises(TimedOut, match="time limit"):
        await way.generate(model, "Hi", request_options={"timeout": 0.05})
    assert [] == service.requests


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_does_not_wait_for_a_token_that_its_parent_was_asking_for(
    service: WireServer, token_url: str
) -> None:
    model = vertex(service, credentials=account(token_url))
    with google_auth._lock:  # as another thread of the parent may hold it
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a child that hangs outlives no test
            try:
                os._exit(0 if model.generate_content("Hi").text == "Hello." else 1)
            except BaseException:
                os._exit(2)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_object_of_google_auth_serves_as_it_is(
    service: WireServer, tokens: Tokens, token_url: str
) -> None:
    given = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        account(token_url), scopes=["https://scope.example/own"]
    )
    vertex(service, credentials=given).generate_content("Hi")
    claims = jwt.decode(tokens.asked[0]["assertion"], certs=_public_pem())
    assert ("https://scope.example/own", "ya29.token-1") == (claims["scope"], given.token)


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
