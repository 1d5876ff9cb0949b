"""Function calling for models that were never taught it: a grammar leaves no other choice.

The model is told of the functions in words, and may then only write a JSON object that
is a valid call of one of them, or a reply; which of the two, and with what arguments,
is up to the model.  Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from multiturn.errors import InvalidContent, UnknownName
from multiturn.messages.message import MAX_DEPTH, Object
from multiturn.request import Request
from multiturn.schema import for_dialect

# Models that must answer when they have the results of their calls.
_ANSWERS_RESULTS = ("smollm2",)
_REPLY_START = re.compile(r'\s*\{\s*"reply"\s*:\s*"')
# A piece of a JSON string: plain characters, or one whole escape.  A surrogate pair is
# one; half a pair is what is known not to be followed by the other half.
_STRING_PIECE = re.compile(
    r"""[^"\\]+
    | \\u[dD][89abAB][0-9a-fA-F]{2} \\u[dD][c-fC-F][0-9a-fA-F]{2}
    | (?: \\u[dD][89abAB][0-9a-fA-F]{2} (?= [^\\] | \\[^u] | \\u[^dD] | \\u[dD][^c-fC-F] )
              | \\u[dD][c-fC-F][0-9a-fA-F]{2} )
    | \\u(?! [dD][89abAB] )[0-9a-fA-F]{4}
    | \\["\\/bfnrt]""",
    re.VERBOSE,
)


def declarations_of(tools: Iterable[Object]) -> list[Object]:
    """Return the functions that tools declare.

    Raises:
        InvalidContent: A tool is one that only a server can run.
    """
    found: list[Object] = []
    for i, tool in enumerate(tools):
        for name, value in tool.items():
            if name != "functionDeclarations":
                expected = "functions: the embedded model has no other tools"
                raise InvalidContent(f"$.tools[{i}].{name}", value, expected)
            found.extend(value or ())
    return found


def instruction(declarations: Iterable[Object]) -> str:
    """Return what the model is told about the functions."""
    lines = [
        json.dumps(
            {
                "name": declaration.get("name", ""),
                "description": declaration.get("description", ""),
                "parameters": parameters_of(declaration),
            }
        )
        for declaration in declarations
    ]
    return (
        "You can call these functions:\n"
        + "\n".join(lines)
        + '\nTo call one, write {"name": its name, "arguments": its arguments}. '
        'To answer the user, write {"reply": your answer}.'
    )


def parameters_of(declaration: Object) -> Object:
    """Return the JSON Schema of a function's arguments, in words that a grammar can keep.

    Raises:
        SchemaError: It says what no grammar can keep.
    """
    schema = declaration.get("parametersJsonSchema") or declaration.get("parameters")
    if not schema:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return for_dialect(schema, "grammar")


def schema_for(request: Request) -> Object | None:
    """Return the JSON Schema of the answer to a request; None if it is free text.

    The smallest model repeats a call for ever instead of telling what came of it, so it
    is left no call directly after results.

    Raises:
        InvalidContent: A tool is one that only a server can run.
        UnknownName: As ``answer_schema``.
    """
    declarations = declarations_of(request.tools)
    if not declarations:
        return None
    last = request.contents[-1].json_object.get("parts") or () if len(request.contents) else ()
    has_results = any("functionResponse" in part for part in last)
    may_call = not (has_results and request.model.lower() in _ANSWERS_RESULTS)
    return answer_schema(declarations, request.tool_config, may_call=may_call)


def allowed_names(
    declarations: Iterable[Object], tool_config: Object | None
) -> tuple[list[str], bool]:
    """Return which functions may be called, and whether one must be.

    Raises:
        UnknownName: The rules of calling name a function that is not declared.
    """
    calling = (tool_config or {}).get("functionCallingConfig") or {}
    mode = calling.get("mode") or "AUTO"
    if mode == "NONE":
        return [], False
    declared = [declaration.get("name", "") for declaration in declarations]
    allowed = list(calling.get("allowedFunctionNames") or declared)
    for name in allowed:
        if name not in declared:
            raise UnknownName("function", name, declared)
    return allowed, mode == "ANY"


def answer_schema(
    declarations: Iterable[Object], tool_config: Object | None, *, may_call: bool = True
) -> Object | None:
    """Return the JSON Schema of an answer; None if the rules allow no call.

    Args:
        declarations: The functions.
        tool_config: The rules of calling; None lets the model decide.
        may_call: Whether a call is left to a model that decides; else only a reply is.

    Raises:
        UnknownName: The rules of calling name a function that is not declared.
    """
    by_name = {declaration.get("name", ""): declaration for declaration in declarations}
    allowed, forced = allowed_names(by_name.values(), tool_config)
    if not allowed:
        return None
    if not forced and not may_call:
        allowed = []
    options: list[Object] = []
    definitions: Object = {}
    for name in allowed:
        arguments, own = _apart(parameters_of(by_name[name]), name)
        definitions.update(own)
        options.append(_object(name={"const": name}, arguments=arguments))
    if not forced:
        options.append(_object(reply={"type": "string"}))
    schema: Object = {"anyOf": options}
    return {**schema, "$defs": definitions} if definitions else schema


def _apart(schema: Object, name: str) -> tuple[Object, Object]:
    """Return a schema and its definitions, named so that another function's do not collide."""

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        if not isinstance(value, dict):
            return value
        out = {key: renamed(member) for key, member in value.items()}
        if isinstance(out.get("$ref"), str):
            out["$ref"] = out["$ref"].replace("#/$defs/", f"#/$defs/{name}.", 1)
        return out

    own = {f"{name}.{key}": renamed(value) for key, value in schema.get("$defs", {}).items()}
    return renamed({key: value for key, value in schema.items() if key != "$defs"}), own


def is_reply_only(schema: Object) -> bool:
    """Return whether a schema of ``answer_schema`` leaves no call."""
    return all("reply" in option["properties"] for option in schema["anyOf"])


def _object(**members: Any) -> Object:
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }


class AnswerReader:
    """Reads an answer as it is written: gives a reply's text as it comes, a call at its end."""

    def __init__(self) -> None:
        self._written = ""
        self._read_to: int | None = None
        self._ended = False

    def feed(self, text: str) -> Iterator[str]:
        """Take in what was written; give what of it is a reply's text."""
        self._written += text
        at = self._read_to
        if at is None:
            start = _REPLY_START.match(self._written)
            if start is None:
                return
            at = self._read_to = start.end()
        while not self._ended and (piece := _STRING_PIECE.match(self._written, at)):
            at = self._read_to = piece.end()
            yield whole_text(json.loads(f'"{piece.group()}"', strict=False))
        if self._written[at : at + 1] == '"':
            self._ended = True

    @property
    def is_reply(self) -> bool:
        """Whether the answer is a reply, whole or not."""
        return self._read_to is not None

    def call(self) -> Object | None:
        """Return the finished call as the wire's FunctionCall, None if it is none."""
        try:
            answer = json.loads(self._written, strict=False)
            if not isinstance(answer, dict) or "name" not in answer:
                return None
            return {"name": answer["name"], "args": whole(answer.get("arguments") or {})}
        except (ValueError, RecursionError):
            return None


def whole_text(text: str) -> str:
    """Return text with U+FFFD for each half of a character: UTF-8 has no place for it."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole(value: Any, depth: int = 0) -> Any:
    """Return a JSON value with every text in it made whole, as by ``whole_text``.

    Raises:
        ValueError: It is nested more deeply than a history can hold.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nesting of more than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, dict):
        return {whole_text(name): whole(member, depth + 1) for name, member in value.items()}
    return [whole(item, depth + 1) for item in value] if isinstance(value, list) else value


def call_text(call: Object) -> str:
    """Return a call of the past as the model would have written it."""
    return json.dumps({"name": call.get("name", ""), "arguments": call.get("args") or {}})


def result_text(result: Object) -> str:
    """Return the result of a call as the model is told of it."""
    shown = json.dumps(result.get("response") or {}, ensure_ascii=False)
    return f"Result of {result.get('name', 'the function')}: {shown}"
