"""Takes keys out of what a server sent back with them."""

from __future__ import annotations

from typing import Any

from multiturn.errors import BackendError

# Shorter keys are made up for servers that want none, and may be words of the language.
_SHORTEST_KEY = 12


def redact(error: BackendError, *keys: str) -> None:
    """Replace keys wherever an error holds them."""
    for key in keys:
        if len(key) >= _SHORTEST_KEY:
            error.args = tuple(_without(key, argument) for argument in error.args)
            error.__dict__.update({n: _without(key, v) for n, v in error.__dict__.items()})


def _without(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(key, "***")
    if isinstance(value, list):
        return [_without(key, member) for member in value]
    if isinstance(value, dict):
        return {_without(key, name): _without(key, member) for name, member in value.items()}
    return value
