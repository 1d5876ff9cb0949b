"""Telling async code from other code, and reading what it gives."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from multiturn.errors import InvalidResult

# What most functions return; asked first, since asking an abstract class is slow.
_PLAIN = frozenset({dict, list, tuple, str, int, float, bool, type(None)})


def is_async_function(function: Any) -> bool:
    """Return whether calling a function gives async code, as far as can be told before."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return True
    call = None if isinstance(function, type) else getattr(type(function), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)


def is_async_value(value: Any) -> bool:
    """Return whether a value is async code that has to be run."""
    if type(value) in _PLAIN:
        return False
    return inspect.isawaitable(value) or hasattr(type(value), "__aiter__")


async def read(value: Any, max_bytes: int) -> Any:
    """Return what async code gives: what it returns, or the list of what it yields.

    Args:
        value: Something to await or to iterate; anything else is given as it is.
        max_bytes: Size of what it may yield at most, about.

    Raises:
        InvalidResult: It yields more; an endless iterator is stopped.
    """
    if inspect.isawaitable(value):
        return await read(await value, max_bytes)
    if not hasattr(type(value), "__aiter__"):
        return value
    items: list[Any] = []
    left = max_bytes
    async with aclosing(_generator(value)) as generator:
        async for item in generator:
            left -= len(item) if isinstance(item, str | bytes | Mapping) else 1
            if left < 0:
                expected = f"a result of at most {max_bytes} bytes; return less"
                raise InvalidResult("$", _Endless(), expected)
            items.append(item)
    return items


def _generator(items: AsyncIterable[Any]) -> Any:
    return items if hasattr(items, "aclose") else (item async for item in items)


class _Endless:
    """Stands for what was not read to its end."""

    def __repr__(self) -> str:
        return "too large"


async def finished(value: Any, finish: Callable[[Any, int], Any], max_bytes: int) -> Any:
    """Return what becomes of what async code gives."""
    return finish(await read(value, max_bytes), max_bytes)
