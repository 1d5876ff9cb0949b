"""The calls around a conversation keep the rule of retries and the time limit of messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import multiturn
from gemini.wire_server import Pause, Reset, WireServer, error, head, whole
from multiturn import ConnectionFailed, Retry, StatusError, TimedOut, google_errors
from multiturn.caching import CachedContent

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.001s"}
FILE = {"name": "files/a", "uri": "https://x/files/a", "mimeType": "text/plain", "state": "ACTIVE"}
MODEL = {"name": "models/m", "supportedGenerationMethods": ["generateContent"]}
CACHED = {"name": "cachedContents/a", "model": "models/m", "expireTime": "2030-01-01T00:00:00Z"}
VECTORS = {"embeddings": [{"values": [0.5]}]}

# What is asked, with its request options, and what the server answers to it.
Ask = Callable[..., Any]
CALLS: dict[str, tuple[Ask, Any]] = {
    "count_tokens": (
        lambda **o: multiturn.GenerativeModel("gemini-m").count_tokens("Hi", **o),
        {"totalTokens": 3},
    ),
    "count_tokens_async": (
        lambda **o: asyncio.run(
            multiturn.GenerativeModel("gemini-m").count_tokens_async("Hi", **o)
        ),
        {"totalTokens": 3},
    ),
    "get_model": (lambda **o: multiturn.get_model("models/m", **o), MODEL),
    "list_models": (lambda **o: list(multiturn.list_models(**o)), {"models": [MODEL]}),
    "embed_content": (
        lambda **o: multiturn.embed_content("models/e", "Hi", **o),
        {"embedding": {"values": [0.5]}},
    ),
    "embed_content, several": (
        lambda **o: multiturn.embed_content("models/e", ["a"], **o),
        VECTORS,
    ),
    "embed_content_async": (
        lambda **o: asyncio.run(multiturn.embed_content_async("models/e", ["a"], **o)),
        VECTORS,
    ),
    "get_file": (lambda **o: multiturn.get_file("files/a", **o), FILE),
    "list_files": (lambda **o: list(multiturn.list_files(**o)), {"files": [FILE]}),
    "delete_file": (lambda **o: multiturn.delete_file("files/a", **o), {}),
}
# These take no request options.
CACHING: dict[str, tuple[Ask, Any]] = {
    "create": (lambda: CachedContent.create("models/m", contents="Long."), CACHED),
    "get": (lambda: CachedContent.get("a"), CACHED),
    "list": (lambda: list(CachedContent.list()), {"cachedContents": [CACHED]}),
    "delete": (lambda: CachedContent._of(dict(CACHED)).delete(), {}),
    "update": (lambda: CachedContent._of(dict(CACHED)).update(ttl=60), CACHED),
}
FAILURES = {
    "408": whole(b"", 408),
    "429": whole(error(429, "RESOURCE_EXHAUSTED", "No.", RETRY_INFO), 429),
    "429, Retry-After": whole(error(429, "RESOURCE_EXHAUSTED"), 429, **{"Retry-After": "0"}),
    "500": whole(error(500, "INTERNAL", "No.", RETRY_INFO), 500),
    "502": whole(b"<html>", 502),
    "503": whole(error(503, "UNAVAILABLE"), 503),
    "504": whole(error(504, "DEADLINE_EXCEEDED"), 504),
    "cut": [head(200, Content_Length="50"), Reset],
}
every_call = pytest.mark.parametrize("name", CALLS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """A server that is asked again without a pause."""
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    with WireServer(b"") as server:
        multiturn.configure(api_key="k-of-the-tests", client_options={"api_endpoint": server.url})
        yield server
    multiturn.configure()


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", [*CALLS, *CACHING])
def test_a_passing_failure_is_not_seen(server: WireServer, name: str, failure: str) -> None:
    ask, answer = (CALLS | CACHING)[name]
    server.script[:] = [FAILURES[failure], FAILURES[failure], whole(answer)]
    ask()
    assert 3 == len(server.requests)
    assert 1 == len({(r.method, r.target, r.body) for r in server.requests})


@pytest.mark.parametrize("name", [*CALLS, *CACHING])
def test_a_failure_that_stays_is_raised_after_four_requests(server: WireServer, name: str) -> None:
    server.script[:] = [FAILURES["503"]]
    with pytest.raises(google_errors.ServiceUnavailable) as caught:
        (CALLS | CACHING)[name][0]()
    assert (4, 4) == (caught.value.attempts, len(server.requests))


@pytest.mark.parametrize("name", [*CALLS, *CACHING])
def test_what_will_not_pass_is_asked_once(server: WireServer, name: str) -> None:
    server.script[:] = [whole(error(403, "PERMISSION_DENIED"), 403)]
    with pytest.raises(google_errors.PermissionDenied) as caught:
        (CALLS | CACHING)[name][0]()
    assert (1, 1) == (caught.value.attempts, len(server.requests))


@every_call
def test_the_options_of_a_call_say_how_often(server: WireServer, name: str) -> None:
    server.script[:] = [FAILURES["503"]]
    for retry, expected in [(False, 1), (Retry(attempts=2), 2)]:
        server.requests.clear()
        with pytest.raises(google_errors.ServiceUnavailable):
            CALLS[name][0](request_options={"retry": retry})
        assert expected == len(server.requests)


@every_call
def test_a_pause_beyond_the_time_limit_is_not_waited_for(server: WireServer, name: str) -> None:
    late = {**RETRY_INFO, "retryDelay": "9s"}
    server.script[:] = [whole(error(429, "RESOURCE_EXHAUSTED", "No.", late), 429)]
    with pytest.raises(google_errors.ResourceExhausted):
        CALLS[name][0](request_options={"timeout": 5})
    assert 1 == len(server.requests)


@every_call
def test_all_requests_of_a_call_share_its_time(server: WireServer, name: str) -> None:
    server.script[:] = [[Pause(0.05), FAILURES["503"]], [Pause(30)]]
    with pytest.raises(TimedOut, match="time limit"):
        CALLS[name][0](request_options={"timeout": 0.3})
    assert 2 == len(server.requests)


@every_call
def test_a_server_that_is_not_there_is_tried_again_and_named(name: str) -> None:
    with WireServer(b"") as gone:
        url = gone.url
    multiturn.configure(api_key="k-of-the-tests", client_options={"api_endpoint": url})
    quick = Retry(uniform=lambda low, high: low)
    try:
        with pytest.raises(ConnectionFailed) as caught:
            CALLS[name][0](request_options={"retry": quick})
        assert 4 == caught.value.attempts
    finally:
        multiturn.configure()


def test_a_model_says_how_often_its_tokens_are_counted(server: WireServer) -> None:
    server.script[:] = [FAILURES["503"]]
    model = server.model(retry=Retry(attempts=3, uniform=lambda low, high: low))
    with pytest.raises(StatusError):
        model.count_tokens("Hi")
    assert 3 == len(server.requests)


def test_what_an_unheard_try_has_deleted_is_deleted(server: WireServer) -> None:
    gone = whole(error(404, "NOT_FOUND"), 404)
    server.script[:] = [FAILURES["cut"], gone]
    multiturn.delete_file("files/a")
    assert 2 == len(server.requests)
    with pytest.raises(google_errors.NotFound):
        multiturn.delete_file("files/a")
    with pytest.raises(google_errors.NotFound):
        multiturn.get_file("files/a")


def test_numbers_that_the_server_writes_without_a_point_are_floats(server: WireServer) -> None:
    server.script[:] = [
        whole({"models": [MODEL | {"temperature": 1, "maxTemperature": 2, "topP": 1, "topK": 64}]}),
        whole({"embedding": {"values": [1, 0.5]}}),
        whole({"embeddings": [{"values": [1]}, {"values": [2]}]}),
    ]
    (model,) = multiturn.list_models()
    numbers = model.temperature, model.max_temperature, model.top_p, model.top_k
    assert [(1.0, float), (2.0, float), (1.0, float), (64, int)] == [(n, type(n)) for n in numbers]
    one = multiturn.embed_content("models/e", "Hi")["embedding"]
    several = multiturn.embed_content("models/e", ["a", "b"])["embedding"]
    assert [[1.0, 0.5], [1.0], [2.0]] == [one, *several]
    assert {float} == {type(number) for vector in (one, *several) for number in vector}


@pytest.mark.parametrize("values", [["x"], [None], 3])
def test_a_vector_of_anything_else_is_malformed(server: WireServer, values: Any) -> None:
    server.script[:] = [whole({"embedding": {"values": values}})]
    with pytest.raises(multiturn.MalformedReply, match="without embeddings"):
        multiturn.embed_content("models/e", "Hi")
