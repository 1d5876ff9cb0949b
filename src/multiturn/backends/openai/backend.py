"""Servers of the OpenAI protocol as a backend: asks over HTTP what the codec writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from multiturn.access import Access, secret_key
from multiturn.backends.openai.errors import error_in, is_refused_prompt
from multiturn.backends.openai.http_call import Call, carried_out, carried_out_async, has_identity
from multiturn.backends.openai.providers import PROVIDERS, base_url_of, key_of
from multiturn.backends.openai.reply import ReplyReader
from multiturn.backends.openai.request import Style, Unsendable, body, functions_of
from multiturn.backends.wire_json import parsed
from multiturn.cancel import Cancel
from multiturn.checks import one_of
from multiturn.errors import InvalidContent, MalformedReply, MissingKey, UsageError
from multiturn.google_errors import MethodNotImplemented
from multiturn.http import TOTAL_SECONDS, Body, HttpHead
from multiturn.http.route import split
from multiturn.messages.message import Object
from multiturn.request import Request

# Request options that say how the server is reached, and what Access calls them.
_ACCESS_OPTIONS = {
    "metadata": "headers",
    "api_key": "api_key",
    "api_endpoint": "endpoint",
    "http_client": "http_client",
}


class OpenAIBackend:
    """A server that speaks the OpenAI protocol; shared by sessions, threads and event loops.

    Args:
        base_url: Where it is, up to and without ``/chat/completions``; as
            ``http://gpu-host:8000/v1``.
        api_key: None takes the environment's ``<NAME>_API_KEY`` if ``base_url`` is that of
            the named server, so that no key goes elsewhere; other servers get none.
        headers: Sent with every request.
        http_client: A ``multiturn.http.HttpClient`` or a client of httpx; never closed.
        name: Shown in errors; names the environment's variables too.
        unsendable: What becomes of a part that the protocol has no place for: "raise"
            InvalidContent before anything is sent, or a "note" in words in its place.
        send_reasoning: Send thoughts of the past back, as ``reasoning_content``; some
            models want them while they call functions.
        more: Further members of every request's body; they win over ours.

    Raises:
        InvalidContent: ``base_url`` is no http address.
    """

    default_timeout_seconds = TOTAL_SECONDS

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        http_client: Any = None,
        name: str = "openai",
        unsendable: Unsendable = "raise",
        send_reasoning: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        _require_address(base_url)
        if not isinstance(name, str) or not name:
            raise InvalidContent("name", name, "what errors and variables call it, as 'openai'")
        one_of("unsendable", unsendable, ("raise", "note"))
        if more is not None and not isinstance(more, Mapping):
            raise InvalidContent("more", more, "members of a request by name")
        self.name = name
        self._access = Access(
            api_key=api_key, endpoint=base_url, headers=headers, http_client=http_client
        )
        self._unsendable: Unsendable = unsendable
        self._send_reasoning = send_reasoning
        self._more = dict(more or {})

    @property
    def base_url(self) -> str:
        """Where the server is."""
        return str(self._access.endpoint).rstrip("/")

    # -- the protocol of backends --------------------------------------------------------

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Ask, and give the chunks of the answer as they arrive."""
        return carried_out(_Answering(self, request, cancel))

    def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """The same without ever blocking the event loop."""
        return carried_out_async(_Answering(self, request, cancel))

    def count_tokens(self, request: Request) -> Object:
        """Have the server count the tokens of the whole request that would be sent.

        Raises:
            MethodNotImplemented: It cannot; llama.cpp's and vLLM's can.
        """
        for way in _COUNTING:
            counted = next(carried_out(way(self, request, Cancel())), None)
            if counted is not None:
                return counted
        raise _cannot_count(self.name)

    async def count_tokens_async(self, request: Request) -> Object:
        """The same without ever blocking the event loop."""
        for way in _COUNTING:
            counted = await anext(carried_out_async(way(self, request, Cancel())), None)
            if counted is not None:
                return counted
        raise _cannot_count(self.name)

    def list_models(self, request: Request | None = None) -> list[str]:
        """Return the names of the models that the server says it has."""
        call = _Listing(self, request or Request(timeout_seconds=10.0), Cancel())
        return [str(found["name"]) for found in carried_out(call)]

    # -- as whom -------------------------------------------------------------------------

    def access(self, options: Mapping[str, Any]) -> Access:
        """Return how the server is reached for a call with these request options."""
        access = self._access
        if options:
            for name in options:
                if name not in _ACCESS_OPTIONS:
                    raise UsageError(f"request option {name!r} means nothing to {self.name}")
            own = {_ACCESS_OPTIONS[n]: v for n, v in options.items()}
            access = Access(**own).over(access)
        known = PROVIDERS.get(self.name)
        if access.api_key is not None or known is None:
            return access
        if str(access.endpoint) not in (known.base_url, base_url_of(self.name)):
            return access
        key = key_of(self.name)
        if key is not None:
            return Access(api_key=secret_key(key, f"{self.name.upper()}_API_KEY")).over(access)
        if known.wants_key and access.endpoint == known.base_url and not has_identity(access):
            raise MissingKey(
                f"there is no API key for {self.name}: set {self.name.upper()}_API_KEY, or make "
                "the backend with OpenAIBackend(base_url, api_key=…)"
            )
        return access

    def style(self, access: Access) -> Style:
        """Return how the server wants the protocol written."""
        host = split(str(access.endpoint))[0].host
        is_openai = host == "api.openai.com" or host.endswith(".openai.azure.com")
        return Style(is_openai, self._unsendable, self._send_reasoning)

    @property
    def more(self) -> Mapping[str, Any]:
        """Further members of every request's body."""
        return self._more

    def __repr__(self) -> str:
        return f"OpenAIBackend({self.base_url!r}, name={self.name!r})"

    def __getstate__(self) -> Object:
        return dict(self.__dict__)


class _Answering(Call):
    """/chat/completions."""

    def __init__(self, backend: OpenAIBackend, request: Request, cancel: Cancel) -> None:
        super().__init__(backend, request, cancel)
        self.is_stream = request.stream
        names = [str(f.get("name")) for f in functions_of(request.tools)] if request.tools else ()
        self._reader = ReplyReader(request.stream, error_in, names)

    def url(self) -> str:
        return f"{str(self.access.endpoint).rstrip('/')}/chat/completions"

    def content(self) -> Body:
        return body(self.request, self.backend.style(self.access), self.backend.more)

    def read(self, data: bytes) -> Iterable[Object]:
        return self._reader.feed(data)

    def whole(self) -> Iterable[Object]:
        return self._reader.end()

    def refused(self, head: HttpHead) -> Iterable[Object]:
        if is_refused_prompt(head.status, bytes(self.received)):
            return ({"promptFeedback": {"blockReason": "SAFETY"}},)
        return super().refused(head)


class _Counting(Call):
    """A way of counting that some servers have; gives nothing where this one has not."""

    place = ""
    member = ""

    def url(self) -> str:
        root = str(self.access.endpoint).rstrip("/")
        return f"{root.removesuffix('/v1')}{self.place}"

    def content(self) -> Body:
        request = self.request._replace(stream=False)
        return body(request, self.backend.style(self.access), self.backend.more)

    def whole(self) -> Iterable[Object]:
        answer = parsed(bytes(self.received))
        count = answer.get(self.member) if isinstance(answer, dict) else None
        return ({"totalTokens": count},) if type(count) is int else ()

    def refused(self, head: HttpHead) -> Iterable[Object]:
        # Servers that do not know the place say so in different ways.
        return () if head.status in (400, 404, 405, 422, 501) else super().refused(head)


class _CountingAsLlamaCpp(_Counting):
    place, member = "/v1/chat/completions/input_tokens", "input_tokens"


class _CountingAsVllm(_Counting):
    place, member = "/tokenize", "count"


_COUNTING = (_CountingAsLlamaCpp, _CountingAsVllm)


def _cannot_count(name: str) -> MethodNotImplemented:
    return MethodNotImplemented(
        f"the server of {name!r} does not count tokens; response.usage_metadata of a turn says "
        "what it counted then"
    )


class _Listing(Call):
    """/models."""

    verb = "GET"

    def url(self) -> str:
        return f"{str(self.access.endpoint).rstrip('/')}/models"

    def whole(self) -> Iterable[Object]:
        answer = parsed(bytes(self.received))
        listed = answer.get("data") if isinstance(answer, dict) else answer
        if not isinstance(listed, list):
            raise MalformedReply("the server's list of models is no list", answer)
        return [{"name": m["id"]} for m in listed if isinstance(m, dict) and m.get("id")]


_named: dict[tuple[str, str], OpenAIBackend] = {}


def backend_named(name: str) -> OpenAIBackend:
    """Return the backend of a server of ``PROVIDERS``, the same one while it stays there."""
    place = (name, base_url_of(name))
    if place not in _named:
        _named[place] = OpenAIBackend(place[1], name=name)
    return _named[place]


def _require_address(base_url: object) -> None:
    """Refuse what is no address; a login in one is not shown."""
    expected = "an http:// or https:// URL"
    if not isinstance(base_url, str):
        raise InvalidContent("base_url", base_url, expected)
    if "@" in base_url:
        login = "an address with a login (not shown)"
        raise InvalidContent("base_url", login, "api_key or headers for it")
    try:
        split(base_url)
    except InvalidContent as error:
        raise InvalidContent("base_url", error.value, expected) from None
