"""Several models as one: the first that can answer does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any

from multiturn.backends import Backend, is_backend
from multiturn.backends.registry import require_known
from multiturn.cancel import Cancel
from multiturn.errors import (
    BackendError,
    ConnectionFailed,
    InvalidContent,
    MissingKey,
    MultiturnError,
    StatusError,
    TimedOut,
    UsageError,
)
from multiturn.messages.message import Object
from multiturn.request import Request

# Statuses with which a server says that it is down, overloaded, or will not answer this
# account for now: 402 is an empty purse, 429 a quota.
_UNAVAILABLE = (402, 408, 429)
_FORMS = "a model's name, or a pair of a backend and the name by which it knows the model"


class FallbackBackend:
    """Asks one model after another until one begins to answer.

    The next is asked when one is down, does not answer in time, refuses for quota, or has
    no key here; not when the request is at fault, and never once content was shown.  The
    error of the last is raised, with those of the others as notes.  The reply's
    ``model_version`` says who answered.

    Args:
        models: Names, as for GenerativeModel, or pairs of a backend and the model's name
            as that backend knows it; the first is asked first.
    """

    name = "fallback"

    def __init__(self, models: Sequence[str | tuple[Backend, str]]) -> None:
        if not isinstance(models, Sequence) or isinstance(models, str | bytes):
            raise InvalidContent("models", models, "a list")
        if not models:
            raise UsageError("the list of models is empty; name at least one")
        for index, model in enumerate(models):
            if isinstance(model, str):
                require_known(model)
            elif not _is_pair(model):
                raise InvalidContent(f"models[{index}]", model, _FORMS)
        self.models = tuple(models)

    def __repr__(self) -> str:
        return f"FallbackBackend({list(self.models)!r})"

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Ask, and give the chunks of the first who answers."""
        failed: list[tuple[str, MultiturnError]] = []
        for model in self.models:
            watch = _Watch(model)
            try:
                backend, asked = watch.ask(request)
                with closing(_generator(backend.stream(asked, cancel))) as chunks:
                    for chunk in chunks:
                        yield watch.seen(chunk)
                return
            except (BackendError, MissingKey) as error:
                if watch.is_shown or cancel.is_set() or not _is_unavailable(error):
                    raise
                failed.append((watch.name, error))
        raise _last(failed)

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """The same without ever blocking the event loop."""
        failed: list[tuple[str, MultiturnError]] = []
        for model in self.models:
            watch = _Watch(model)
            try:
                backend, asked = watch.ask(request)
                stream = _async_generator(backend.stream_async(asked, cancel))
                async with aclosing(stream) as chunks:
                    async for chunk in chunks:
                        yield watch.seen(chunk)
                return
            except (BackendError, MissingKey) as error:
                if watch.is_shown or cancel.is_set() or not _is_unavailable(error):
                    raise
                failed.append((watch.name, error))
        raise _last(failed)

    def count_tokens(self, request: Request) -> Object:
        """Return what the first who can be asked counts."""
        failed: list[tuple[str, MultiturnError]] = []
        for model in self.models:
            watch = _Watch(model)
            try:
                backend, asked = watch.ask(request)
                return backend.count_tokens(asked)
            except (BackendError, MissingKey) as error:
                if not _is_unavailable(error):
                    raise
                failed.append((watch.name, error))
        raise _last(failed)

    async def count_tokens_async(self, request: Request) -> Object:
        """The same without ever blocking the event loop."""
        failed: list[tuple[str, MultiturnError]] = []
        for model in self.models:
            watch = _Watch(model)
            try:
                backend, asked = watch.ask(request)
                return await backend.count_tokens_async(asked)
            except (BackendError, MissingKey) as error:
                if not _is_unavailable(error):
                    raise
                failed.append((watch.name, error))
        raise _last(failed)


def _is_pair(model: Any) -> bool:
    is_pair = isinstance(model, tuple) and len(model) == 2
    return is_pair and is_backend(model[0]) and isinstance(model[1], str)


class _Watch:
    """One model being asked.

    Attributes:
        name: The model's, as it was given.
        is_shown: Whether content of it was shown.
    """

    def __init__(self, model: str | tuple[Backend, str]) -> None:
        self._model = model
        self.name = model if isinstance(model, str) else model[1]
        self.is_shown = False
        self._is_named = False

    def ask(self, request: Request) -> tuple[Backend, Request]:
        """Return whom to ask, and what.

        Raises:
            UsageError: A key or an address is given that would go to every server.
        """
        for option in ("api_key", "credentials", "api_endpoint"):
            if option in request.options:
                raise UsageError(
                    f"{option} of a call cannot be meant for several servers; give each model "
                    "its own backend, or set the environment's variables"
                )
        if isinstance(self._model, str):
            from multiturn.backends.registry import backend_for

            backend, name = backend_for(self._model)
        else:
            backend, name = self._model
        return backend, request._replace(model=name)

    def seen(self, chunk: Object) -> Object:
        """Take note of a chunk, and return it with a name on it."""
        if not self._is_named:
            self._is_named = True
            chunk = {"modelVersion": self.name, **chunk}
        self.is_shown = self.is_shown or any(
            (candidate.get("content") or {}).get("parts")
            for candidate in chunk.get("candidates") or ()
        )
        return chunk


def _is_unavailable(error: MultiturnError) -> bool:
    if isinstance(error, StatusError):
        code = error.code or 500
        return code in _UNAVAILABLE or code >= 500
    return isinstance(error, ConnectionFailed | TimedOut | MissingKey) or error.retryable


def _last(failed: list[tuple[str, MultiturnError]]) -> MultiturnError:
    """Return the error of the last, with what the others said."""
    error = failed[-1][1]
    for name, before in failed[:-1]:
        error.add_note(f"before it, {name!r} failed: {type(before).__name__}: {before}")
    return error


def _generator(chunks: Iterator[Object]) -> Any:
    """Return something with ``close()``: a backend may give any iterator."""
    return chunks if hasattr(chunks, "close") else (chunk for chunk in chunks)


def _async_generator(chunks: AsyncIterator[Object]) -> Any:
    return chunks if hasattr(chunks, "aclose") else (chunk async for chunk in chunks)


def fallback_for(names: Sequence[str], backend: Backend | None) -> tuple[Backend, str]:
    """Return the backend of a list of models, and the name of the first.

    Raises:
        UsageError: It is no list of names, or a backend is given beside it.
    """
    if backend is not None:
        raise UsageError(
            "several models and one backend contradict each other; "
            "FallbackBackend takes pairs of a backend and a name"
        )
    if not all(isinstance(name, str) for name in names):
        raise UsageError("a list of models holds their names, as strings")
    return FallbackBackend(names), names[0]
