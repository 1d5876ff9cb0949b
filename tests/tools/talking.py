"""Conversations with scripted calls, for the tests of tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiturn import ChatSession, GenerativeModel
from multiturn.testing import Line, ScriptedBackend, function_calls
from ways import AT_ONCE

CALL = function_calls(("act", {}))


def calling(
    tools: Any, *lines: Line, model: Mapping[str, Any] | None = None, **options: Any
) -> tuple[ChatSession, ScriptedBackend]:
    """Return a session that runs functions, and the backend that plays its script."""
    backend = ScriptedBackend(*lines)
    asked = GenerativeModel(backend=backend, retry=AT_ONCE, tools=tools, **(model or {}))
    return ChatSession(asked, enable_automatic_function_calling=True, **options), backend


def results(chat: ChatSession) -> list[dict[str, Any]]:
    """Return the responses that a history holds, in order."""
    return [
        part["functionResponse"]["response"]
        for content in chat.history
        for part in content.json_object["parts"]
        if "functionResponse" in part
    ]
