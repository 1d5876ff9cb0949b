"""The methods of the Gemini API around conversations: one request, one answer, pages of lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from multiturn import attempts
from multiturn.access import Secret
from multiturn.attempts import Attempts
from multiturn.backends.gemini import address
from multiturn.backends.gemini.backend import Gemini, backend
from multiturn.backends.gemini.method_call import MethodCall, carried_out, carried_out_async
from multiturn.backends.wire_json import parsed
from multiturn.cancel import Cancel
from multiturn.errors import BackendError, MalformedReply, UsageError
from multiturn.http import Headers
from multiturn.messages.message import Object
from multiturn.options import RequestOptionsLike, access_of, retry_of, timeout_seconds_of
from multiturn.request import Request
from multiturn.retry import Retry

_NO_OBJECT: Object = {}


class ServiceCall(MethodCall):
    """One request to a resource, as ``GET files/abc``.

    Args:
        owner: Whose access and credentials are used.
        verb: As ``POST``.
        place: The resource, with its method if it has one.
        asked: What the URL says behind the question mark.
        content: What is sent; None sends nothing.
        options: How the server is reached.
        timeout_seconds: Time limit; None means the default.
    """

    def __init__(
        self,
        owner: Gemini,
        verb: str,
        place: str,
        asked: Mapping[str, Any],
        content: Object | bytes | None,
        options: RequestOptionsLike,
        timeout_seconds: float | None,
    ) -> None:
        request = Request(model=place, timeout_seconds=timeout_seconds, options=access_of(options))
        super().__init__(owner, request, Cancel())
        if address.is_vertex(self.server.access):
            raise UsageError(f"{place} is not offered on Vertex AI; use the Gemini API for it")
        self.verb = verb
        self._place, self._asked, self._content = place, asked, content

    def url(self) -> str:
        asked = {name: value for name, value in self._asked.items() if value is not None}
        query = f"?{urlencode(asked)}" if asked else ""
        return f"{address.root(self.server.access)}/{quote(self._place, safe='/:@')}{query}"

    def body(self) -> bytes:
        if isinstance(self._content, bytes):
            return self._content
        return b"" if self._content is None else json.dumps(self._content).encode()


class UploadCall(ServiceCall):
    """One step of an upload, which is told and answered in headers.

    Args:
        target: Where the server said that the bytes go; None begins an upload.
        said: Headers of this step.
    """

    def __init__(
        self,
        owner: Gemini,
        target: str | None,
        said: Headers,
        content: Object | bytes | None,
        options: RequestOptionsLike,
        timeout_seconds: float | None,
    ) -> None:
        super().__init__(owner, "POST", "files", {}, content, options, timeout_seconds)
        self._target, self._said = target, said
        self._answered = bytearray()

    def url(self) -> str:
        return self._target or f"{address.upload_root(self.server.access)}/files"

    def headers(self, token: Secret | None) -> Headers:
        headers = super().headers(token)
        if self._target is not None:
            # The place is the permission; a key never goes where an answer points.
            headers = tuple(pair for pair in headers if not isinstance(pair[1], Secret))
        return (*headers, *self._said)

    def chunks(self, event: Any) -> Iterable[Object]:
        if isinstance(event, bytes) and self.head is not None and self.head.status == 200:
            self._answered += event
            return []
        return super().chunks(event)

    def end(self) -> Iterable[Object]:
        if self.head is None or self.head.status != 200:
            return super().end()
        answered = bytes(self._answered)
        return [parsed(answered)] if answered.strip() else [_NO_OBJECT]


def ask(
    verb: str,
    place: str,
    *,
    asked: Mapping[str, Any] = _NO_OBJECT,
    content: Object | None = None,
    options: RequestOptionsLike = None,
) -> Object:
    """Ask a resource, and return what it answers.

    Raises:
        BackendError: It could not be asked, or refused.
    """

    def once(seconds: float | None) -> Object:
        call = ServiceCall(backend(), verb, place, asked, content, options, seconds)
        return _only(list(carried_out(call)))

    try:
        return attempts.asked(once, attempts_for(options))
    except BackendError as error:
        # A try whose answer was lost on the way may have deleted it.
        if verb == "DELETE" and error.attempts > 1 and getattr(error, "code", None) == 404:
            return {}
        raise


async def ask_async(
    verb: str,
    place: str,
    *,
    asked: Mapping[str, Any] = _NO_OBJECT,
    content: Object | None = None,
    options: RequestOptionsLike = None,
) -> Object:
    """The same without blocking the event loop."""

    async def once(seconds: float | None) -> Object:
        call = ServiceCall(backend(), verb, place, asked, content, options, seconds)
        return _only([chunk async for chunk in carried_out_async(call)])

    return await attempts.asked_async(once, attempts_for(options))


def attempts_for(options: RequestOptionsLike) -> Attempts:
    """Return how often and how long something may be asked with these options."""
    seconds = timeout_seconds_of(options) or Gemini.default_timeout_seconds
    return Attempts(retry_of(options, Retry()), seconds)


def listed(
    place: str, member: str, *, page_size: int | None, options: RequestOptionsLike = None
) -> Iterator[Object]:
    """Give what a list holds, asking for its pages as they are needed.

    Args:
        place: The list, as ``files``.
        member: Name of the member that holds a page's items.
        page_size: Items of a page at most; None leaves it to the server.
    """
    token: str | None = None
    while True:
        page = ask("GET", place, asked={"pageSize": page_size, "pageToken": token}, options=options)
        items = page.get(member) or []
        if not isinstance(items, list):
            raise MalformedReply(f"the server sent a page whose {member} are no list", page)
        yield from items
        last, token = token, page.get("nextPageToken") or None
        if token is None:
            return
        if token == last:
            raise MalformedReply("the server names the same page twice", page)


def upload_step(
    target: str | None,
    said: Headers,
    content: Object | bytes | None,
    options: RequestOptionsLike = None,
    timeout_seconds: float | None = None,
) -> tuple[dict[str, str], Object]:
    """Carry out one step of an upload, once; return the headers and the object of its answer."""
    call = UploadCall(backend(), target, said, content, options, timeout_seconds)
    answered = _only(list(carried_out(call)))
    assert call.head is not None
    return call.head.headers, answered


def _only(chunks: list[Object]) -> Object:
    if len(chunks) != 1:
        raise MalformedReply("the server answered with something else than one object", chunks)
    return chunks[0]
