"""Opens a conversation without blocking the event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def by_a_thread(start: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return what begins a conversation as ``start`` does, in a thread if it rests in a store."""

    @wraps(start)
    async def start_async(*given: P.args, **named: P.kwargs) -> T:
        if named.get("store") is None:
            return start(*given, **named)
        import asyncio

        return await asyncio.to_thread(start, *given, **named)

    name = start.__name__
    start_async.__name__ = f"{name}_async"
    start_async.__qualname__ = f"{start.__qualname__}_async"
    start_async.__doc__ = f"Do as ``{name}``, without blocking the event loop.\n\n{start.__doc__}"
    return start_async
