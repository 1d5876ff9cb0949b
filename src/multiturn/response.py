"""A reply in the user's hands: chunks as they come, and the whole once they have.

The reply of an event loop, with the same properties, is in ``async_response.py``.  A
reply is not to be iterated by two threads at once; ``cancel()`` may be called from any.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Any, Generic, NoReturn, Self, TypeVar

from multiturn.errors import (
    IncompleteIterationError,
    TurnCancelled,
    UsageError,
    picklable,
)
from multiturn.exchange import Exchange
from multiturn.messages.candidate import (
    Candidate,
    PromptFeedback,
    UsageMetadata,
)
from multiturn.messages.candidate import (
    GenerateContentResponse as WireResponse,
)
from multiturn.messages.content import Content, Part
from multiturn.messages.items import Items
from multiturn.messages.message import Object
from multiturn.reply import Reply

SourceT = TypeVar("SourceT")


class BaseGenerateContentResponse(Generic[SourceT]):
    """What both kinds of reply have in common."""

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_done",
        "_error",
        "_exchange",
        "_is_chunk",
        "_readers",
        "_result",
        "_source",
        "_usages",
    )

    def __init__(
        self,
        done: bool,
        iterator: SourceT | None,
        result: WireResponse | None,
        chunks: Iterable[WireResponse] | None = None,
    ) -> None:
        if chunks is None:
            chunks = () if result is None else (result,)
        self._chunks: list[Object] = [chunk.json_object for chunk in chunks]
        self._done = done
        self._source: SourceT | None = iterator
        self._result: Object | None = result.json_object if done and result is not None else None
        self._exchange: Exchange | None = None
        self._error: BaseException | None = None
        self._is_chunk = False
        self._readers = 0
        self._usages: list[Object] | None = None

    @classmethod
    def _arriving(cls, exchange: Exchange, source: SourceT) -> Self:
        response = cls(False, source, None)
        response._exchange = exchange
        exchange.shown_as(response)
        return response

    # -- what has arrived ----------------------------------------------------------------

    def _whole(self) -> Object:
        """All that has arrived; the last round of it, if there were several."""
        if self._result is not None:
            return self._result
        if self._exchange is not None:
            return self._exchange.reply.whole()
        reply = Reply()
        for chunk in self._chunks:
            reply.add(chunk)
        return reply.whole()

    def _finish(self, error: BaseException | None) -> None:
        self._result, self._usages = self._whole(), self._told_usages()
        self._source, self._exchange = None, None
        self._done, self._error = True, error

    def _collapse(self) -> None:
        """Forget the pieces of a reply that was not asked for in pieces."""
        self._chunks = [self._whole()]

    @property
    def error(self) -> BaseException | None:
        """What ended the reply before it was whole; None while it arrives and if it is whole."""
        return self._error if self._exchange is None else self._exchange.error

    @property
    def candidates(self) -> Items[Candidate]:
        """The answers, in order of their index.

        Raises:
            IncompleteIterationError: The reply is still arriving.
        """
        if not self._done:
            raise IncompleteIterationError(
                "the reply is still arriving: iterate it to its end, or call response.resolve(), "
                "before asking for the whole of it"
            )
        return WireResponse.view(self._whole(), frozen=True).candidates

    @property
    def parts(self) -> Items[Part]:
        """The parts of the only answer; of a chunk that brings no answer, none.

        Raises:
            IncompleteIterationError: The reply is still arriving.
            ValueError: There is no answer, or more than one.
        """
        candidates = self.candidates
        if len(candidates) == 1:
            return candidates[0].content.parts
        if self._is_chunk and not candidates:
            return Content().parts
        if candidates:
            raise UsageError(
                f"the reply has {len(candidates)} candidates; "
                "read response.candidates[i].content.parts"
            )
        feedback = self.prompt_feedback
        because = f": the prompt was refused, {feedback!r}" if feedback else ""
        raise UsageError(f"the reply has no candidate{because}")

    @property
    def text(self) -> str:
        """The text of the answer, without thoughts; code and its output in fences.

        Of a chunk, its piece of the text, "" if it brings none.

        Raises:
            IncompleteIterationError: The reply is still arriving.
            ValueError: There is not one answer, or it holds what is not text.
        """
        if self._is_chunk:
            return _text_of_chunk(self._chunks[0])
        from multiturn.text_of import text_of

        return text_of(self.parts, self.candidates[0])

    @property
    def prompt_feedback(self) -> PromptFeedback:
        """Why the prompt was refused; empty if it was not."""
        return WireResponse.view(self._whole(), frozen=True).prompt_feedback

    @property
    def usage_metadata(self) -> UsageMetadata:
        """Tokens so far; of the last round, if there were several."""
        return WireResponse.view(self._whole(), frozen=True).usage_metadata

    @property
    def usage_by_round(self) -> list[UsageMetadata]:
        """Tokens of each time that the model was asked, in order."""
        return [UsageMetadata.view(usage, frozen=True) for usage in self._told_usages()]

    @property
    def usage(self) -> UsageMetadata:
        """Tokens of the whole turn: the sum of its rounds."""
        from multiturn.usage import summed

        return UsageMetadata.view(summed(self._told_usages()), frozen=True)

    def _told_usages(self) -> list[Object]:
        if self._usages is not None:
            return self._usages
        if self._exchange is not None:
            return self._exchange.usages
        usage = self._whole().get("usageMetadata")
        return [usage] if usage else []

    @property
    def model_version(self) -> str:
        """The model that answered, as it names itself."""
        return WireResponse.view(self._whole(), frozen=True).model_version

    def to_dict(self) -> Object:
        """Return what has arrived as plain Python data, enumerations as numbers."""
        return WireResponse.to_dict(WireResponse.view(self._whole()))

    def cancel(self) -> None:
        """Stop the reply, from any thread; its turn is not added to the history.

        Whoever iterates it gets TurnCancelled.  Does nothing if it has ended.
        """
        if self._exchange is not None and not self._done:
            self._exchange.cancel.set("the reply was cancelled with response.cancel()")

    def _left(self) -> None:
        """Note that a reader stopped reading; the last one to do so abandons the reply."""
        self._readers -= 1
        if self._readers == 0 and not self._done and self._exchange is not None:
            reason = "the iteration over this reply was left before its end"
            exchange = self._exchange
            exchange.abandon(reason)
            self._finish(exchange.error or TurnCancelled(reason))

    def __repr__(self) -> str:
        import json

        shown = WireResponse.to_dict(
            WireResponse.view(self._whole()),
            use_integers_for_enums=False,
            including_default_value_fields=False,
        )
        body = json.dumps(shown, indent=2, ensure_ascii=False).replace("\n", "\n    ")
        error = f"\n    error={self._error!r}," if self._error else ""
        return (
            f"{type(self).__name__}(\n    done={self._done},\n"
            f"    result=protos.GenerateContentResponse({body}),{error}\n)"
        )

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._done, self._is_chunk, self._whole(), self._chunks, picklable(self._error)
        return _restore, (type(self), *state, self._told_usages())

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @classmethod
    def from_response(cls, response: WireResponse) -> Self:
        """Wrap a reply that is whole."""
        return cls(True, None, response)


def _restore(
    response_type: type[BaseGenerateContentResponse[Any]],
    done: bool,
    is_chunk: bool,
    whole: Object,
    chunks: list[Object],
    error: BaseException | None,
    usages: list[Object] | None = None,
) -> BaseGenerateContentResponse[Any]:
    """Unpickle; a reply that was still arriving stays where it had got to."""
    response = response_type(True, None, WireResponse.view(whole))
    response._chunks, response._is_chunk = chunks, is_chunk
    response._error, response._usages = error, usages
    if not done and error is None:
        response._error = TurnCancelled("the reply was pickled before it had arrived")
    return response


def _text_of_chunk(chunk: Object) -> str:
    for candidate in chunk.get("candidates") or []:
        parts = (candidate.get("content") or {}).get("parts") or []
        if len(parts) == 1 and "text" in parts[0] and "thought" not in parts[0]:
            return parts[0]["text"] or ""
        from multiturn.text_of import text_of

        view = Candidate.view(candidate, frozen=True)
        return text_of(view.content.parts, view, lenient=True)
    return ""


def chunk_response(chunk: Object) -> GenerateContentResponse:
    """Return a piece of a reply as the reply's reader gets it."""
    response = GenerateContentResponse.__new__(GenerateContentResponse)
    response._chunks = [chunk]
    response._done = response._is_chunk = True
    response._source = response._exchange = response._error = None
    response._result = chunk
    response._readers = 0
    response._usages = None
    return response


class GenerateContentResponse(BaseGenerateContentResponse[Iterator[Object]]):
    """A reply; iterate it for its chunks, as often as you like."""

    __slots__ = ()

    @classmethod
    def begin(cls, exchange: Exchange, source: Iterator[Object], *, stream: bool) -> Self:
        """Make the reply of an exchange.

        With ``stream`` the first chunk is taken in, so that the request is on its way,
        and what went wrong is left to the iteration to raise, unless nothing was sent;
        without, the whole is.
        """
        response = cls._arriving(exchange, source)
        if stream:
            try:
                response._advance()
            except UsageError:  # nothing was sent
                raise
            except Exception:
                pass
        else:
            response._advance(to_end=True)
            response._collapse()
        return response

    @classmethod
    def from_iterator(cls, iterator: Iterable[WireResponse]) -> Self:
        """Wrap a reply that arrives from an iterator; the first chunk is taken at once."""
        response = cls(False, (chunk.json_object for chunk in iterator), None)
        response._advance()
        return response

    def __iter__(self) -> _Chunks:
        return _Chunks(self)

    def _advance(self, to_end: bool = False) -> bool:
        """Take in one more chunk, or all; return False at the end, raise what ended it early."""
        if not self._done:
            if self._exchange is not None:
                self._exchange.note_runner()
            try:
                for chunk in self._source:  # type: ignore[union-attr]
                    self._chunks.append(chunk)
                    if not to_end:
                        return True
            except BaseException as error:
                self._finish(error)
                raise
            self._finish(ended_early(self._exchange))
        if self._error is not None:
            raise self._error
        return False

    def _end(self, error: BaseException) -> None:
        """End the reply as if this error had come while it was read."""
        if isinstance(self._source, Generator) and not self._done:
            try:
                self._source.throw(error)
            except BaseException as raised:
                self._finish(raised)

    def resolve(self) -> None:
        """Take in the rest of the reply."""
        self._advance(to_end=True)


class _Chunks:
    """A reader of a reply; dropping it before the end abandons the reply."""

    __slots__ = ("_position", "_response")

    def __init__(self, response: GenerateContentResponse) -> None:
        self._position = 0
        response._readers += 1
        self._response = response  # last: what was interrupted before is no reader

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> GenerateContentResponse:
        response, position = self._response, self._position
        chunks = response._chunks
        if position >= len(chunks) and not response._advance():
            raise StopIteration
        self._position = position + 1
        return chunk_response(chunks[position])

    def throw(self, error: BaseException) -> NoReturn:
        """End the reply by an error that came between two chunks, as generators do."""
        self._response._end(error)
        raise error

    def __del__(self) -> None:
        if hasattr(self, "_response"):
            self._response._left()


def ended_early(exchange: Exchange | None) -> BaseException | None:
    """Return why an iterator ended without an answer, None if it ended with one."""
    if exchange is None or exchange.outcome == "answered":
        return None
    return exchange.error or TurnCancelled()
