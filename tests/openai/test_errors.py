"""What servers say when they cannot answer becomes one tree of errors, with their hints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from multiturn.backends.openai.errors import error_from, is_refused_prompt
from multiturn.errors import ContextTooLong, StatusError


def error(code: int, body: Any = b"", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from(code, {name.replace("_", "-"): v for name, v in headers.items()}, raw)


OPENAI_QUOTA = {
    "error": {
        "message": "You exceeded your current quota, please check your plan.",
        "type": "insufficient_quota", "param": None, "code": "insufficient_quota",
    }
}  # fmt: skip
OPENAI_RATE = {
    "error": {
        "message": "Rate limit reached for gpt-5 on tokens per min. Please try again in 1m2.5s.",
        "type": "tokens", "param": None, "code": "rate_limit_exceeded",
    }
}  # fmt: skip


@pytest.mark.parametrize(
    ("server", "code", "body", "kind", "message", "retryable"),
    [
        ("openai", 401, {"error": {"message": "Incorrect API key provided: sk-ab***.",
         "type": "invalid_request_error", "code": "invalid_api_key"}},
         "Unauthenticated", "Incorrect API key", False),
        ("openai", 404, {"error": {"message": "The model `gpt-9` does not exist",
         "code": "model_not_found"}}, "NotFound", "gpt-9", False),
        ("openai", 429, OPENAI_QUOTA, "ResourceExhausted", "quota", False),
        ("openai", 429, OPENAI_RATE, "ResourceExhausted", "Rate limit", True),
        ("openai", 500, {"error": {"message": "The server had an error", "type": "server_error"}},
         "InternalServerError", "had an error", True),
        ("vllm", 400, {"object": "error", "message": "top_p must be in (0, 1]", "code": 400},
         "InvalidArgument", "top_p", False),
        ("vllm", 404, {"error": {"message": "The model `x` does not exist.",
         "type": "NotFoundError", "code": 404}}, "NotFound", "does not exist", False),
        ("sglang", 400, {"object": "error", "message": "bad", "type": "BadRequestError",
         "param": None, "code": 400}, "InvalidArgument", "bad", False),
        ("llamacpp", 503, {"error": {"message": "Loading model", "type": "unavailable_error",
         "code": 503}}, "ServiceUnavailable", "Loading model", True),
        ("ollama", 404, {"error": "model 'qwen3' not found"}, "NotFound", "qwen3", False),
        ("ollama", 500, {"error": {"message": "llama runner stopped", "type": "api_error"}},
         "InternalServerError", "runner", True),
        ("litellm", 400, {"error": {"message": "litellm.BadRequestError: LLM Provider NOT provided",
         "type": None, "param": None, "code": "400"}}, "InvalidArgument", "NOT provided", False),
        ("openrouter", 402, {"error": {"message": "Insufficient credits", "code": 402}},
         "ClientError", "credits", False),
        ("openrouter", 502, {"error": {"message": "Provider returned error", "code": 502,
         "metadata": {"raw": "the GPU fell off", "provider_name": "P"}}},
         "BadGateway", "the GPU fell off", True),
        ("fastapi", 422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]},
         "ClientError", "body.messages: field required", False),
        ("fastapi", 404, {"detail": "Not Found"}, "NotFound", "Not Found", False),
        ("mistral", 422, {"object": "error", "message": {"detail": [
         {"loc": ["body", "x"], "msg": "extra"}]}}, "ClientError", "body.x: extra", False),
        ("proxy", 502, b"<html><head><title>502</title></head><body>Bad  <b>Gateway</b></body>",
         "BadGateway", "502 Bad Gateway", True),
        ("proxy", 503, b"", "ServiceUnavailable", "no reason", True),
        ("proxy", 529, b"overloaded", "ServerError", "overloaded", True),
        ("proxy", 301, b"", "MovedPermanently", "base_url", False),
        ("proxy", 400, b"[[[[", "InvalidArgument", "[[[[", False),
        ("proxy", 400, b"\xff\xfe", "InvalidArgument", "", False),
        ("proxy", 500, b'"just text"', "InternalServerError", "just text", True),
    ],
)  # fmt: skip
def test_an_error_is_read(
    server: str, code: int, body: Any, kind: str, message: str, retryable: bool
) -> None:
    found = error(code, body)
    assert kind == type(found).__name__
    assert isinstance(found, StatusError)
    assert code == found.code
    assert message in found.message
    assert retryable == found.retryable


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry_after": "7"}, b"", 7.0),
        ({"retry_after_ms": "1500", "retry_after": "2"}, b"", 1.5),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, b"", 0.0),
        ({"retry_after": "soon"}, b"", None),
        ({}, OPENAI_RATE, 62.5),
        ({}, {"error": {"message": "Please try again in 20ms."}}, 0.02),
        ({}, {"error": {"message": "Please try again in 6m0s."}}, 360.0),
        ({}, {"error": {"message": "try again in a while"}}, None),
    ],
)
def test_the_server_s_hint_for_a_pause_is_kept(headers: Any, body: Any, seconds: Any) -> None:
    assert seconds == error(429, body, **headers).retry_after_seconds


def test_the_server_s_word_on_trying_again_is_followed() -> None:
    assert error(400, x_should_retry="true").retryable
    assert not error(500, x_should_retry="false").retryable


def test_the_request_s_name_and_the_server_s_code_are_kept() -> None:
    found = error(429, OPENAI_RATE, x_request_id="req_1")
    assert "req_1" == found.request_id
    assert "rate_limit_exceeded" == found.status
    assert OPENAI_RATE["error"]["message"] == found.details[0]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 400, "message": "the request exceeds the available context size",
         "type": "exceed_context_size_error", "n_prompt_tokens": 5000, "n_ctx": 4096}},
        {"error": {"message": "This model's maximum context length is 4096 tokens. However, your "
         "messages resulted in 5000 tokens. Please reduce the length of the messages.",
         "type": "invalid_request_error", "code": "context_length_exceeded"}},
        {"object": "error", "code": 400, "message": "This model's maximum context length is 4096 "
         "tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the "
         "completion). Please reduce the length."},
        {"error": {"message": "This model's maximum context length is 4,096 tokens. However, your "
         "request has 5,000 input tokens. Please reduce the length of the input messages."}},
    ],
)  # fmt: skip
def test_a_conversation_that_is_too_long_is_an_error_of_its_own(body: Any) -> None:
    found = error(400, body)
    assert isinstance(found, ContextTooLong)
    assert (5000, 4096) == (found.prompt_tokens, found.context_tokens)


def test_a_prompt_that_a_filter_refuses_is_told_from_a_bad_request() -> None:
    azure = {
        "error": {
            "message": "The response was filtered due to the prompt triggering a policy.",
            "type": None, "param": "prompt", "code": "content_filter", "status": 400,
        }
    }  # fmt: skip
    assert is_refused_prompt(400, json.dumps(azure).encode())
    assert not is_refused_prompt(400, b'{"error":{"message":"content_filter is no parameter"}}')
    assert not is_refused_prompt(500, json.dumps(azure).encode())
    assert not is_refused_prompt(400, b"content_filter")
