"""One callable of the battery, how a model calls it, and what must arrive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Case:
    """One callable.

    Attributes:
        label: What is special about it.
        function: The callable; returns its arguments as a tuple or a single value.
        arguments: As a model sends them.
        expected: What the function must return when called with them.
        injected: Values that the program gives.
        refused_by: Dialects that refuse it, and a piece of the reason.
    """

    label: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    expected: Any
    injected: Mapping[str, Any] = field(default_factory=dict)
    refused_by: Mapping[str, str] = field(default_factory=dict)


def typed(value: Any) -> Any:
    """Return a value with the type of every part, since 3 equals 3.0 and True equals 1."""
    if isinstance(value, list | tuple | set | frozenset):
        parts = [typed(item) for item in value]
        return type(value).__name__, sorted(parts, key=repr) if isinstance(
            value, set | frozenset
        ) else parts
    if isinstance(value, dict):
        return type(value).__name__, {key: typed(member) for key, member in value.items()}
    return type(value).__name__, value
