"""What a turn cost: the tokens of its rounds, and their sum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multiturn.messages.message import Object


def summed(usages: Iterable[Object]) -> Object:
    """Return one UsageMetadata for several: counts are added, also those by modality."""
    total: Object = {}
    for usage in usages:
        for name, value in usage.items():
            total[name] = _added(total[name], value) if name in total else value
    return total


def _added(before: Any, value: Any) -> Any:
    if isinstance(before, int | float) and isinstance(value, int | float):
        return before + value
    if isinstance(before, list) and isinstance(value, list):
        by_modality: dict[Any, Object] = {}
        for counted in (*before, *value):
            known = by_modality.setdefault(counted.get("modality"), {})
            for name, member in counted.items():
                known[name] = _added(known[name], member) if name in known else member
        return list(by_modality.values())
    return value
