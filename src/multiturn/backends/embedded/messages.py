"""Contents as the embedded engine's messages, for models with and without calls of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal, TypeAlias

from multiturn.backends.embedded.tool_grammar import (
    allowed_names,
    call_text,
    declarations_of,
    instruction,
    parameters_of,
    result_text,
)
from multiturn.backends.openai.parts import note
from multiturn.engine import Call, CallSyntax, Function, Message, Role, Tools
from multiturn.errors import InvalidContent
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.request import Request

Unsendable: TypeAlias = Literal["raise", "note"]


def messages_of(
    request: Request, unsendable: Unsendable = "raise", calls: CallSyntax | None = None
) -> list[Message]:
    """Return a conversation as the engine takes it, oldest first.

    Args:
        request: What is asked.
        unsendable: As in Options.
        calls: How the model writes calls; None for one that is told of functions in words.

    Raises:
        InvalidContent: A part is not text; the path names it.
    """
    messages: list[Message] = []
    told: list[str] = []
    if request.system_instruction is not None:
        told.append(_text(request.system_instruction, "$.system_instruction", unsendable))
    if calls is None and tools_of(request) is not None:
        told.append(instruction(declarations_of(request.tools)))
    if told:
        messages.append(("system", "\n\n".join(told)))
    for i, content in enumerate(request.contents):
        path = f"$.contents[{i}]"
        if calls is not None and has_functions(content):
            messages += _with_functions(content, path, unsendable, calls)
        else:
            messages.append((_role(content), _text(content, path, unsendable)))
    return messages


def tools_of(request: Request) -> Tools | None:
    """Return the functions of a request; None if none may be called.

    Raises:
        InvalidContent: A tool is one that only a server can run.
        UnknownName: The rules of calling name a function that is not declared.
    """
    declarations = declarations_of(request.tools)
    allowed, forced = allowed_names(declarations, request.tool_config)
    if not allowed:
        return None
    functions = (
        Function(
            declaration.get("name", ""), declaration.get("description", ""),
            parameters_of(declaration),
        )
        for declaration in declarations
    )  # fmt: skip
    return Tools(tuple(functions), frozenset(allowed), forced)


def has_functions(content: Content) -> bool:
    """Return whether calls, or results of calls, are in a content."""
    parts = content.json_object.get("parts") or ()
    return any("functionCall" in part or "functionResponse" in part for part in parts)


def _with_functions(
    content: Content, path: str, unsendable: Unsendable, syntax: CallSyntax
) -> Iterator[Message]:
    """Give a content as an answer with its calls, or as texts and results in their order."""
    text, calls = "", list[Call]()
    for i, part in enumerate(content.json_object.get("parts") or ()):
        if "functionCall" in part:
            call = part["functionCall"]
            calls.append(Call(call.get("name", ""), call.get("args") or {}))
        elif "functionResponse" in part:
            if text:
                yield _role(content), text
                text = ""
            response = part["functionResponse"].get("response") or {}
            yield "result", json.dumps(response, ensure_ascii=False)
        else:
            text += _said(part, f"{path}.parts[{i}]", unsendable)
    if text or calls:
        yield _role(content), syntax.write(text, calls)


def _role(content: Content) -> Role:
    return "assistant" if content.role == "model" else "user"


def _text(content: Content, path: str, unsendable: Unsendable) -> str:
    """Join the text of a content; calls and results are told in words."""
    parts = content.json_object.get("parts") or ()
    return "".join(_said(part, f"{path}.parts[{i}]", unsendable) for i, part in enumerate(parts))


def _said(part: Object, path: str, unsendable: Unsendable) -> str:
    """Return the text of a part; thoughts are not said again."""
    if part.get("thought"):
        return ""
    if "text" in part:
        return str(part["text"])
    if "functionCall" in part:
        return call_text(part["functionCall"])
    if "functionResponse" in part:
        return result_text(part["functionResponse"])
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
