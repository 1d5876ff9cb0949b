"""Block B: every status, streamed or not: which error, how many requests, after what pause."""

from __future__ import annotations

import pickle
import re
import time
from typing import Any, NamedTuple

import pytest

from gemini.wire_server import (
    Close,
    WireServer,
    answers,
    error,
    event,
    head,
    reply,
    streamed,
    whole,
)
from multiturn import BackendError, ConnectionFailed, Retry, StatusError, embed_content
from multiturn import google_errors as google
from ways import Way

INFO = "type.googleapis.com/google.rpc."
PER_DAY = {
    "@type": INFO + "QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
PER_MINUTE = {
    "@type": INFO + "QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}],
}


def retry_info(delay: str) -> dict[str, Any]:
    return {"@type": INFO + "RetryInfo", "retryDelay": delay}


class Case(NamedTuple):
    answer: bytes
    expected: type[StatusError]
    requests: int
    message: str = "No."


def case(code: int, status: str, expected: type[StatusError], requests: int, *details: Any) -> Case:
    return Case(whole(error(code, status, "No.", *details), code), expected, requests)


CASES: dict[str, Case] = {
    "400": case(400, "INVALID_ARGUMENT", google.InvalidArgument, 1),
    "400 precondition": case(400, "FAILED_PRECONDITION", google.FailedPrecondition, 1),
    "400 range": case(400, "OUT_OF_RANGE", google.OutOfRange, 1),
    "401": case(401, "UNAUTHENTICATED", google.Unauthenticated, 1),
    "403": case(403, "PERMISSION_DENIED", google.PermissionDenied, 1),
    "404": case(404, "NOT_FOUND", google.NotFound, 1),
    "408": Case(whole(b"", 408), google.ClientError, 4, "(the server gave no reason)"),
    "409 exists": case(409, "ALREADY_EXISTS", google.AlreadyExists, 1),
    "409 aborted": case(409, "ABORTED", google.Aborted, 4),
    "413": Case(whole(b"too large", 413), google.ClientError, 1, "too large"),
    "429": case(429, "RESOURCE_EXHAUSTED", google.ResourceExhausted, 4),
    "429 a minute": case(429, "RESOURCE_EXHAUSTED", google.ResourceExhausted, 4, PER_MINUTE),
    "429 a day": case(429, "RESOURCE_EXHAUSTED", google.ResourceExhausted, 1, PER_DAY),
    "429 in an hour": case(
        429, "RESOURCE_EXHAUSTED", google.ResourceExhausted, 1, retry_info("3600s")
    ),
    "429 after an hour, by header": Case(
        whole(error(429, "RESOURCE_EXHAUSTED"), 429, **{"Retry-After": "3600"}),
        google.ResourceExhausted,
        1,
    ),
    "429 in a list": Case(
        whole([error(429, "RESOURCE_EXHAUSTED")], 429), google.ResourceExhausted, 4
    ),
    "499": case(499, "CANCELLED", google.Cancelled, 1),
    "500": case(500, "INTERNAL", google.InternalServerError, 4),
    "500 unknown": case(500, "UNKNOWN", google.Unknown, 4),
    "500 a text": Case(whole({"error": "boom"}, 500), google.InternalServerError, 4, "boom"),
    "500 empty": Case(
        whole(b"", 500), google.InternalServerError, 4, "(the server gave no reason)"
    ),
    "500 bytes": Case(whole(b"\xff\xfe", 500), google.InternalServerError, 4, "\ufffd\ufffd"),
    "501": case(501, "UNIMPLEMENTED", google.MethodNotImplemented, 1),
    "502 a page": Case(
        whole(b"<html><script>x</script><h1>502</h1>\n<p>Bad gateway</html>", 502),
        google.BadGateway,
        4,
        "502 Bad gateway",
    ),
    "503": case(503, "UNAVAILABLE", google.ServiceUnavailable, 4),
    "504": case(504, "DEADLINE_EXCEEDED", google.DeadlineExceeded, 4),
    "529": Case(whole(b"busy", 529), google.ServerError, 4, "busy"),
    "302": Case(
        whole(b"", 302, Location="http://127.0.0.1:9/steal"),
        google.Redirection,
        1,
        "the server redirects elsewhere, which is never followed; check api_endpoint",
    ),
    "307": Case(
        whole(b"", 307, Location="http://127.0.0.1:9/steal"),
        google.TemporaryRedirect,
        1,
        "the server redirects elsewhere, which is never followed; check api_endpoint",
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", CASES)
async def test_a_status_is_its_error_after_its_number_of_requests(
    way: Way, name: str, stream: bool
) -> None:
    answer, expected, requests, message = CASES[name]
    with WireServer(answer) as server:
        chat = server.model().start_chat()
        with pytest.raises(expected) as caught:
            await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert requests == len(server.requests)
        assert expected is type(caught.value)
        assert (requests, message) == (caught.value.attempts, caught.value.message)
        assert int(name.split(maxsplit=1)[0]) == caught.value.code
        assert "gemini" == caught.value.backend
        assert [] == chat.history

        server.script = [answers("Well.")]
        await way.resolve(await way.send(chat, "Hi", stream=stream))
        assert ["Hi", "Well."] == [content.text for content in chat.history]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_passing_failure_is_not_seen(way: Way, stream: bool) -> None:
    unavailable = whole(error(503, "UNAVAILABLE"), 503)
    with WireServer(unavailable, [Close], unavailable, answers()) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=stream)
        await way.resolve(response)
        assert "Hello." == response.text
        assert 4 == len(server.requests)


@pytest.mark.parametrize(
    "failure",
    [
        whole(error(503, "UNAVAILABLE", "No.", retry_info("0.08s")), 503),
        whole(error(429, "RESOURCE_EXHAUSTED"), 429, **{"Retry-After": "0.08"}),
    ],
    ids=["RetryInfo", "Retry-After"],
)
async def test_the_pause_is_the_one_that_the_server_asks_for(way: Way, failure: bytes) -> None:
    with WireServer(failure, answers()) as server:
        began = time.monotonic()
        await way.send(server.model().start_chat(), "Hi")
        assert 0.08 <= time.monotonic() - began
        assert 2 == len(server.requests)


async def test_a_date_in_retry_after_is_a_pause_too(way: Way) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    far = "Wed, 21 Oct 2215 07:28:00 GMT"
    with WireServer(whole(b"", 503, **{"Retry-After": past}), answers()) as server:
        await way.send(server.model().start_chat(), "Hi")
        assert 2 == len(server.requests)
    with WireServer(whole(b"", 503, **{"Retry-After": far}), answers()) as server:
        with pytest.raises(google.ServiceUnavailable) as caught:
            await way.send(server.model().start_chat(), "Hi")
        assert 1 == len(server.requests)
        assert (caught.value.retry_after_seconds or 0) > 3600


async def test_a_pause_that_is_not_waited_is_told_with_the_reason(way: Way) -> None:
    slow = whole(error(429, "RESOURCE_EXHAUSTED", "Slow."), 429, **{"Retry-After": "500"})
    asked = "429 RESOURCE_EXHAUSTED Slow.; the server asks to wait 500 seconds, "
    for options, reason in (
        ({}, "longer than Retry(longest_wait_seconds=120) allows"),
        (
            {"retry": Retry(longest_wait_seconds=1000), "timeout": 20},
            "beyond the 20 seconds that the call may take",
        ),
        ({"retry": False}, ""),
    ):
        with WireServer(slow) as server:
            with pytest.raises(google.ResourceExhausted) as caught:
                await way.send(server.model().start_chat(), "Hi", request_options=options)
            assert 1 == len(server.requests)
        told = asked + reason if reason else "429 RESOURCE_EXHAUSTED Slow."
        assert told == str(caught.value) == str(pickle.loads(pickle.dumps(caught.value)))


def test_outside_of_a_chat_too() -> None:
    slow = whole(error(429, "RESOURCE_EXHAUSTED", "Slow."), 429, **{"Retry-After": "500"})
    with WireServer(slow) as server:
        options = {"api_key": "k-of-the-tests", "api_endpoint": server.url, "timeout": 20}
        with pytest.raises(google.ResourceExhausted, match="to wait 500 seconds, longer than"):
            embed_content("models/e", "Hi", request_options=options)


async def test_nothing_is_asked_again_once_a_piece_was_shown(way: Way) -> None:
    broken = head(Content_Type="text/event-stream", Connection="close")
    with WireServer(
        [broken + event(reply("Half", None)) + event(error(503, "UNAVAILABLE", "Later.")), Close],
        answers(),
    ) as server:
        chat = server.model().start_chat()
        response = await way.send(chat, "Hi", stream=True)
        with pytest.raises(google.ServiceUnavailable) as caught:
            await way.resolve(response)
        assert ("Half", "Later.", 1) == (
            caught.value.partial_text,
            caught.value.message,
            len(server.requests),
        )
        assert [] == chat.history


async def test_an_error_event_before_any_content_is_asked_again(way: Way) -> None:
    with WireServer(streamed(error(503, "UNAVAILABLE")), answers()) as server:
        response = await way.send(server.model().start_chat(), "Hi", stream=True)
        await way.resolve(response)
        assert "Hello." == response.text


async def test_the_pauses_end_with_the_time_for_the_call(way: Way) -> None:
    failure = whole(error(503, "UNAVAILABLE", "No.", retry_info("100s")), 503)
    with WireServer(failure) as server:
        with pytest.raises(google.ServiceUnavailable):
            await way.send(server.model().start_chat(), "Hi", request_options={"timeout": 60})
        assert 1 == len(server.requests)


async def test_retry_false_asks_once(way: Way) -> None:
    with WireServer(whole(error(503, "UNAVAILABLE"), 503)) as server:
        with pytest.raises(google.ServiceUnavailable):
            await way.send(server.model().start_chat(), "Hi", request_options={"retry": False})
        assert 1 == len(server.requests)


async def test_a_server_that_is_not_there_is_tried_again_and_named(way: Way) -> None:
    with WireServer(b"") as server:
        url = server.url
    model = server.model(access={"endpoint": url})
    chat = model.start_chat()
    place = re.escape(url.removeprefix("http://"))  # with its port
    with pytest.raises(ConnectionFailed, match=f"no connection to {place} could be") as caught:
        await way.send(chat, "Hi")
    assert 4 == caught.value.attempts
    assert isinstance(caught.value, ConnectionError)
    assert [] == chat.history


async def test_a_name_that_nobody_has_is_an_error_of_its_own(way: Way) -> None:
    with WireServer(b"") as server:
        access = {"endpoint": "http://no-such-host.invalid"}
        model = server.model(access=access, retry=Retry(attempts=1))
        with pytest.raises(BackendError, match=r"no-such-host\.invalid.*check the network"):
            await way.send(model.start_chat(), "Hi")
