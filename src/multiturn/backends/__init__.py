"""What can be asked: the protocol that every backend keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from multiturn.cancel import Cancel
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.request import Request


def is_backend(value: object) -> bool:
    """Whether something can be asked, at least in one of the two ways; a class cannot."""
    has_a_way = hasattr(value, "stream") or hasattr(value, "stream_async")
    return has_a_way and not isinstance(value, type)


@runtime_checkable
class Backend(Protocol):
    """Something that answers requests, shared by any number of sessions and threads.

    A chunk has the shape of the wire's GenerateContentResponse: a dict with
    ``candidates``, ``usageMetadata`` and the like.  A backend gives text as it comes,
    the finish reason with or after the last of it, and raises a ``BackendError`` if it
    cannot go on.  Chunks are handed over: a backend does not touch them again.
    """

    name: str

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Ask, and give the chunks of the answer as they arrive.

        Closing the iterator, or raising ``cancel`` from any thread, ends the work at
        once; after ``cancel`` the iterator may just end.
        """
        ...

    def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """The same without ever blocking the event loop."""
        ...

    def count_tokens(self, request: Request) -> Object:
        """Return what the wire's CountTokensResponse holds, ``totalTokens`` at least."""
        ...

    async def count_tokens_async(self, request: Request) -> Object:
        """The same without ever blocking the event loop."""
        ...
