"""The embedded backend: a model that runs in this process, with no key and no server."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any, Literal, NamedTuple, TypeAlias

from multiturn import weights
from multiturn.backends.embedded_chunks import chunks_for
from multiturn.backends.embedded_deadline import Deadline
from multiturn.backends.gbnf import one_of
from multiturn.backends.openai_parts import note
from multiturn.backends.tool_grammar import (
    call_text,
    declarations_of,
    instruction,
    is_reply_only,
    result_text,
    schema_for,
)
from multiturn.cancel import Cancel
from multiturn.engine import Engine, Message, Sampling, open_engine
from multiturn.engine.protocol import Role
from multiturn.errors import InvalidContent, UsageError
from multiturn.messages.content import Content
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
Unsendable: TypeAlias = Literal["raise", "note"]


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


class EmbeddedBackend:
    """Answers with weights on this machine; each file is loaded once per process.

    May be shared by threads, tasks and event loops.  Takes the arguments of Options.
    """

    name = "embedded"

    def __init__(
        self,
        *,
        context_tokens: int | None = None,
        slots: int = 4,
        threads: int | None = None,
        chat_template: str | None = None,
        unsendable: Unsendable = "raise",
    ) -> None:
        if unsendable not in ("raise", "note"):
            raise InvalidContent("$.unsendable", unsendable, '"raise" or "note"')
        self.options = Options(context_tokens, slots, threads, chat_template, unsendable)
        self._engines: dict[str, Engine] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_options, (self.options,)

    def __repr__(self) -> str:
        return f"EmbeddedBackend{tuple(self.options)!r}"

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
        messages = messages_of(request, self.options.unsendable)
        sampling = sampling_of(request)
        chunks = chunks_for(request)
        engine = self.engine(request.model)
        with closing(Deadline(request.timeout_seconds, cancel)) as deadline:
            pieces = engine.stream(messages, sampling, cancel=deadline.cancel)
            try:
                for piece in pieces:
                    deadline.require_end(piece)
                    yield from chunks.of(piece)
            finally:
                pieces.close()  # type: ignore[attr-defined]

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        """Answer without blocking the event loop."""
        messages = messages_of(request, self.options.unsendable)
        sampling = sampling_of(request)
        chunks = chunks_for(request)
        engine = await self._engine_async(request.model)
        with closing(Deadline(request.timeout_seconds, cancel)) as deadline:
            pieces = engine.stream_async(messages, sampling, cancel=deadline.cancel)
            try:
                async for piece in pieces:
                    deadline.require_end(piece)
                    for chunk in chunks.of(piece):
                        yield chunk
            finally:
                await pieces.aclose()  # type: ignore[attr-defined]

    async def _engine_async(self, model: str) -> Engine:
        if model in self._engines:
            return self._engines[model]
        import asyncio

        return await asyncio.to_thread(self.engine, model)

    def count_tokens(self, request: Request) -> Object:
        """Return the exact size of the prompt that the request becomes."""
        messages = messages_of(request, self.options.unsendable)
        if not messages:
            raise InvalidContent("$.contents", [], "something to count: a message, or a list")
        return {"totalTokens": self.engine(request.model).count(messages)}

    async def count_tokens_async(self, request: Request) -> Object:
        """Do the same without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.count_tokens, request)


_shared = EmbeddedBackend()


def backend() -> EmbeddedBackend:
    """Return the backend that models share unless they are given their own."""
    return _shared


def _with_options(options: Options) -> EmbeddedBackend:
    return _shared if options == _shared.options else EmbeddedBackend(**options._asdict())


def messages_of(request: Request, unsendable: Unsendable = "raise") -> list[Message]:
    """Return a conversation as the engine takes it, oldest first.

    Args:
        request: What is asked.
        unsendable: As in Options.

    Raises:
        InvalidContent: A part is not text; the path names it.
    """
    messages: list[Message] = []
    told: list[str] = []
    if request.system_instruction is not None:
        told.append(_text(request.system_instruction, "$.system_instruction", unsendable))
    if schema_for(request) is not None:
        told.append(instruction(declarations_of(request.tools)))
    if told:
        messages.append(("system", "\n\n".join(told)))
    for i, content in enumerate(request.contents):
        role: Role = "assistant" if content.role == "model" else "user"
        messages.append((role, _text(content, f"$.contents[{i}]", unsendable)))
    return messages


def _text(content: Content, path: str, unsendable: Unsendable) -> str:
    """Join the text of a content; thoughts are not said again."""
    texts: list[str] = []
    for i, part in enumerate(content.json_object.get("parts") or ()):
        if part.get("thought"):
            continue
        if "text" in part:
            texts.append(part["text"])
        elif "functionCall" in part:
            texts.append(call_text(part["functionCall"]))
        elif "functionResponse" in part:
            texts.append(result_text(part["functionResponse"]))
        else:
            texts.append(_text_of_blob(part, f"{path}.parts[{i}]", unsendable))
    return "".join(texts)


def _text_of_blob(part: Object, path: str, unsendable: Unsendable) -> str:
    blob = part.get("inlineData") or {}
    if not str(blob.get("mimeType", "")).startswith("text/"):
        if unsendable == "note":
            return note(part)
        raise InvalidContent(path, part, "text: the embedded model reads nothing else")
    data = Content.view({"parts": [part]}).parts[0].inline_data.data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidContent(path, data, f"text in UTF-8 ({error})") from None


def sampling_of(request: Request) -> Sampling:
    """Return how tokens are chosen, from the request's generation config.

    Raises:
        UsageError: Something is asked for that the embedded engine cannot do.
    """
    config = {**_DEFAULTS.get(request.model.lower(), {}), **request.generation_config}
    for name in config:
        if name not in _KNOWN:
            raise UsageError(f"the embedded model does not know generation_config.{name}")
    if (config.get("candidateCount") or 1) > 1:
        raise UsageError("the embedded model gives one answer; leave candidate_count at 1")
    schema, grammar = _shape(config)
    answer = schema_for(request)
    if answer is not None:
        if schema is not None or grammar:
            raise UsageError(
                "the embedded model cannot keep to a response_schema and call functions in one "
                "turn; leave out one of them"
            )
        schema = answer
    # Repeating is what JSON is made of, but for the one text of a reply.
    is_text = grammar is None and (schema is None or (answer is not None and is_reply_only(answer)))
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
