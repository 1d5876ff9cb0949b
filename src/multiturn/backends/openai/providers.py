"""Servers of the OpenAI protocol that have a name: where they are, and whose key they want.

Addresses are those of the providers' own documentation; for programs on this machine they
are the defaults of the program.  ``<NAME>_BASE_URL`` of the environment wins over them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple


class Provider(NamedTuple):
    """A named server.

    Attributes:
        base_url: Up to and without ``/chat/completions``.
        wants_key: Whether it answers only to those who have a key.
    """

    base_url: str
    wants_key: bool = True


PROVIDERS: dict[str, Provider] = {
    "cerebras": Provider("https://api.cerebras.ai/v1"),
    "deepseek": Provider("https://api.deepseek.com/v1"),
    "fireworks": Provider("https://api.fireworks.ai/inference/v1"),
    "groq": Provider("https://api.groq.com/openai/v1"),
    "litellm": Provider("http://localhost:4000/v1", wants_key=False),
    "llamacpp": Provider("http://localhost:8080/v1", wants_key=False),
    "lmstudio": Provider("http://localhost:1234/v1", wants_key=False),
    "mistral": Provider("https://api.mistral.ai/v1"),
    "moonshot": Provider("https://api.moonshot.ai/v1"),
    "ollama": Provider("http://localhost:11434/v1", wants_key=False),
    "openai": Provider("https://api.openai.com/v1"),
    "openrouter": Provider("https://openrouter.ai/api/v1"),
    "sglang": Provider("http://localhost:30000/v1", wants_key=False),
    "together": Provider("https://api.together.xyz/v1"),
    "vllm": Provider("http://localhost:8000/v1", wants_key=False),
    "xai": Provider("https://api.x.ai/v1"),
}


def base_url_of(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return where a named server is."""
    return environment.get(f"{name.upper()}_BASE_URL") or PROVIDERS[name].base_url


def key_of(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the key that the environment has for a named server, None if none."""
    return environment.get(f"{name.upper()}_API_KEY") or None


def is_configured(name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says anything about a named server."""
    return bool(key_of(name, environment) or environment.get(f"{name.upper()}_BASE_URL"))
