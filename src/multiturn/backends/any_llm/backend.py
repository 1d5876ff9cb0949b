"""The rest of the world as a backend: providers that the any-llm package speaks to.

The request is what ``openai/request.py`` writes, the answer goes through ``openai/reply.py``;
any-llm turns both into a provider's own and back.  It is imported when first asked.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from multiturn.access import Access
from multiturn.backends.any_llm.errors import is_refused, translated
from multiturn.backends.openai.errors import error_in
from multiturn.backends.openai.reply import ReplyReader
from multiturn.backends.openai.request import Style, Unsendable, body, functions_of
from multiturn.backends.redaction import redact
from multiturn.cancel import Cancel
from multiturn.checks import one_of
from multiturn.errors import BackendError, InvalidContent, UsageError
from multiturn.google_errors import MethodNotImplemented, as_google
from multiturn.http import TOTAL_SECONDS
from multiturn.messages.message import Object
from multiturn.request import Request

if TYPE_CHECKING:
    import asyncio

_OPTIONS = {"api_key": "api_key", "api_endpoint": "endpoint"}


class AnyLlmBackend:
    """Any provider of any-llm; shared by sessions, threads and event loops.

    Its models are named ``PROVIDER/MODEL``, as ``anthropic/claude-sonnet-4``.

    Args:
        api_key: None takes what any-llm takes: the provider's variable of the environment.
        base_url: None is the provider's own address.  Elsewhere a key must be given with
            it, so that no key of the environment goes there.
        unsendable: What becomes of a part that the protocol has no place for: "raise"
            InvalidContent before anything is sent, or a "note" in words in its place.
        more: Further arguments of any-llm's ``acompletion``; they win over ours.

    Raises:
        UsageError: ``base_url`` is given without a key.
    """

    name = "any"
    default_timeout_seconds = TOTAL_SECONDS

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        unsendable: Unsendable = "raise",
        more: Mapping[str, Any] | None = None,
    ) -> None:
        one_of("unsendable", unsendable, ("raise", "note"))
        if more is not None and not isinstance(more, Mapping):
            raise InvalidContent("more", more, "arguments of any-llm by name")
        self._access = Access(api_key=api_key, endpoint=base_url)
        self._style = Style(unsendable=unsendable)
        self._more = dict(more or {})
        _require_own_key(self._access)

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Ask, and give the chunks of the answer as they arrive."""
        asking = _Asking(self, request)
        arrived: queue.SimpleQueue[_Delivered] = queue.SimpleQueue()
        stop = asking.start(arrived.put)
        cancel.call(stop)
        try:
            while (delivered := arrived.get()) is not None:
                yield from asking.chunks(delivered)
        finally:
            cancel.forget(stop)
            stop()
        if not cancel.is_set():
            yield from asking.end()

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """The same without ever blocking the event loop."""
        import asyncio

        asking = _Asking(self, request)
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[_Delivered] = asyncio.Queue()

        def deliver(delivered: _Delivered) -> None:
            with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                loop.call_soon_threadsafe(arrived.put_nowait, delivered)

        stop = asking.start(deliver)
        cancel.call(stop)
        try:
            while (delivered := await arrived.get()) is not None:
                for chunk in asking.chunks(delivered):
                    yield chunk
        finally:
            cancel.forget(stop)
            stop()
        if not cancel.is_set():
            for chunk in asking.end():
                yield chunk

    def count_tokens(self, request: Request) -> Object:
        """Raise MethodNotImplemented: any-llm cannot count."""
        raise MethodNotImplemented(
            "any-llm does not count tokens; response.usage_metadata of a turn says what the "
            "provider counted then"
        )

    async def count_tokens_async(self, request: Request) -> Object:
        """The same."""
        return self.count_tokens(request)

    def access(self, options: Mapping[str, Any]) -> Access:
        """Return where and as whom a call with these request options is made."""
        for name in options:
            if name not in _OPTIONS:
                raise UsageError(f"request option {name!r} means nothing to any-llm; leave it out")
        access = Access(**{_OPTIONS[name]: value for name, value in options.items()})
        if access.endpoint is None or access.endpoint == self._access.endpoint:
            return access.over(self._access)
        _require_own_key(access)  # our key is for our own place
        return access

    def arguments(self, request: Request) -> Object:
        """Return a request as the arguments of any-llm's ``acompletion``."""
        written: Object = json.loads(b"".join(body(request, self._style)))
        return {**written, **self._more}

    def __repr__(self) -> str:
        where = self._access.endpoint
        return f"AnyLlmBackend({f'base_url={where!r}' if where else ''})"


# A piece of an answer as JSON, why there is none, or None at the end.
_Delivered = bytes | Exception | None


class _Asking:
    """One request, made on our own event loop, and what becomes of what comes back."""

    def __init__(self, backend: AnyLlmBackend, request: Request) -> None:
        self._provider, slash, model = request.model.partition("/")
        if not (self._provider and slash and model):
            raise UsageError(
                f"the model {request.model!r} names no provider of any-llm; "
                "say any/PROVIDER/MODEL, as any/anthropic/claude-sonnet-4"
            )
        self._access = backend.access(request.options)
        self._arguments = {**backend.arguments(request), "model": model}
        self._seconds = request.timeout_seconds or backend.default_timeout_seconds
        names = [str(f.get("name")) for f in functions_of(request.tools)] if request.tools else ()
        self._is_stream = request.stream
        self._reader = ReplyReader(request.stream, error_in, names)
        self._key, self._is_refused = "", False

    def start(self, deliver: Callable[[_Delivered], object]) -> Callable[[], None]:
        """Begin; return what gives it up, from any thread and any number of times."""
        import asyncio

        future = asyncio.run_coroutine_threadsafe(self._ask(deliver), _event_loop())

        def stop() -> None:
            future.cancel()
            deliver(None)

        return stop

    async def _ask(self, deliver: Callable[[_Delivered], object]) -> None:
        import asyncio

        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client().acompletion(**self._arguments)
                if self._is_stream:
                    await _forward(answer, deliver)
                else:
                    deliver(_json(answer))
        except Exception as error:
            deliver(error)
        deliver(None)

    def _client(self) -> Any:
        """Return any-llm's object for the provider."""
        try:
            from any_llm import AnyLLM  # type: ignore[import-not-found,unused-ignore]
        except ModuleNotFoundError as error:
            if error.name != "any_llm":
                raise
            raise UsageError(
                f"the model any/{self._provider}/… needs the any-llm package: "
                'pip install "multiturn[any]"'
            ) from None
        of_provider = AnyLLM.get_provider_class(self._provider)
        given, place = self._access.api_key, self._access.endpoint
        key = given.reveal() if given else _said(of_provider, "ENV_API_KEY_NAME")
        self._key = key or ""
        place = place or _said(of_provider, "ENV_API_BASE_NAME")
        return _client_for(_event_loop(), of_provider, self._provider, key, place)

    def chunks(self, delivered: bytes | Exception) -> Iterator[Object]:
        """Give the chunks that what was delivered completes; raise what it says is wrong."""
        try:
            if isinstance(delivered, bytes):
                yield from self._reader.feed(delivered)
            elif is_refused(delivered):
                self._is_refused = True
                yield {"promptFeedback": {"blockReason": "SAFETY"}}
            else:
                raise translated(delivered)
        except BackendError as error:
            raise self._signed(error) from None  # theirs hold the request, and so the key

    def end(self) -> Iterator[Object]:
        """Give the chunks that the end of the answer completes."""
        try:
            if not self._is_refused:
                yield from self._reader.end()
        except BackendError as error:
            raise self._signed(error) from None

    def _signed(self, error: BackendError) -> BackendError:
        error.backend = f"any/{self._provider}"
        redact(error, self._key)
        return as_google(error)


def _require_own_key(access: Access) -> None:
    if access.endpoint is not None and access.api_key is None:
        raise UsageError(
            f"any-llm would send the environment's key to {access.endpoint}; say which it may "
            "send, with api_key=… (any text where the server wants none)"
        )


def _said(of_provider: Any, variable: str) -> str | None:
    """Return what the environment says in a variable that any-llm has a provider's class name."""
    name = getattr(of_provider, variable, None)
    return os.environ.get(name) or None if isinstance(name, str) else None


@lru_cache(maxsize=64)
def _client_for(
    loop: asyncio.AbstractEventLoop, of_provider: Any, name: str, key: str | None, place: str | None
) -> Any:
    """Return any-llm's object for a provider, the same while all of this is the same.

    It keeps connections, which belong to the loop.  Making one takes 35 ms.
    """
    from any_llm import AnyLLM  # type: ignore[import-not-found,unused-ignore]

    more: Object = {"unified_exceptions": True}
    if of_provider.MAX_RETRIES_SUPPORT != "unsupported":
        more["max_retries"] = 0  # asking again is the turn's affair
    return AnyLLM.create(name, api_key=key, api_base=place, **more)


async def _forward(answer: Any, deliver: Callable[[_Delivered], object]) -> None:
    """Deliver a stream as events; however it ends, the provider's connection is let go."""
    try:
        async for chunk in answer:
            deliver(b"data: " + _json(chunk) + b"\n\n")
    finally:
        if hasattr(answer, "aclose"):
            await answer.aclose()


def _json(answer: Any) -> bytes:
    """Return one of any-llm's objects as the protocol writes it."""
    return bytes(answer.model_dump_json(exclude_none=True, warnings=False).encode())


@cache
def backend() -> AnyLlmBackend:
    """Return the backend of the names ``any/PROVIDER/MODEL``: keys are the environment's."""
    return AnyLlmBackend()


# -- our own event loop ----------------------------------------------------------------------

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return the loop in which any-llm works, started when it is first wanted.

    Importing a provider's package takes seconds and its connections belong to a loop: none
    of this can be in the loops of callers, which come and go.
    """
    import asyncio

    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="multiturn-any", daemon=True).start()
        return _loop


def _reset_after_fork() -> None:
    """Forget the loop in a forked child: its thread stayed in the parent."""
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
