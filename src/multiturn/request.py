"""What a backend is asked: the conversation and how to answer it, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from multiturn.content import Content
from multiturn.history import Path, empty_path
from multiturn.message import Object


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
