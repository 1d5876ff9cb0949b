"""Run by test_google_core: a program that catches and retries with the real google-api-core."""

from __future__ import annotations

import json
import pickle
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from google.api_core import exceptions, retry, timeout

import multiturn as genai

ERRORS = {
    429: ("RESOURCE_EXHAUSTED", "ResourceExhausted"),
    400: ("INVALID_ARGUMENT", "InvalidArgument"),
    401: ("UNAUTHENTICATED", "Unauthenticated"),
    403: ("PERMISSION_DENIED", "PermissionDenied"),
    404: ("NOT_FOUND", "NotFound"),
    409: ("ABORTED", "Aborted"),
    500: ("INTERNAL", "InternalServerError"),
    503: ("UNAVAILABLE", "ServiceUnavailable"),
    504: ("DEADLINE_EXCEEDED", "DeadlineExceeded"),
    418: ("", "ClientError"),
}
DETAILS = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "KITE", "domain": "x"}]
HELLO = {"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}]}


class Service(BaseHTTPRequestHandler):
    """Answers with the next status of a list, and with Hello at its end."""

    statuses: list[int] = []  # noqa: RUF012
    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        Service.asked += 1
        status = Service.statuses.pop(0) if Service.statuses else 200
        problem = {"code": status, "status": ERRORS.get(status, ("",))[0], "message": "No."}
        body = HELLO if status == 200 else {"error": {**problem, "details": DETAILS}}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def asked(model: Any, *statuses: int, **options: Any) -> Any:
    Service.statuses, Service.asked = list(statuses), 0
    return model.generate_content("Hi", request_options=options)


def caught(model: Any, *statuses: int, **options: Any) -> Exception:
    try:
        asked(model, *statuses, **options)
    except exceptions.GoogleAPICallError as error:
        return error
    raise AssertionError("nothing was raised")


def every_error_is_googles(model: Any) -> None:
    for code, (_, name) in ERRORS.items():
        error = caught(model, code, retry=False)
        theirs = getattr(exceptions, name)
        assert isinstance(error, theirs), (code, type(error).__mro__)
        assert isinstance(error, genai.StatusError)
        assert (code, "No.") == (error.code, error.message), error
        assert DETAILS == error.details
        assert "No." in str(error)
        assert isinstance(pickle.loads(pickle.dumps(error)), theirs)
    for name in ("TooManyRequests", "ClientError", "GoogleAPICallError", "GoogleAPIError"):
        assert isinstance(caught(model, 429, retry=False), getattr(exceptions, name))


def a_retry_of_google_is_kept(model: Any) -> None:
    passing = (exceptions.ServiceUnavailable, exceptions.TooManyRequests)
    predicate = retry.if_exception_type(*passing)
    quick = retry.Retry(predicate, initial=0.001, maximum=0.002, multiplier=2, timeout=60)
    assert "Hello." == asked(model, 503, 429, 503, 429, 503, 429, retry=quick).text
    assert 7 == Service.asked
    assert isinstance(caught(model, 503, 500, retry=quick), exceptions.InternalServerError)
    assert 2 == Service.asked
    assert "Hello." == asked(model, 503, retry=retry.AsyncRetry(initial=0.001)).text
    short = retry.Retry(initial=0.02, maximum=0.02, timeout=0.1)
    assert isinstance(caught(model, *[503] * 1000, retry=short), exceptions.ServiceUnavailable)
    assert Service.asked < 1000
    seen: list[Exception] = []
    counted = retry.Retry(initial=0.001, on_error=seen.append)
    asked(model, 503, 503, retry=counted)
    assert all(isinstance(error, exceptions.ServiceUnavailable) for error in seen)


def a_timeout_of_google_is_kept(model: Any) -> None:
    assert "Hello." == asked(model, timeout=timeout.TimeToDeadlineTimeout(5)).text
    assert "Hello." == asked(model, timeout=timeout.ConstantTimeout(5)).text


def their_decorator_retries_ours(model: Any) -> None:
    again = retry.Retry(initial=0.001, maximum=0.002)(lambda: model.generate_content("Hi"))
    Service.statuses, Service.asked = [429] * 5, 0
    assert "Hello." == again().text


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    genai.configure(api_key="k-of-the-tests", client_options={"api_endpoint": endpoint})
    once = genai.Retry(attempts=1)
    model = genai.GenerativeModel("gemini-kite", retry=once)
    for check in (
        every_error_is_googles,
        a_retry_of_google_is_kept,
        a_timeout_of_google_is_kept,
        their_decorator_retries_ours,
    ):
        check(model)
        print(check.__name__)
    server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
