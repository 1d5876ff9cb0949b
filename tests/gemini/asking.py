"""One request of a model that follows configure() and the environment, as it would be sent."""

from __future__ import annotations

import json
from typing import Any

import multiturn as genai
from gemini.canned import Canned
from gemini.wire_server import reply
from multiturn.access import Secret

NAMES = [
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_APPLICATION_CREDENTIALS",
]


def asked(**said: Any) -> Any:
    """Ask a model that follows what was said; return the request as it would be sent."""
    client = Canned(json.dumps(reply()).encode())
    genai.configure(**said, http_client=client)
    genai.GenerativeModel("gemini-x").generate_content("Hi")
    return client.requests[0]


def header(request: Any, name: str) -> str | None:
    found = [value for given, value in request.headers if given.lower() == name.lower()]
    assert len(found) <= 1
    value = found[0] if found else None
    return value.reveal() if isinstance(value, Secret) else value
