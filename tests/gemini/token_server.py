"""A server of access tokens, and service accounts with keys made for these tests."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import multiturn
from gemini.wire_server import Received, WireServer, whole
from multiturn import (
    GenerativeModel,
    Retry,
)

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


def public_pem() -> bytes:
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


def vertex(service: WireServer, **access: Any) -> GenerativeModel:
    """Configure Vertex AI at the service, and return a model of it."""
    multiturn.configure(
        client_options={"api_endpoint": service.url},
        **{"project": "shop", "location": "europe-west4", **access},
    )
    return GenerativeModel("gemini-kite", retry=Retry(uniform=lambda low, high: low))


def shown(service: WireServer) -> list[str]:
    return [received.headers.get("authorization", "") for received in service.requests]
