"""Access tokens by the real google-auth: asked for, shared, renewed, waited for, cancelled."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest
from google.auth import jwt
from google.oauth2 import service_account

from gemini.token_server import MAIL, SCOPE, Tokens, account, public_pem, shown, vertex
from gemini.wire_server import WireServer, answers, error, whole
from multiturn import (
    ChatSession,
    TimedOut,
    TurnCancelled,
)
from multiturn.backends.gemini import google_auth
from multiturn.google_errors import Unauthenticated
from ways import Way


async def test_a_service_account_signs_for_a_token_and_shows_it(
    way: Way, service: WireServer, tokens: Tokens, token_url: str
) -> None:
    model = vertex(service, credentials=account(token_url))
    assert "Hello." == (await way.generate(model, "Hi")).text
    assert ["Bearer ya29.token-1"] == shown(service)
    claims = jwt.decode(tokens.asked[0]["assertion"], certs=public_pem())
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
    claims = jwt.decode(tokens.asked[0]["assertion"], certs=public_pem())
    assert ("https://scope.example/own", "ya29.token-1") == (claims["scope"], given.token)
