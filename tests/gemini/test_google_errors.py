"""Errors by Google's names: our tree is theirs, and our errors are theirs where they are loaded."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType
from typing import Any

import pytest

from gemini.wire_server import Reset, WireServer, answers, error, whole
from multiturn import ConnectionFailed, Retry, StatusError, TimedOut, google_errors

# Name, HTTP status and parent, as in google-api-core 2.33.
TREE = """
GoogleAPICallError None GoogleAPIError
Redirection None GoogleAPICallError
MovedPermanently 301 Redirection
NotModified 304 Redirection
TemporaryRedirect 307 Redirection
ResumeIncomplete 308 Redirection
ClientError None GoogleAPICallError
BadRequest 400 ClientError
InvalidArgument 400 BadRequest
FailedPrecondition 400 BadRequest
OutOfRange 400 BadRequest
Unauthorized 401 ClientError
Unauthenticated 401 Unauthorized
Forbidden 403 ClientError
PermissionDenied 403 Forbidden
NotFound 404 ClientError
MethodNotAllowed 405 ClientError
Conflict 409 ClientError
AlreadyExists 409 Conflict
Aborted 409 Conflict
LengthRequired 411 ClientError
PreconditionFailed 412 ClientError
RequestRangeNotSatisfiable 416 ClientError
TooManyRequests 429 ClientError
ResourceExhausted 429 TooManyRequests
Cancelled 499 ClientError
ServerError None GoogleAPICallError
InternalServerError 500 ServerError
Unknown None ServerError
DataLoss None ServerError
MethodNotImplemented 501 ServerError
BadGateway 502 ServerError
ServiceUnavailable 503 ServerError
GatewayTimeout 504 ServerError
DeadlineExceeded 504 GatewayTimeout
RetryError None GoogleAPIError
"""
ROWS = [line.split() for line in TREE.strip().splitlines()]


@pytest.mark.parametrize(("name", "code", "parent"), ROWS)
def test_the_tree_is_googles(name: str, code: str, parent: str) -> None:
    found = getattr(google_errors, name)
    assert (None if code == "None" else int(code)) == found.code
    assert parent == found.__base__.__name__
    assert issubclass(found, StatusError)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Google's module, the real one where it is installed, else one of the same shape."""
    try:
        import google.api_core.exceptions as real
    except ImportError:
        real = _of_the_same_shape()
        monkeypatch.setitem(sys.modules, "google.api_core.exceptions", real)
    return real


def _of_the_same_shape() -> Any:
    """Build classes as Google's are: a metaclass, and read-only properties."""

    class Meta(type):
        pass

    def init(self: Any, message: str, errors: Any = (), details: Any = ()) -> None:
        Exception.__init__(self, message)
        self.message, self._errors, self._details = message, errors, details

    members = {
        "__init__": init,
        "details": property(lambda self: list(self._details)),
        "errors": property(lambda self: list(self._errors)),
        "response": property(lambda self: self._response),
        "reason": property(lambda self: self._error_info and self._error_info.reason),
        "__str__": lambda self: f"{self.code} {self.message}",
    }
    module: Any = ModuleType("google.api_core.exceptions")
    module.GoogleAPIError = type("GoogleAPIError", (Exception,), {})
    for name, code, parent in ROWS:
        extra = members if name == "GoogleAPICallError" else {}
        body = {"code": None if code == "None" else int(code), **extra}
        kind = type if name == "RetryError" else Meta
        setattr(module, name, kind(name, (getattr(module, parent),), body))
    return module


@pytest.mark.parametrize(
    ("status", "code"),
    [("RESOURCE_EXHAUSTED", 429), ("INVALID_ARGUMENT", 400), ("UNAVAILABLE", 503), ("", 418)],
)
def test_what_we_raise_is_caught_by_googles_names(theirs: Any, status: str, code: int) -> None:
    details = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "X"}
    with (
        WireServer(whole(error(code, status, "No.", details), code)) as server,
        pytest.raises(theirs.GoogleAPICallError) as caught,
    ):
        server.model(retry=Retry(attempts=1)).generate_content("Hi")
    problem = caught.value
    assert isinstance(problem, StatusError)
    assert isinstance(problem, google_errors.class_for(code, status))
    assert isinstance(problem, getattr(theirs, google_errors.class_for(code, status).__name__))
    assert ("No.", code, [details], [], None, "X") == (
        problem.message,
        problem.code,
        problem.details,
        problem.errors,
        problem.response,
        problem.reason,
    )
    again = pickle.loads(pickle.dumps(problem))
    assert (type(problem), str(problem)) == (type(again), str(again))


def test_a_call_that_took_too_long_is_deadline_exceeded(theirs: Any) -> None:
    with WireServer([]) as server, pytest.raises(theirs.DeadlineExceeded) as caught:
        server.model().generate_content("Hi", request_options={"timeout": 0.1})
    assert isinstance(caught.value, TimedOut)
    assert isinstance(caught.value, TimeoutError)
    assert "time limit" in str(caught.value)
    assert [] == caught.value.details


def test_a_connection_that_failed_is_service_unavailable(theirs: Any) -> None:
    with WireServer([Reset]) as server, pytest.raises(theirs.ServiceUnavailable) as caught:
        server.model(retry=Retry(attempts=1)).generate_content("Hi")
    assert isinstance(caught.value, ConnectionFailed)


def test_without_google_the_errors_are_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "google.api_core.exceptions", raising=False)
    with (
        WireServer(whole(error(429, "RESOURCE_EXHAUSTED"), 429)) as server,
        pytest.raises(StatusError) as caught,
    ):
        server.model(retry=Retry(attempts=1)).generate_content("Hi")
    assert google_errors.ResourceExhausted is type(caught.value)


class GoogleRetry:
    """What a Retry of google.api_core holds."""

    def __init__(self, catches: Any, seconds: float | None = 5) -> None:
        self._initial, self._maximum, self._multiplier = 0.001, 0.002, 2.0
        self._timeout = self._deadline = seconds
        self.seen: list[Exception] = []
        self._on_error = self.seen.append
        self._predicate = lambda problem: isinstance(problem, catches)


def test_a_retry_of_google_is_honoured(theirs: Any) -> None:
    retry = GoogleRetry(theirs.ServiceUnavailable)
    unavailable = whole(error(503, "UNAVAILABLE"), 503)
    with WireServer(*[unavailable] * 7, answers()) as server:
        response = server.model().generate_content("Hi", request_options={"retry": retry})
        assert ("Hello.", 8, 7) == (response.text, len(server.requests), len(retry.seen))
        server.script = [whole(error(500, "INTERNAL"), 500)]
        with pytest.raises(theirs.InternalServerError):
            server.model().generate_content("Hi", request_options={"retry": retry})
        assert 9 == len(server.requests)


def test_the_deadline_of_a_retry_of_google_is_kept(theirs: Any) -> None:
    retry = GoogleRetry(theirs.ServiceUnavailable, seconds=0.02)
    with WireServer(whole(error(503, "UNAVAILABLE"), 503)) as server:
        with pytest.raises(theirs.ServiceUnavailable):
            server.model().generate_content("Hi", request_options={"retry": retry})
        assert 1 < len(server.requests) < 60


def test_a_timeout_of_google_is_seconds() -> None:
    class TimeToDeadlineTimeout:
        _timeout = 0.1

    options = {"timeout": TimeToDeadlineTimeout()}
    with WireServer([]) as server, pytest.raises(TimedOut):
        server.model().generate_content("Hi", request_options=options)
