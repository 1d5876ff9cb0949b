"""The embedded backend: a model that runs in this process, with no key and no server."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from multiturn import checks, weights
from multiturn.backends.embedded.chunks import TextChunks, chunks_for
from multiturn.backends.embedded.deadline import Deadline
from multiturn.backends.embedded.gbnf import one_of
from multiturn.backends.embedded.messages import Unsendable, has_functions, messages_of, tools_of
from multiturn.backends.embedded.tool_grammar import is_reply_only, schema_for
from multiturn.cancel import Cancel
from multiturn.config import python_name
from multiturn.engine import Engine, Message, Sampling, Tools, open_engine
from multiturn.errors import InvalidContent, UsageError
from multiturn.messages.message import Object
from multiturn.request import Request
from multiturn.schema import for_dialect

# What the smallest model needs to stay on its feet: it answers best when it takes the
# likeliest token, loops without the penalty on repeated phrases, and rambles without a
# limit.  Measured on ten short conversations; a call's own values win.
_DEFAULTS: dict[str, Object] = {
    "smollm2": {"temperature": 0.0, "maxOutputTokens": 256, "dry": 0.8},
}
_KNOWN = {
    "candidateCount", "dry", "frequencyPenalty", "maxOutputTokens", "presencePenalty",
    "responseJsonSchema", "responseMimeType", "responseSchema", "seed", "stopSequences",
    "temperature", "topK", "topP",
}  # fmt: skip
_SEEDS = 2**32 - 1
# What the shortest message and the shortest answer take, within the marks of a template.
_LEAST_TOKENS = 16


class Options(NamedTuple):
    """How models are loaded and told; None leaves a choice to the engine.

    Attributes:
        context_tokens: Window that a conversation and its answer share; None is the
            model's own, at most 4096.
        slots: Answers that are generated at once; more wait.
        threads: Threads that compute; None is the number of physical cores.
        chat_template: Jinja source instead of the template in the weights.
        unsendable: What becomes of a part that is not text: "raise" InvalidContent, or
            a "note" in words in its place.
    """

    context_tokens: int | None = None
    slots: int = 4
    threads: int | None = None
    chat_template: str | None = None
    unsendable: Unsendable = "raise"


class _Asked(NamedTuple):
    """A request in the engine's words, and what makes chunks of its pieces."""

    engine: Engine
    messages: list[Message]
    sampling: Sampling
    tools: Tools | None
    chunks: TextChunks


class EmbeddedBackend:
    """Answers with weights on this machine; each file is loaded once per process.

    May be shared by threads, tasks and event loops.  Takes the arguments of Options.
    """

    name = "embedded"
    default_model = weights.DEFAULT_MODEL

    def __init__(
        self,
        *,
        context_tokens: int | None = None,
        slots: int = 4,
        threads: int | None = None,
        chat_template: str | None = None,
        unsendable: Unsendable = "raise",
    ) -> None:
        checks.whole("context_tokens", context_tokens, _LEAST_TOKENS, or_none=True)
        checks.whole("slots", slots)
        checks.whole("threads", threads, or_none=True)
        checks.one_of("unsendable", unsendable, ("raise", "note"))
        if chat_template is not None and not isinstance(chat_template, str):
            raise InvalidContent("chat_template", chat_template, "Jinja source, or None")
        self.options = Options(context_tokens, slots, threads, chat_template, unsendable)
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_options, (self.options,)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options._asdict().items())
        return f"EmbeddedBackend({options})"

    def engine(self, model: str) -> Engine:
        """Return the engine of a model; fetches its weights if they are not here.

        Args:
            model: As for ``multiturn.weights.locate``.

        Raises:
            UnknownName, WeightsMissing, WeightsBroken, DownloadFailed: As there.
        """
        with self._lock:
            if model not in self._engines:
                path = weights.locate(model)
                options = self.options._asdict()
                del options["unsendable"]
                unknown = model.lower() not in weights.MODELS
                self._engines[model] = open_engine(path, **options, check_tensors=unknown)
            return self._engines[model]

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        """Answer; stops within one token when closed or cancelled."""
        asked = self._asked(request)
        with closing(Deadline(request.timeout_seconds, cancel)) as deadline:
            pieces = asked.engine.stream(
                asked.messages, asked.sampling, tools=asked.tools, cancel=deadline.cancel
            )
            try:
                for piece in pieces:
                    deadline.require_end(piece)
                    yield from asked.chunks.of(piece)
            finally:
                pieces.close()  # type: ignore[attr-defined]

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """Answer without blocking the event loop."""
        import asyncio

        asked = await asyncio.to_thread(self._asked, request)
        with closing(Deadline(request.timeout_seconds, cancel)) as deadline:
            pieces = asked.engine.stream_async(
                asked.messages, asked.sampling, tools=asked.tools, cancel=deadline.cancel
            )
            try:
                async for piece in pieces:
                    deadline.require_end(piece)
                    for chunk in asked.chunks.of(piece):
                        yield chunk
            finally:
                await pieces.aclose()  # type: ignore[attr-defined]

    def _asked(self, request: Request) -> _Asked:
        """Turn a request into the engine's words; fetches the weights if they are not here.

        Whether a model writes calls of its own is known once it is loaded.
        """
        tools, calls = tools_of(request), None
        if tools is not None or any(has_functions(content) for content in request.contents):
            calls = self.engine(request.model).template.calls
        tools = None if calls is None else tools
        messages = messages_of(request, self.options.unsendable, calls)
        sampling = sampling_of(request, tools)
        chunks = chunks_for(request, calls)
        engine = self.engine(request.model)
        if request.timeout_seconds is not None:
            _load(engine)
        return _Asked(engine, messages, sampling, tools, chunks)

    def count_tokens(self, request: Request) -> Object:
        """Return the exact size of the prompt that the request becomes."""
        asked = self._asked(request)
        if not asked.messages:
            raise InvalidContent("$.contents", [], "something to count: a message, or a list")
        return {"totalTokens": asked.engine.count(asked.messages, asked.tools)}

    async def count_tokens_async(self, request: Request) -> Object:
        """Do the same without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.count_tokens, request)


_shared = EmbeddedBackend()


def backend() -> EmbeddedBackend:
    """Return the backend that models share unless they are given their own."""
    return _shared


def _load(engine: Engine) -> None:
    """Have the weights in memory: no time limit counts how long that takes."""
    _ = engine.template


def _with_options(options: Options) -> EmbeddedBackend:
    return _shared if options == _shared.options else EmbeddedBackend(**options._asdict())


def sampling_of(request: Request, tools: Tools | None = None) -> Sampling:
    """Return how tokens are chosen, from the request's generation config.

    Args:
        request: What is asked.
        tools: Functions for a model that writes calls of its own; None for one that a
            grammar makes write them.

    Raises:
        UsageError: Something is asked for that the embedded engine cannot do.
    """
    config = {**_DEFAULTS.get(request.model.lower(), {}), **request.generation_config}
    for name in config:
        if name not in _KNOWN:
            raise UsageError(
                f"the embedded model does not know generation_config.{python_name(name)}"
            )
    if (config.get("candidateCount") or 1) > 1:
        raise UsageError("the embedded model gives one answer; leave candidate_count at 1")
    schema, grammar = _shape(config)
    answer = schema_for(request)
    if answer is not None and (schema is not None or grammar):
        raise UsageError(
            "the embedded model cannot keep to a response_schema and call functions in one "
            "turn; leave out one of them"
        )
    # Repeating is what JSON is made of, but for the text of a reply.
    is_text = schema is None and grammar is None
    if tools is not None:
        is_text = not tools.forced
    elif answer is not None:
        schema, is_text = answer, is_reply_only(answer)
    seed = config.get("seed")
    return Sampling(
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        top_k=config.get("topK"),
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        seed=None if seed is None else seed % _SEEDS,
        presence_penalty=config.get("presencePenalty"),
        frequency_penalty=config.get("frequencyPenalty"),
        dry_multiplier=config.get("dry") if is_text else None,
        json_schema=schema,
        grammar=grammar,
    )


def _shape(config: Object) -> tuple[Object | None, str | None]:
    """Return the JSON Schema, or the grammar, that the answer must keep to."""
    kind = config.get("responseMimeType") or "text/plain"
    given = config.get("responseJsonSchema", config.get("responseSchema"))
    schema = None if given is None else for_dialect(given, "grammar")
    if kind == "text/x.enum":
        choices = (schema or {}).get("enum")
        if not choices:
            raise UsageError("text/x.enum needs a response_schema with an enum of strings")
        return None, one_of(choices)
    if kind == "application/json":
        return schema if schema is not None else {}, None
    if kind != "text/plain":
        raise UsageError(
            f"the embedded model cannot answer as {kind!r}; "
            "response_mime_type is text/plain, application/json or text/x.enum"
        )
    return schema, None
