"""Finds out how a model calls functions, by rendering calls with its chat template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from multiturn.engine.calls import Call, CallSyntax
from multiturn.errors import EngineError

# Messages and tools as llama.cpp takes them.
Render = Callable[[Sequence[dict[str, Any]], Sequence[dict[str, Any]]], str]

_FIRST, _SECOND = "multiturn_first", "multiturn_second"
_ARGUMENTS = {"multiturn_argument": "multiturn_value"}
_WRITTEN = json.dumps(_ARGUMENTS)
# Nine letters, which is what the strictest templates take.
CALL_ID = "firstcall"
_TEXT, _RESULT = "@@said@@", '@@"result"@@'
_USER = {"role": "user", "content": "@@asked@@"}


def probe_calls(render: Render, source: str, control: Mapping[str, int]) -> CallSyntax | None:
    """Return how calls are written, None where the template has no functions that we can use.

    Usable is what shows the functions, writes a call as ``CallSyntax`` says, and shows a
    result after a call, whether the call comes as the template's own or as text.

    Args:
        render: Renders with the template.
        source: The template.
        control: The control tokens in it.
    """
    if "tools" not in source:
        return None
    try:
        if _FIRST in render([_USER], []) or _FIRST not in render([_USER], _TOOLS):
            return None
        syntax = _syntax(render)
        if syntax is None or (syntax := _with_results(render, syntax)) is None:
            return None
    except EngineError:
        return None
    written = syntax.write("", [Call(_FIRST, _ARGUMENTS)] * 2)
    return replace(syntax, control=tuple((m, i) for m, i in control.items() if m in written))


def _syntax(render: Render) -> CallSyntax | None:
    shown = render([_USER, _said(_TEXT), _USER], _TOOLS)
    before, text, after = shown.partition(_TEXT)
    if not text:
        return None

    def said(*calls: str, text: str = "") -> str:
        """Return how the template writes an answer with calls, "" if it does not."""
        try:
            rendered = render([_USER, _said(text, *calls), _USER], _TOOLS)
        except EngineError:
            return ""
        whole = rendered.startswith(before) and rendered.endswith(after) and CALL_ID not in rendered
        return rendered[len(before) : len(rendered) - len(after)] if whole else ""

    head, name, rest = said(_FIRST).partition(_FIRST)
    middle, arguments, tail = rest.partition(_WRITTEN)
    if not (name and arguments and head.strip() and middle):
        return None
    syntax = CallSyntax(head, middle, None, tail)
    start, end = f"{head}{_FIRST}{middle}{_WRITTEN}", f"{_SECOND}{middle}{_WRITTEN}{tail}"
    both = said(_FIRST, _SECOND)
    if both.startswith(start) and both.endswith(end) and len(both) > len(start) + len(end):
        syntax = replace(syntax, between=both[len(start) : len(both) - len(end)])
    call = syntax.write("", [Call(_FIRST, _ARGUMENTS)])
    lead = said(_FIRST, text=_TEXT).removesuffix(call)
    gap = lead[len(_TEXT) :]
    return replace(syntax, gap=gap) if lead.startswith(_TEXT) and not gap.strip() else syntax


def _with_results(render: Render, syntax: CallSyntax) -> CallSyntax | None:
    """Return the syntax with what becomes of results, None if a round does not come whole."""
    result = {"role": "tool", "tool_call_id": CALL_ID, "content": _RESULT}
    shown = render([_USER, _said(_TEXT), result], _TOOLS)
    structured = render([_USER, _said("", _FIRST), result], _TOOLS)
    call = syntax.write("", [Call(_FIRST, _ARGUMENTS)])
    if shown.replace(_TEXT, call) != structured:
        return None
    if _RESULT in shown:
        return syntax
    return replace(syntax, quotes_results=True) if json.dumps(_RESULT) in shown else None


def _said(text: str, *calls: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"type": "function", "id": CALL_ID, "function": {"name": name, "arguments": _WRITTEN}}
            for name in calls
        ]
    return message


_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "multiturn",
            "parameters": {
                "type": "object",
                "properties": {"multiturn_argument": {"type": "string"}},
                "required": ["multiturn_argument"],
            },
        },
    }
    for name in (_FIRST, _SECOND)
]
