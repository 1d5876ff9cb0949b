"""How the server is reached and as whom: configure(), the environment, what overrides them."""

from __future__ import annotations

import copy
import gc
import json
import logging
import pickle
import traceback
import weakref
from typing import Any

import pytest

import multiturn as genai
from gemini.asking import asked, header
from gemini.canned import Canned
from gemini.wire_server import Reset, WireServer, answers, error, reply, whole
from multiturn import InvalidContent, MissingKey, Retry, UsageError, access
from multiturn.access import Access
from multiturn.backends.gemini import address
from multiturn.backends.gemini.backend import Gemini
from multiturn.options import RequestOptions
from ways import Way

KEY = "AIzaSentinel-0123456789-abcdefghij"
pytestmark = pytest.mark.usefixtures("nothing_said")


# -- keys ------------------------------------------------------------------------------------


def test_a_key_is_taken_from_configure_then_from_gemini_then_from_google(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "of-google")
    assert "of-google" == header(asked(), "x-goog-api-key")
    monkeypatch.setenv("GEMINI_API_KEY", "of-gemini")
    assert "of-gemini" == header(asked(), "x-goog-api-key")
    assert "of-configure" == header(asked(api_key="of-configure"), "x-goog-api-key")
    assert "of-options" == header(asked(client_options={"api_key": "of-options"}), "x-goog-api-key")


async def test_a_missing_key_is_one_sentence_that_names_the_embedded_model(way: Way) -> None:
    with pytest.raises(MissingKey) as caught:
        await way.send(genai.GenerativeModel("gemini-x").start_chat(), "Hi")
    text = str(caught.value)
    for words in ("GEMINI_API_KEY", "configure(api_key=", "models/gemini-x", "embedded"):
        assert words in text
    assert "\n" not in text
    assert isinstance(caught.value, ValueError)


def test_a_server_of_ones_own_needs_no_key() -> None:
    request = asked(client_options={"api_endpoint": "http://127.0.0.1:8080"})
    assert header(request, "x-goog-api-key") is None


@pytest.mark.parametrize("key", ["my key", "schlüssel", "my\nkey", 12345])
def test_what_is_no_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(InvalidContent) as caught:
        genai.configure(api_key=key)
    assert str(key) not in str(caught.value)
    assert str(key) not in repr(vars(caught.value))


def test_spaces_around_a_key_are_taken_off() -> None:
    assert "k" == header(asked(api_key=" k\n"), "x-goog-api-key")


def test_two_keys_are_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        genai.configure(api_key="a", client_options={"api_key": "b"})


def test_a_key_and_credentials_are_refused() -> None:
    with pytest.raises(UsageError, match="one of them"):
        genai.configure(api_key="a", credentials=_Credentials())


@pytest.mark.parametrize("transport", [None, "rest", "grpc", "grpc_asyncio"])
def test_every_old_transport_is_accepted(transport: str | None) -> None:
    asked(api_key="k", transport=transport)


def test_another_transport_is_refused() -> None:
    with pytest.raises(InvalidContent, match="transport"):
        genai.configure(transport="carrier pigeon")


def test_headers_and_agents_are_sent_along() -> None:
    class ClientInfo:
        user_agent = "my-program/2"

    class Options:
        api_key = "k"
        quota_project_id = "payer"

    request = asked(
        client_options=Options(),
        client_info=ClientInfo(),
        default_metadata=[("x-team", "a"), ("x-bin", b"\x00\x01")],
    )
    assert "a" == header(request, "x-team")
    assert "AAE=" == header(request, "x-bin")
    assert "payer" == header(request, "x-goog-user-project")
    assert (header(request, "user-agent") or "").startswith("my-program/2 multiturn/")


# -- order -----------------------------------------------------------------------------------


def test_a_model_follows_configure_until_it_is_told_otherwise() -> None:
    client = Canned(json.dumps(reply()).encode())
    model = genai.GenerativeModel("gemini-x")
    own = genai.GenerativeModel("gemini-x", request_options={"api_key": "own"})
    for key in ("one", "two"):
        genai.configure(api_key=key, http_client=client)
        model.generate_content("Hi")
        own.generate_content("Hi")
    keys = [header(request, "x-goog-api-key") for request in client.requests]
    assert ["one", "own", "two", "own"] == keys


def test_the_call_comes_before_the_chat_before_the_model_before_configure() -> None:
    client = Canned(json.dumps(reply()).encode())
    genai.configure(
        api_key="1", client_options={"api_endpoint": "http://a"}, http_client=client,
        default_metadata=[("x-1", "1")],
    )  # fmt: skip
    model = genai.GenerativeModel(
        "gemini-x",
        request_options={"api_key": "2", "metadata": [("x-2", "2")], "api_endpoint": "http://b"},
    )
    chat = model.start_chat(request_options={"api_key": "3", "metadata": [("x-3", "3")]})
    chat.send_message("Hi")
    chat.send_message("Hi", request_options={"api_key": "4", "metadata": [("x-4", "4")]})
    model.generate_content("Hi")
    assert ["3", "4", "2"] == [header(r, "x-goog-api-key") for r in client.requests]
    assert ["http://b"] * 3 == [r.url.split("/v1beta")[0] for r in client.requests]
    assert [["1", "2", "3", None], ["1", "2", "3", "4"], ["1", "2", None, None]] == [
        [header(r, f"x-{n}") for n in "1234"] for r in client.requests
    ]


def test_credentials_of_a_call_replace_the_key_of_the_model() -> None:
    client = Canned(json.dumps(reply()).encode())
    genai.configure(api_key="1", http_client=client)
    model = genai.GenerativeModel("gemini-x")
    model.generate_content("Hi", request_options={"credentials": _Credentials()})
    assert header(client.requests[0], "x-goog-api-key") is None
    assert "Bearer token-1" == header(client.requests[0], "authorization")


def test_options_may_be_an_object_or_a_dict() -> None:
    options = RequestOptions(timeout=5, metadata=[("x-a", "b")], api_key=KEY)
    assert (5, [("x-a", "b")], None) == (options.timeout, options["metadata"], options.retry)
    assert KEY not in repr(options)
    assert {"timeout", "retry", "metadata", "api_key"} == set(options)
    with pytest.raises(genai.UnknownName, match="timeout"):
        RequestOptions(timout=5)


# -- addresses -------------------------------------------------------------------------------

GOOGLE = "https://generativelanguage.googleapis.com"
ADDRESSES = [
    ({}, "gemini-x", f"{GOOGLE}/v1beta/models/gemini-x:m"),
    ({}, "models/gemini-x", f"{GOOGLE}/v1beta/models/gemini-x:m"),
    ({}, "tunedModels/x", f"{GOOGLE}/v1beta/tunedModels/x:m"),
    ({"api_version": "v1"}, "x", f"{GOOGLE}/v1/models/x:m"),
    ({"endpoint": "proxy.example"}, "x", "https://proxy.example/v1beta/models/x:m"),
    ({"endpoint": "proxy.example:444"}, "x", "https://proxy.example:444/v1beta/models/x:m"),
    ({"endpoint": "http://h:8/a/b/"}, "x", "http://h:8/a/b/v1beta/models/x:m"),
    ({"endpoint": "https://h/v1"}, "x", "https://h/v1/models/x:m"),
    ({"endpoint": "https://h/v1beta"}, "x", "https://h/v1beta/models/x:m"),
    ({"endpoint": "https://h/v1", "api_version": "v2"}, "x", "https://h/v2/models/x:m"),
    ({"endpoint": "127.0.0.1:8080"}, "x", "http://127.0.0.1:8080/v1beta/models/x:m"),
    ({"endpoint": "localhost:1/p"}, "x", "http://localhost:1/p/v1beta/models/x:m"),
    ({"endpoint": "[::1]:8080"}, "x", "http://[::1]:8080/v1beta/models/x:m"),
    ({}, "models/a b", f"{GOOGLE}/v1beta/models/a%20b:m"),
    ({}, "models/a?b#c", f"{GOOGLE}/v1beta/models/a%3Fb%23c:m"),
    (
        {"project": "p", "location": "europe-west4"},
        "gemini-x",
        "https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p/locations/"
        "europe-west4/publishers/google/models/gemini-x:m",
    ),
    (
        {"project": "p"},
        "models/gemini-x",
        "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/global/publishers/"
        "google/models/gemini-x:m",
    ),
    (
        {"project": "p", "location": "eu"},
        "gemini-x",
        "https://aiplatform.eu.rep.googleapis.com/v1beta1/projects/p/locations/eu/publishers/"
        "google/models/gemini-x:m",
    ),
    (
        {"vertexai": True},
        "gemini-x",
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/gemini-x:m",
    ),
    (
        {"project": "p", "location": "l", "endpoint": "https://h"},
        "projects/q/locations/l/endpoints/7",
        "https://h/v1beta1/projects/q/locations/l/endpoints/7:m",
    ),
    (
        {"project": "p", "location": "l", "endpoint": "https://h"},
        "publishers/other/models/x",
        "https://h/v1beta1/projects/p/locations/l/publishers/other/models/x:m",
    ),
    ({"project": "p", "vertexai": False}, "x", f"{GOOGLE}/v1beta/models/x:m"),
]


@pytest.mark.parametrize(("said", "model", "expected"), ADDRESSES)
def test_a_method_has_its_address(said: dict[str, Any], model: str, expected: str) -> None:
    assert expected == address.url(Access(**said), model, "m")


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:8")
    assert asked().url.startswith("http://127.0.0.1:8/v1beta/models/gemini-x")
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    request = asked()
    assert request.url.startswith("https://aiplatform.googleapis.com/v1beta1/publishers/")
    assert "k" == header(request, "x-goog-api-key")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "us-east1")
    assert "/projects/p/locations/us-east1/" in asked().url


def test_each_of_googles_services_has_its_own_address_whoever_says_which_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:8")
    assert asked(project="p").url.startswith("https://aiplatform.googleapis.com/")
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:9")
    assert asked(project="p").url.startswith("http://127.0.0.1:9/v1beta1/projects/p/")
    assert asked(vertexai=True).url.startswith("http://127.0.0.1:9/v1beta1/publishers/")
    assert asked(project="p", vertexai=False).url.startswith("http://127.0.0.1:8/v1beta/")
    own = {"api_endpoint": "http://127.0.0.1:10"}
    assert asked(project="p", client_options=own).url.startswith("http://127.0.0.1:10/")


# -- credentials -----------------------------------------------------------------------------


class _Credentials:
    """What google-auth's credentials look like."""

    def __init__(self) -> None:
        self.token, self.valid, self.renewals = "", False, 0

    def refresh(self, request: Any) -> None:
        self.renewals += 1
        self.token, self.valid = f"token-{self.renewals}", True


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_token_is_renewed_once_when_the_server_refuses_it(way: Way, stream: bool) -> None:
    credentials = _Credentials()
    refused = whole(error(401, "UNAUTHENTICATED"), 401)
    with WireServer(answers(), refused, answers()) as server:
        model = server.model(access={"api_key": None, "credentials": credentials})
        chat = model.start_chat()
        for _ in range(2):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        sent = [received.headers["authorization"] for received in server.requests]
        assert ["Bearer token-1", "Bearer token-1", "Bearer token-2"] == sent
        server.script = [refused]
        with pytest.raises(genai.StatusError):
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert (3, 5) == (credentials.renewals, len(server.requests))


# -- secrets ---------------------------------------------------------------------------------


def _frames(problem: BaseException) -> list[str]:
    """Return our frames with their variables, as error reporters show them."""
    stack = traceback.TracebackException.from_exception(problem, capture_locals=True).stack
    return [f"{f.name} {f.locals}" for f in stack if "/src/multiturn/" in f.filename]


async def test_a_key_is_found_nowhere(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    leaky = error(400, "INVALID_ARGUMENT", f"bad key {KEY}", {"@type": "x", "key": [KEY]})
    seen: list[str] = []
    script = [
        answers(),
        answers(),
        whole(leaky, 400),
        whole(f"<{KEY}>".encode()),
        [Reset],
        answers(),
    ]
    with WireServer(*script) as server:
        model = server.model(access={"api_key": KEY}, retry=Retry(attempts=1))
        chat = model.start_chat()
        for stream in (False, True, False, False, False):
            try:
                await way.resolve(await way.send(chat, "Hi", stream=stream))
            except genai.MultiturnError as problem:
                seen += [str(problem), repr(problem), repr(vars(problem))]
                seen += _frames(problem)
                seen.append(pickle.dumps(problem).decode("latin-1"))
        genai.configure(api_key=KEY)
        things = [
            model,
            chat,
            chat.last,
            model.backend,
            access.configured(),
            chat.journal,
            vars(model.backend),
        ]
        seen += [repr(thing) for thing in things]
        seen += [pickle.dumps(t).decode("latin-1") for t in (model, chat, access.configured())]
        seen += [copy.deepcopy(access.configured()).__repr__(), caplog.text]
        seen += [received.target for received in server.requests]
        assert {KEY} == {r.headers["x-goog-api-key"] for r in server.requests}
    assert [] == [text for text in seen if KEY in text]
    assert any("***" in text for text in seen)


async def test_what_a_secret_header_says_is_shown_nowhere(way: Way) -> None:
    with WireServer(whole(error(400, "INVALID_ARGUMENT", f"bad token {KEY}"), 400)) as server:
        headers = [("Authorization", f"Bearer {KEY}")]
        model = server.model(access={"api_key": None, "headers": headers})
        with pytest.raises(genai.MultiturnError) as caught:
            await way.send(model.start_chat(), "Hi")
    assert "bad token ***" in str(caught.value)
    assert [] == [
        text for text in (repr(vars(caught.value)), *_frames(caught.value)) if KEY in text
    ]


def test_an_address_that_is_kept_keeps_no_client_and_no_key() -> None:
    class Client:
        def exchange(self) -> None: ...

    client = Client()
    dropped = weakref.ref(client)
    access = Access(api_key=KEY, http_client=client)
    address.url(access, "gemini-x", "generateContent")
    del client, access
    gc.collect()
    assert dropped() is None


def test_a_pickled_model_follows_configure_again() -> None:
    client = Canned(json.dumps(reply()).encode())
    model = genai.GenerativeModel("gemini-x", backend=Gemini(Access(api_key=KEY)))
    again = pickle.loads(pickle.dumps(model))
    genai.configure(api_key="other", http_client=client)
    again.generate_content("Hi")
    assert "other" == header(client.requests[0], "x-goog-api-key")


def test_a_header_that_names_who_asks_is_a_secret_too() -> None:
    request = asked(default_metadata=[("Authorization", f"Bearer {KEY}")])
    assert f"Bearer {KEY}" == header(request, "authorization")
    assert KEY not in repr(request)
    with pytest.raises(TypeError):
        pickle.dumps(request)
