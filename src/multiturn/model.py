"""A model to talk to: where it is, and how it is asked unless a call says otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from multiturn.backends import is_backend
from multiturn.config import GenerationConfigLike, merged_config
from multiturn.errors import InvalidContent, safe_repr
from multiturn.exchange import Exchange
from multiturn.history import Path, empty_path
from multiturn.messages.candidate import CountTokensResponse
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.open_turn import by_a_thread
from multiturn.request import Overrides, Request
from multiturn.response import GenerateContentResponse
from multiturn.to_content import ROLES, ContentLike, ContentsLike, to_content, to_contents
from multiturn.turn import answer

if TYPE_CHECKING:
    from multiturn.async_response import AsyncGenerateContentResponse
    from multiturn.attempts import Attempts
    from multiturn.backends import Backend
    from multiturn.caching import CachedContent
    from multiturn.chat import ChatSession
    from multiturn.gate import Busy
    from multiturn.open_turn import Unfinished
    from multiturn.options import RequestOptionsLike
    from multiturn.retry import Retry, RetryRule
    from multiturn.safety import SafetySettingsLike
    from multiturn.stores.protocol import Store
    from multiturn.tools.calling import CallingOptions
    from multiturn.tools.function_library import FunctionLibrary


class GenerativeModel:
    """A language model with its defaults; may be shared by threads and tasks.

    Nothing is loaded, and nothing is sent, before the first question.

    Args:
        model_name: None is the small model embedded in this process.  A name of
            ``multiturn models``, or the path of a GGUF file, is embedded too;
            ``provider/model`` is asked of that provider.  Of a list, the first that can
            answer does.
        safety_settings: Thresholds of harm; what a call gives is merged over them.
        generation_config: How answers are made; what a call gives is merged over it.
        tools: What the model may call.
        tool_config: How it may call.
        system_instruction: What the model is told before everything else.
        backend: Who is asked; None finds it by the model's name.
        retry: When a request that failed is made again; False is never.
        request_options: Time limit and retries of every call, and how the server is
            reached; what a chat or a call gives is put over it.
        api_key: Short for ``request_options={"api_key": …}``; never shown or pickled.

    Raises:
        UsageError: An argument has no known form; the message names it.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str] | Sequence[str] | None = None,
        safety_settings: SafetySettingsLike = None,
        generation_config: GenerationConfigLike = None,
        tools: Any = None,
        tool_config: Any = None,
        system_instruction: ContentLike | None = None,
        *,
        backend: Backend | None = None,
        retry: Retry | Literal[False] | None = None,
        request_options: RequestOptionsLike = None,
        api_key: str | None = None,
    ) -> None:
        from multiturn.options import rule_of

        if api_key is not None:
            request_options = {**(request_options or {}), "api_key": api_key}
        if isinstance(model_name, os.PathLike):
            model_name = os.fspath(model_name)
        if model_name is not None and not isinstance(model_name, str):
            if not isinstance(model_name, Sequence) or isinstance(model_name, bytes):
                raise InvalidContent("model_name", model_name, "a name, a list of names, or None")
            from multiturn.fallback import fallback_for

            backend, model_name = fallback_for(model_name, backend)
        elif model_name is not None and (backend is None or not model_name):
            from multiturn.backends.registry import require_known

            require_known(model_name)
        if backend is not None and not is_backend(backend):
            raise InvalidContent("backend", backend, "a backend, as EmbeddedBackend(), or None")
        self._name = model_name
        self._backend = backend
        self._found: tuple[Backend, str] | None = None
        defaults = Overrides(request_options=request_options)
        self._retry = defaults.retry(rule_of("retry", retry))
        self._timeout_seconds, self._access = defaults.timeout_seconds, defaults.access({})
        self._safety_settings = Overrides(safety_settings=safety_settings).safety(())
        self._generation_config = merged_config(generation_config)
        self._cached_content: str | None = None
        self._tools = list(tools) if isinstance(tools, Iterator) else tools
        self._library: FunctionLibrary | None = None
        self._tool_objects: tuple[Object, ...] = ()
        self._tool_config: Object | None = None
        if tools is not None or tool_config is not None:
            from multiturn.tools.accepted import tool_config_object, tool_objects
            from multiturn.tools.function_library import to_function_library

            self._library = to_function_library(self._tools)
            self._tool_objects = tool_objects(self._library)
            self._tool_config = tool_config_object(tool_config)
        self._system_instruction = (
            to_content(
                system_instruction, path="$.system_instruction", roles=(*ROLES, "system")
            ).frozen()
            if system_instruction
            else None
        )

    @classmethod
    def from_cached_content(
        cls,
        cached_content: str | CachedContent,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
    ) -> Self:
        """Return a model whose requests begin with what the server keeps.

        Args:
            cached_content: From ``multiturn.caching``, or its name, which is looked up.
            generation_config: How answers are made.
            safety_settings: Thresholds of harm.
        """
        if isinstance(cached_content, str):
            from multiturn.caching import CachedContent

            cached_content = CachedContent.get(cached_content)
        if not hasattr(cached_content, "model"):
            raise InvalidContent("cached_content", cached_content, "a CachedContent, or its name")
        model = cls(
            cached_content.model,
            generation_config=generation_config,
            safety_settings=safety_settings,
        )
        model._cached_content = cached_content.name
        return model

    @property
    def cached_content(self) -> str | None:
        """Name of the beginning of prompts that the server keeps, None without one."""
        return self._cached_content

    @property
    def model_name(self) -> str:
        """The model's name as its backend knows it."""
        return self._resolved()[1]

    @property
    def backend(self) -> Backend:
        """Who is asked."""
        return self._resolved()[0]

    @property
    def system_instruction(self) -> Content | None:
        """What the model is told before everything else; frozen."""
        return self._system_instruction

    def _resolved(self) -> tuple[Backend, str]:
        if self._backend is not None:
            default = getattr(self._backend, "default_model", self._backend.name)
            return self._backend, self._name or default
        if self._found is not None:
            return self._found
        from multiturn.backends.registry import backend_for

        found = backend_for(self._name)
        if self._name is not None:  # without a name, the environment may name another next time
            self._found = found
        return found

    def __getstate__(self) -> Object:
        return {**self.__dict__, "_found": None}

    def request(self, contents: Path, overrides: Overrides, *, stream: bool = False) -> Request:
        """Return what a backend is asked; a call's overrides are merged over the model's own."""
        config = self._generation_config
        if overrides.generation_config is not None:
            config = {**config, **merged_config(overrides.generation_config)}
        tools, tool_config = self._tool_objects, self._tool_config
        if overrides.tools is not None or overrides.tool_config is not None:
            from multiturn.tools.accepted import tool_config_object, tool_objects

            tools = tools if overrides.tools is None else tool_objects(overrides.tools)
            tool_config = tool_config_object(overrides.tool_config) or tool_config
        return Request(  # in the order of its members: by name takes twice the time
            self.model_name,
            contents,
            self._system_instruction,
            config,
            overrides.safety(self._safety_settings),
            tools,
            tool_config,
            overrides.timeout_seconds or self._timeout_seconds,
            stream,
            {"cachedContent": self._cached_content} if self._cached_content else {},
            overrides.access(self._access),
        )

    def tools_for(self, overrides: Overrides) -> Any:
        """Return what the model may call in a call."""
        return self._library if overrides.tools is None else overrides.tools

    def retry_for(self, overrides: Overrides) -> RetryRule:
        """Return when a call's requests are made again."""
        return overrides.retry(self._retry)

    def _loose_request(
        self,
        contents: ContentsLike,
        overrides: Overrides,
        stream: bool,
        *,
        may_be_empty: bool = False,
    ) -> Request:
        listed = [c.frozen() for c in to_contents(contents, path="$.contents")]
        if not listed and not may_be_empty:
            to_content(contents, path="$.contents")  # raises and says what is expected
        return self.request(empty_path().plus(*listed), overrides, stream=stream)

    def generate_content(
        self,
        contents: ContentsLike,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
        stream: bool = False,
        tools: Any = None,
        tool_config: Any = None,
        request_options: RequestOptionsLike = None,
    ) -> GenerateContentResponse:
        """Ask once, outside any conversation.

        Args:
            contents: What is said, in any form; or a list of contents, oldest first.
            generation_config: Merged over the model's, for this call.
            safety_settings: Merged over the model's, for this call.
            stream: Give the reply as soon as its first chunk is there.
            tools: Instead of the model's, for this call.
            tool_config: Instead of the model's, for this call.
            request_options: Time limit and retries of this call.

        Raises:
            UsageError: Nothing was sent; the message names the argument.
            BackendError: The model could not be asked.  With ``stream=True`` it is
                raised from the iteration.
        """
        overrides = Overrides(
            generation_config, safety_settings, tools, tool_config, request_options
        )
        request = self._loose_request(contents, overrides, stream)
        steps = answer(request, self.retry_for(overrides))
        exchange = Exchange()
        return GenerateContentResponse.begin(
            exchange, exchange.run(steps, self.backend), stream=stream
        )

    async def generate_content_async(
        self,
        contents: ContentsLike,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
        stream: bool = False,
        tools: Any = None,
        tool_config: Any = None,
        request_options: RequestOptionsLike = None,
    ) -> AsyncGenerateContentResponse:
        """Do as ``generate_content``, without blocking the event loop."""
        from multiturn import async_response

        overrides = Overrides(
            generation_config, safety_settings, tools, tool_config, request_options
        )
        request = self._loose_request(contents, overrides, stream)
        steps = answer(request, self.retry_for(overrides))
        exchange = Exchange()
        return await async_response.AsyncGenerateContentResponse.begin(
            exchange, exchange.run_async(steps, self.backend), stream=stream
        )

    def count_tokens(
        self,
        contents: ContentsLike = None,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
        tools: Any = None,
        tool_config: Any = None,
        request_options: RequestOptionsLike = None,
    ) -> CountTokensResponse:
        """Return how many tokens a request with these contents would send.

        The system instruction and whatever else the model adds are counted too.
        """
        overrides = Overrides(
            generation_config, safety_settings, tools, tool_config, request_options
        )
        from multiturn.attempts import asked

        request = self._loose_request(contents, overrides, False, may_be_empty=True)
        backend, attempts = self.backend, self._attempts(request, overrides)
        return CountTokensResponse.view(
            asked(lambda s: backend.count_tokens(request._replace(timeout_seconds=s)), attempts)
        )

    async def count_tokens_async(
        self,
        contents: ContentsLike = None,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
        tools: Any = None,
        tool_config: Any = None,
        request_options: RequestOptionsLike = None,
    ) -> CountTokensResponse:
        """Do as ``count_tokens``, without blocking the event loop."""
        overrides = Overrides(
            generation_config, safety_settings, tools, tool_config, request_options
        )
        from multiturn.attempts import asked_async

        request = self._loose_request(contents, overrides, False, may_be_empty=True)
        backend, attempts = self.backend, self._attempts(request, overrides)
        return CountTokensResponse.view(
            await asked_async(
                lambda s: backend.count_tokens_async(request._replace(timeout_seconds=s)), attempts
            )
        )

    def _attempts(self, request: Request, overrides: Overrides) -> Attempts:
        """Return how often and how long a request outside a conversation may be made."""
        from multiturn.attempts import Attempts

        default: float | None = getattr(self.backend, "default_timeout_seconds", None)
        return Attempts(self.retry_for(overrides), request.timeout_seconds or default)

    def start_chat(
        self,
        *,
        history: Iterable[Content | Mapping[str, Any]] | ContentsLike = None,
        enable_automatic_function_calling: bool = False,
        request_options: RequestOptionsLike = None,
        session: str | None = None,
        store: Store | None = None,
        busy: Busy = "wait",
        unfinished: Unfinished = "drop",
        **calling: Unpack[CallingOptions],
    ) -> ChatSession:
        """Begin a conversation.

        Args:
            history: What was said before, oldest first; copied.
            enable_automatic_function_calling: Run the functions that the model calls.
            request_options: Of every message, over the model's and under the message's own.
            session, store: A name, and where the conversation rests; both or neither.
            busy, unfinished, **calling: As in ``ChatSession``.
        """
        from multiturn.chat import ChatSession

        return ChatSession(
            self,
            history=history,
            enable_automatic_function_calling=enable_automatic_function_calling,
            request_options=request_options,
            session=session,
            store=store,
            busy=busy,
            unfinished=unfinished,
            **calling,
        )

    start_chat_async = by_a_thread(start_chat)

    def __repr__(self) -> str:
        members = {
            "model_name": self._name or (self._backend.name if self._backend else None),
            "generation_config": self._generation_config,
            "safety_settings": list(self._safety_settings),
            "tools": self._tools,
            "system_instruction": self._system_instruction,
        }
        shown = "".join(f"\n    {name}={safe_repr(value)}," for name, value in members.items())
        return f"genai.GenerativeModel({shown}\n)"

    __str__ = __repr__
