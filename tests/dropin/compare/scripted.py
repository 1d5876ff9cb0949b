"""A Gemini service on loopback that plays a script, for the old SDK and for ours alike.

Runs in the interpreter of either, so it needs nothing but Python; over gRPC it borrows
the old SDK's own messages.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class Fault:
    """An answer that is an error."""

    def __init__(self, code: int, status: str, message: str = "No.", details: Any = ()) -> None:
        self.code, self.status, self.message = code, status, message
        self.details = list(details)

    @property
    def body(self) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message, "status": self.status}
        return {"error": {**error, "details": self.details} if self.details else error}


class Script:
    """What is answered next, and what was asked.

    An answer is an object, a Fault, or a list of these for a stream.
    """

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def play(self, *answers: Any) -> None:
        """Answer so, in this order; the last one again and again."""
        with self._lock:
            self.answers, self.asked = list(answers), []

    def answer(self, verb: str, place: str, body: Any) -> Any:
        with self._lock:
            self.asked.append({"verb": verb, "place": place, "body": body})
            if not self.answers:
                return Fault(404, "NOT_FOUND", "the script is empty")
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def _do(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        sent = self.rfile.read(length)
        asked = {n: v for n, v in parse_qsl(url.query) if n not in ("$alt", "alt", "%24alt")}
        place = url.path.partition("/v1beta/")[2]
        body = json.loads(sent) if sent else None
        if asked:
            body = {"?": asked, **(body or {})}
        answer = self.script.answer(self.command, place, body)
        if isinstance(answer, Fault):
            stream = place.endswith(":streamGenerateContent") and "alt=sse" not in url.query
            self._send(answer.code, json.dumps([answer.body] if stream else answer.body))
        elif place.endswith(":streamGenerateContent"):
            objects = [one.body if isinstance(one, Fault) else one for one in answer]
            if "alt=sse" in url.query:
                events = [f"data: {json.dumps(one)}\r\n\r\n" for one in objects]
                self._send(200, "".join(events), "text/event-stream")
            else:
                self._send(200, json.dumps(objects))
        else:
            self._send(200, json.dumps(answer))

    do_GET = do_POST = do_DELETE = do_PATCH = _do  # noqa: N815

    def _send(self, code: int, text: str, kind: str = "application/json") -> None:
        data = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


def serve_http(script: Script) -> str:
    """Serve on a free port; return the address."""
    handler = type("Handler", (_Handler,), {"script": script})
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def serve_grpc(script: Script) -> str:
    """Serve the same over gRPC; return the address."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from google.ai import generativelanguage as glm
    from google.protobuf.json_format import MessageToDict

    # Method, its messages, and where it is over HTTP; what is in braces is of the request.
    methods = {
        "GenerativeService/GenerateContent": (
            glm.GenerateContentRequest, glm.GenerateContentResponse, "{model}:generateContent"),
        "GenerativeService/StreamGenerateContent": (
            glm.GenerateContentRequest, glm.GenerateContentResponse,
            "{model}:streamGenerateContent"),
        "GenerativeService/CountTokens": (
            glm.CountTokensRequest, glm.CountTokensResponse, "{model}:countTokens"),
        "GenerativeService/EmbedContent": (
            glm.EmbedContentRequest, glm.EmbedContentResponse, "{model}:embedContent"),
        "GenerativeService/BatchEmbedContents": (
            glm.BatchEmbedContentsRequest, glm.BatchEmbedContentsResponse,
            "{model}:batchEmbedContents"),
    }  # fmt: skip

    def handler(asked_type: Any, answer_type: Any, place: str, stream: bool) -> Any:
        def answers(asked: Any, context: Any) -> Any:
            body = MessageToDict(asked_type.pb(asked))
            answer = script.answer("POST", place.format(model=asked.model), body)
            for one in answer if stream and not isinstance(answer, Fault) else [answer]:
                if isinstance(one, Fault):
                    context.abort(getattr(grpc.StatusCode, one.status), one.message)
                yield answer_type.from_json(json.dumps(one), ignore_unknown_fields=True)

        def first(asked: Any, context: Any) -> Any:
            return next(answers(asked, context))

        make = (
            grpc.unary_stream_rpc_method_handler if stream else grpc.unary_unary_rpc_method_handler
        )
        return make(
            answers if stream else first,
            request_deserializer=asked_type.deserialize,
            response_serializer=answer_type.serialize,
        )

    server = grpc.server(ThreadPoolExecutor(8))
    for name, (asked_type, answer_type, place) in methods.items():
        service, _, method = name.partition("/")
        handlers = {method: handler(asked_type, answer_type, place, method.startswith("Stream"))}
        full = f"google.ai.generativelanguage.v1beta.{service}"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(full, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    serve_grpc.server = server  # type: ignore[attr-defined]
    return f"127.0.0.1:{port}"
