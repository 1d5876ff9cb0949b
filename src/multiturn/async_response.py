"""A reply in the hands of an event loop; the properties are those of ``response.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from multiturn.errors import TurnCancelled, UsageError
from multiturn.exchange import Exchange
from multiturn.messages.candidate import GenerateContentResponse as WireResponse
from multiturn.messages.message import Object
from multiturn.response import (
    BaseGenerateContentResponse,
    GenerateContentResponse,
    chunk_response,
    ended_early,
)


class AsyncGenerateContentResponse(BaseGenerateContentResponse[AsyncIterator[Object]]):
    """A reply; iterate it with ``async for``, as often as you like."""

    __slots__ = ()

    @classmethod
    async def begin(
        cls, exchange: Exchange, source: AsyncIterator[Object], *, stream: bool
    ) -> Self:
        """Make the reply of an exchange, as in ``GenerateContentResponse``."""
        response = cls._arriving(exchange, source)
        if stream:
            try:
                await response._advance()
            except UsageError:  # nothing was sent
                raise
            except Exception:
                pass
        else:
            await response._advance(to_end=True)
            response._collapse()
        return response

    @classmethod
    async def from_aiterator(cls, iterator: AsyncIterator[WireResponse]) -> Self:
        """Wrap a reply that arrives from an iterator; the first chunk is taken at once."""
        response = cls(False, (chunk.json_object async for chunk in iterator), None)
        await response._advance()
        return response

    def __aiter__(self) -> AsyncIterator[GenerateContentResponse]:
        return _AsyncChunks(self)

    async def _advance(self, to_end: bool = False) -> bool:
        if not self._done:
            if self._exchange is not None:
                self._exchange.note_runner()
            try:
                async for chunk in self._source:  # type: ignore[union-attr]
                    self._chunks.append(chunk)
                    if not to_end:
                        return True
            except BaseException as error:
                # What was abandoned raises it too, since nothing but its loop could close it;
                # its exchange knows what ended it.
                if self._exchange is None or not isinstance(error, TurnCancelled):
                    self._finish(error)
                    raise
            self._finish(ended_early(self._exchange))
        if self._error is not None:
            raise self._error
        return False

    async def resolve(self) -> None:
        """Take in the rest of the reply."""
        await self._advance(to_end=True)


class _AsyncChunks:
    """A reader of a reply; dropping it before the end abandons the reply."""

    __slots__ = ("_position", "_response")

    def __init__(self, response: AsyncGenerateContentResponse) -> None:
        self._position = 0
        response._readers += 1
        self._response = response  # last: what was interrupted before is no reader

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> GenerateContentResponse:
        response = self._response
        if self._position >= len(response._chunks) and not await response._advance():
            raise StopAsyncIteration
        chunk = response._chunks[self._position]
        self._position += 1
        return chunk_response(chunk)

    def __del__(self) -> None:
        if hasattr(self, "_response"):
            self._response._left()
