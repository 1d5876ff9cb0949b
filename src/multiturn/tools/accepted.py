"""What a model may call and how, as the objects that travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from multiturn.errors import InvalidContent, UnknownName
from multiturn.messages.message import Object, copy_json
from multiturn.messages.tool_messages import CallingMode, FunctionCallingConfig, ToolConfig
from multiturn.request import Tools
from multiturn.to_content import as_ours
from multiturn.tools.function_library import ToolsLike, to_function_library

CallingModeLike: TypeAlias = CallingMode | str | int
CallingConfigLike: TypeAlias = CallingModeLike | Mapping[str, Any] | FunctionCallingConfig
ToolConfigLike: TypeAlias = ToolConfig | Mapping[str, Any] | CallingModeLike | None


def tool_objects(tools: ToolsLike) -> Tools:
    """Return tools of any form as objects of the wire's Tool; empty ones are left out."""
    library = to_function_library(tools)
    if library is None:
        return Tools()
    return Tools(copy_json(tool.json_object) for tool in library.to_proto() if tool.json_object)


def tool_config_object(tool_config: ToolConfigLike) -> Object | None:
    """Return the rules of calling as the wire's ToolConfig; None stays None."""
    return None if tool_config is None else to_tool_config(tool_config).json_object


def to_function_calling_mode(x: CallingModeLike) -> CallingMode:
    """Return whether the model may, must or must not call, from a number or name."""
    if isinstance(x, str):
        name = x.upper().removeprefix("MODE_")
        if name not in CallingMode.__members__:
            raise UnknownName("mode of function calling", x, CallingMode.__members__)
        return CallingMode[name]
    if isinstance(x, bool) or not isinstance(x, int) or not CallingMode(x).is_known:
        raise UnknownName("mode of function calling", repr(x), CallingMode.__members__)
    return CallingMode(x)


def to_function_calling_config(obj: CallingConfigLike) -> FunctionCallingConfig:
    """Return rules of calling from their message, their dict, or just a mode."""
    if isinstance(obj, FunctionCallingConfig):
        return obj
    if isinstance(obj, str | int):
        return FunctionCallingConfig(mode=to_function_calling_mode(obj))
    if not isinstance(obj, Mapping):
        raise InvalidContent(
            "$.function_calling_config", obj, "a FunctionCallingConfig, its dict, or a mode"
        )
    if "mode" not in obj:
        return FunctionCallingConfig(obj)
    return FunctionCallingConfig({**obj, "mode": to_function_calling_mode(obj["mode"])})


def to_tool_config(obj: ToolConfig | Mapping[str, Any] | CallingModeLike) -> ToolConfig:
    """Return rules of calling from their message, their dict, or just a mode as "any".

    The dict may be that of the message or of its ``function_calling_config``.
    """
    obj = as_ours(obj)
    if isinstance(obj, ToolConfig):
        return obj
    if isinstance(obj, str | int) or (isinstance(obj, Mapping) and "mode" in obj):
        return ToolConfig(function_calling_config=to_function_calling_config(obj))
    if not isinstance(obj, Mapping):
        raise InvalidContent("$.tool_config", obj, "a ToolConfig, its dict, or a mode as 'any'")
    members = dict(obj)
    for name in ("function_calling_config", "functionCallingConfig"):
        if members.get(name) is not None:
            members[name] = to_function_calling_config(members[name])
    return ToolConfig(members)
