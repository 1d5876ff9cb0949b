"""What a backend is asked: the conversation and how to answer it, as plain data.

And what one call says instead of its model, from which the answer to "how" is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from multiturn.checks import unknown
from multiturn.history import Path, empty_path
from multiturn.messages.content import Content
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.config import GenerationConfigLike
    from multiturn.options import RequestOptionsLike
    from multiturn.retry import RetryRule
    from multiturn.safety import SafetySettingsLike

T = TypeVar("T")


class Tools(tuple[Object, ...]):
    """Objects of the wire's Tool that nobody changes; what is made of them is made once."""

    @cached_property
    def _made(self) -> dict[Callable[..., Any], Any]:
        return {}

    def made(self, make: Callable[[Sequence[Object]], T]) -> T:
        """Return what a pure function makes of all of them; not to be changed."""
        if make not in self._made:
            self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return Tools, (tuple(self),)


def made_of(tools: Sequence[Object], make: Callable[[Sequence[Object]], T]) -> T:
    """Return what a pure function makes of tools, from where it is kept if it is."""
    return tools.made(make) if isinstance(tools, Tools) else make(tools)


class Request(NamedTuple):
    """One ask; nothing in it is changed by a backend.

    Attributes:
        model: The model's name as the backend knows it.
        contents: Oldest first, frozen.
        system_instruction: None means none.
        generation_config: Members of the wire's GenerationConfig; what is absent is left
            to the model.
        safety_settings: Objects of the wire's SafetySetting.
        tools: Objects of the wire's Tool.
        tool_config: Object of the wire's ToolConfig, None means none.
        timeout_seconds: Total time for the call; None means the backend's default.
        stream: Whether the answer is wanted in pieces.
        more: Further members of the wire's request, as ``cachedContent``.
        options: How the server is reached for this call, as ``metadata`` and ``api_key``.
    """

    model: str = ""
    contents: Path = empty_path()
    system_instruction: Content | None = None
    generation_config: Object = {}  # noqa: RUF012  (nobody writes to it)
    safety_settings: Sequence[Object] = ()
    tools: Sequence[Object] = ()
    tool_config: Object | None = None
    timeout_seconds: float | None = None
    stream: bool = False
    more: Object = {}  # noqa: RUF012
    options: Object = {}  # noqa: RUF012

    def with_contents(self, contents: Path) -> Request:
        """Return the same request about other contents; ``_replace`` takes twice the time."""
        return Request(self[0], contents, *self[2:])

    def with_timeout(self, timeout_seconds: float) -> Request:
        """Return the same request with another time limit; as above."""
        return Request(*self[:7], timeout_seconds, *self[8:])


class Overrides(NamedTuple):
    """What one call says instead of its model; None leaves the model's own."""

    generation_config: GenerationConfigLike = None
    safety_settings: SafetySettingsLike = None
    tools: Any = None
    tool_config: Any = None
    request_options: RequestOptionsLike = None

    @classmethod
    def given(cls, options: Mapping[str, Any]) -> Self:
        """Return what a call gave by name; refuse names that there are not."""
        for name, value in options.items():
            if name not in cls._fields:
                raise unknown(name, value, cls._fields)
        return cls(**options)

    @property
    def timeout_seconds(self) -> float | None:
        """Total time for the call; None means the default."""
        if self.request_options is None:
            return None
        from multiturn.options import timeout_seconds_of

        return timeout_seconds_of(self.request_options)

    def guarded(self) -> Object | None:
        """The request options as they are kept: nobody sees a key in them."""
        if self.request_options is None:
            return None
        from multiturn.options import guarded_options

        return guarded_options(self.request_options)

    def over(self, request_options: Object | None) -> Overrides:
        """Return these overrides with their request options put over others."""
        if request_options is None:
            return self
        from multiturn.options import merged_options

        return self._replace(request_options=merged_options(request_options, self.request_options))

    def access(self, default: Object) -> Object:
        """How the server is reached, with the call's own over the model's."""
        if self.request_options is None:
            return default
        from multiturn.options import access_of, merged_options

        return access_of(merged_options(default, self.request_options))

    def retry(self, default: RetryRule) -> RetryRule:
        """When the call's requests are made again."""
        if self.request_options is None:
            return default
        from multiturn.options import retry_of

        return retry_of(self.request_options, default)

    def safety(self, default: tuple[Object, ...]) -> tuple[Object, ...]:
        """The model's safety settings with the call's merged over them."""
        if self.safety_settings is None:
            return default
        from multiturn.safety import merged_safety

        return merged_safety([dict(setting) for setting in default], self.safety_settings)
