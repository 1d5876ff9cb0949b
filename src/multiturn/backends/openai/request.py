"""The OpenAI protocol's wire format, /chat/completions: what to send; pure.

``reply.py`` reads what comes.  Sources of the rules: OpenAI's API reference (Chat
Completions), and the references of vLLM, SGLang, llama.cpp's server and Ollama for what
they take beyond it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from multiturn.backends import projection
from multiturn.backends.openai.parts import note, user_parts
from multiturn.backends.projection import Located, Message, Result, Said
from multiturn.config import python_name
from multiturn.errors import InvalidContent, UnknownName, UsageError
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.request import Request

Unsendable: TypeAlias = Literal["raise", "note"]
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

# Members of the generation config that only change their name.
_SAME: dict[str, str] = {
    "temperature": "temperature",
    "topP": "top_p",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "candidateCount": "n",
}
# Members that say how an answer is shaped, or what the protocol does by itself.
_HANDLED = (
    "topK", "maxOutputTokens", "stopSequences", "responseMimeType", "responseSchema",
    "responseJsonSchema", "responseLogprobs", "logprobs", "thinkingConfig", "responseModalities",
)  # fmt: skip


class Style(NamedTuple):
    """How a server wants the protocol written; equal styles write equal bytes.

    Attributes:
        is_openai: Whether it is OpenAI's own, which refuses members that it does not know.
        unsendable: What becomes of a part that the protocol has no place for: "raise"
            InvalidContent before anything is sent, or a "note" in words in its place.
        send_reasoning: Whether thoughts are sent back, as ``reasoning_content``.
    """

    is_openai: bool = False
    unsendable: Unsendable = "raise"
    send_reasoning: bool = False

    # -- as a history.Fold ---------------------------------------------------------------

    @property
    def start(self) -> tuple[projection.State, bool]:
        """Nothing is open, and nothing was written."""
        return projection.START, False

    def step(
        self, state: tuple[projection.State, bool], content: Content, index: int
    ) -> tuple[bytes, tuple[projection.State, bool]]:
        """Return the messages that a content completes, with the comma before them."""
        messages, still_open = projection.project(state[0], content, index)
        return self._written(messages, state[1]), (still_open, state[1] or bool(messages))

    def end(self, state: tuple[projection.State, bool]) -> bytes:
        """Return what is open at the end, as the message that it is."""
        return self._written(projection.close(state[0]), state[1])

    def _written(self, messages: list[Message], is_begun: bool) -> bytes:
        if not messages:
            return b""
        joined = b",".join([self._encoded(message) for message in messages])
        return b"," + joined if is_begun else joined

    def _encoded(self, message: Message) -> bytes:
        if isinstance(message, Result):
            content = _text_of(message.response, "$.function_response.response")
            return _bytes({"role": "tool", "tool_call_id": message.id, "content": content})
        if message.role == "user":
            parts = user_parts(message.parts, self.unsendable)
            return _bytes({"role": "user", "content": _joined(parts)})
        return _bytes(self._assistant(message))

    def _assistant(self, said: Said) -> Object:
        texts: list[str] = []
        thoughts: list[str] = []
        refusals: list[str] = []
        calls: list[Object] = []
        for located in said.parts:
            part = located.part
            if "functionCall" in part:
                calls.append(_call(located))
            elif part.get("thought"):
                thoughts.append(part.get("text") or "")
            elif (part.get("partMetadata") or {}).get("refusal"):
                refusals.append(part.get("text") or "")
            elif isinstance(part.get("text"), str):
                texts.append(part["text"])
            else:
                texts.append(_spoken(located, self.unsendable))
        message: Object = {"role": "assistant", "content": "".join(texts)}
        if not message["content"] and (calls or refusals):
            message["content"] = None
        if refusals:
            message["refusal"] = "".join(refusals)
        if thoughts and self.send_reasoning:
            message["reasoning_content"] = "".join(thoughts)
        if calls:
            message["tool_calls"] = calls
        return message


def body(
    request: Request, style: Style, more: Mapping[str, Any] | None = None
) -> list[bytes | memoryview]:
    """Return the body of a request for an answer; in pieces, so that no history is copied.

    Args:
        request: What is asked.
        style: How the server wants it written.
        more: Further members, which win over ours.

    Raises:
        InvalidContent: A part cannot be sent; the path names it.
        UsageError: The protocol cannot do what the request asks for.
    """
    members = _members(request, style)
    members.update(more or {})
    head = b'{"messages":['
    if request.system_instruction is not None:
        head += _bytes({"role": "system", "content": request.system_instruction.text})
        head += b"," if len(request.contents) else b""
    pieces, state = request.contents.folded(style)
    return [head, *pieces, style.end(state), b"]," + _bytes(members)[1:]]


def _members(request: Request, style: Style) -> Object:
    if request.more:
        raise UsageError(
            f"servers of the OpenAI protocol know no {', '.join(request.more)}; leave it out"
        )
    members: Object = {"model": request.model}
    if request.stream:
        members["stream"] = True
        members["stream_options"] = {"include_usage": True}
    members.update(_config(request.generation_config, style))
    tools = functions_of(request.tools)
    if tools:
        members.update(_tools(tools, request.tool_config))
    return members


def _config(config: Object, style: Style) -> Object:
    out: Object = {}
    for name, value in config.items():
        if value is None:
            continue
        if name in _SAME:
            out[_SAME[name]] = value
        elif name not in _HANDLED:
            raise UsageError(
                f"servers of the OpenAI protocol know no generation_config.{python_name(name)}"
            )
    if config.get("maxOutputTokens") is not None:
        out["max_completion_tokens" if style.is_openai else "max_tokens"] = config[
            "maxOutputTokens"
        ]
    if config.get("stopSequences"):
        out["stop"] = list(config["stopSequences"])
    if config.get("topK") is not None:
        if style.is_openai:
            raise UsageError("OpenAI's models know no generation_config.top_k; use top_p")
        out["top_k"] = int(config["topK"])
    if config.get("responseLogprobs"):
        out["logprobs"] = True
        if config.get("logprobs") is not None:
            out["top_logprobs"] = config["logprobs"]
    if any(str(kind) not in ("TEXT", "1") for kind in config.get("responseModalities") or ()):
        raise UsageError("servers of the OpenAI protocol answer with text; leave out others")
    out.update(_thinking(config.get("thinkingConfig") or {}))
    out.update(_response_format(config))
    return out


def _thinking(thinking: Object) -> Object:
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level and level != "THINKING_LEVEL_UNSPECIFIED":
        return {"reasoning_effort": str(level).lower()}
    if budget == 0:
        return {"reasoning_effort": "none"}
    if budget is not None and budget > 0:
        raise UsageError(
            "the OpenAI protocol knows no thinking_budget in tokens; "
            "say thinking_level 'low', 'medium' or 'high'"
        )
    return {}


def _response_format(config: Object) -> Object:
    kind = config.get("responseMimeType") or "text/plain"
    schema = config.get("responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = _json_schema(config["responseSchema"])
    if kind not in ("text/plain", "application/json"):
        raise UsageError(
            f"the OpenAI protocol cannot answer as {kind!r}; "
            "response_mime_type is text/plain or application/json"
        )
    if schema is None:
        return {"response_format": {"type": "json_object"}} if kind == "application/json" else {}
    named = {"name": "answer", "schema": schema, "strict": _is_strict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _json_schema(schema: Object) -> Object:
    """Return a Schema of the wire as JSON Schema; shared, so not to be changed."""
    return _json_schema_of(json.dumps(schema))


@lru_cache(maxsize=256)
def _json_schema_of(schema: str) -> Object:
    from multiturn.schema import for_dialect

    return for_dialect(json.loads(schema), "openai")


def _is_strict(schema: Any) -> bool:
    """Whether a schema may be enforced: OpenAI wants every member required, and no others.

    Said of a schema that is not so, the server refuses the request (guide "Structured
    Outputs"); others enforce any schema, whatever is said.
    """
    if isinstance(schema, list):
        return all(_is_strict(one) for one in schema)
    if not isinstance(schema, dict):
        return True
    if "properties" in schema or schema.get("type") == "object":
        names = set(schema.get("properties") or ())
        if schema.get("additionalProperties") is not False:
            return False
        if names != set(schema.get("required") or ()):
            return False
    return all(
        _is_strict(list(value.values()) if name in ("properties", "$defs") else value)
        for name, value in schema.items()
        if name in ("properties", "$defs", "items", "anyOf") and value
    )


def functions_of(tools: Sequence[Object]) -> list[Object]:
    """Return the functions that tools declare, as the wire's FunctionDeclarations.

    Raises:
        InvalidContent: A tool is one that only Google's servers run.
    """
    found: list[Object] = []
    for i, tool in enumerate(tools):
        for name, value in tool.items():
            if name != "functionDeclarations":
                raise InvalidContent(
                    f"$.tools[{i}].{name}", value, "functions: the OpenAI protocol has no others"
                )
            found.extend(value or ())
    return found


def _tools(functions: list[Object], tool_config: Object | None) -> Object:
    calling = (tool_config or {}).get("functionCallingConfig") or {}
    mode = calling.get("mode") or "AUTO"
    allowed = calling.get("allowedFunctionNames") or ()
    by_name = {function.get("name", ""): function for function in functions}
    for name in allowed:
        if name not in by_name:
            raise UnknownName("function", name, by_name)
    listed = [by_name[name] for name in allowed] if allowed else functions
    members: Object = {"tools": [{"type": "function", "function": _function(f)} for f in listed]}
    if mode == "NONE":
        members["tool_choice"] = "none"
    elif mode == "ANY":
        members["tool_choice"] = "required"
    return members


def _function(declaration: Object) -> Object:
    schema = declaration.get("parametersJsonSchema")
    if schema is None and declaration.get("parameters"):
        schema = _json_schema(declaration["parameters"])
    out: Object = {"name": declaration.get("name", "")}
    if declaration.get("description"):
        out["description"] = declaration["description"]
    out["parameters"] = schema or {"type": "object", "properties": {}}
    return out


def _call(located: Located) -> Object:
    call = located.part["functionCall"]
    arguments = _text_of(call.get("args") or {}, f"{located.path}.function_call.args")
    made: Object = {
        "id": call["id"],
        "type": "function",
        "function": {"name": call.get("name") or "", "arguments": arguments},
    }
    extra = (located.part.get("partMetadata") or {}).get("extra_content")
    return {**made, "extra_content": extra} if extra else made


def _spoken(located: Located, unsendable: Unsendable) -> str:
    """Return in words what a model said otherwise."""
    part = located.part
    if "executableCode" in part:
        code = part["executableCode"]
        return f"\n```{str(code.get('language') or '').lower()}\n{code.get('code') or ''}\n```\n"
    if "codeExecutionResult" in part:
        return f"\n```\n{part['codeExecutionResult'].get('output') or ''}\n```\n"
    if set(part) <= {"thoughtSignature", "partMetadata"}:
        return ""
    if unsendable == "note":
        return note(part)
    raise InvalidContent(
        located.path, part, "text or calls: this protocol takes nothing else of a model's own"
    )


def _joined(parts: list[Object]) -> str | list[Object]:
    """Return text alone as a string, which every server takes; else the list."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _text_of(value: Any, path: str) -> str:
    try:
        return _dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidContent(path, value, f"what JSON can hold ({error})") from None


def _bytes(value: Object) -> bytes:
    try:
        return _dumps(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidContent("$", value, f"what JSON can hold ({error})") from None
