"""Objects that google.generativeai and its messages' library made, as ours."""

from __future__ import annotations

import json
from typing import Any


def ours_of(value: Any) -> Any:
    """Return what stands for an object here; what is no such object, as an enum, as it is.

    Args:
        value: A message of google.ai.generativelanguage, or a declaration, Tool or
            FunctionLibrary of google.generativeai 0.8.6, whose functions stay callable.
    """
    kind = type(value)
    if kind.__module__.startswith("google.ai.generativelanguage") and hasattr(kind, "to_json"):
        from multiturn import protos

        said = kind.to_json(value, including_default_value_fields=False)
        return getattr(protos, kind.__name__)(json.loads(said))
    if kind.__module__ == "google.generativeai.types.content_types":
        return _CONTENT_TYPES.get(kind.__name__, _itself)(value)
    return value


def _itself(value: Any) -> Any:
    return value


def _declaration(value: Any) -> Any:
    from multiturn.tools.declarations import FunctionDeclaration

    return FunctionDeclaration.from_proto(ours_of(value.to_proto()))


def _callable(value: Any) -> Any:
    from multiturn.tools.declarations import CallableFunctionDeclaration

    declared = CallableFunctionDeclaration.from_proto(ours_of(value.to_proto()))
    assert isinstance(declared, CallableFunctionDeclaration)
    declared.function = value.function
    return declared


def _tool(value: Any) -> Any:
    from multiturn.tools.function_library import Tool

    wire = ours_of(value.to_proto())
    members = {name: getattr(wire, name) for name in type(wire).fields if name in wire}
    if value.function_declarations:  # the wire's have lost the functions themselves
        members["function_declarations"] = value.function_declarations
    return Tool(**members)


def _library(value: Any) -> Any:
    from multiturn.tools.function_library import FunctionLibrary

    return FunctionLibrary([ours_of(tool) for tool in value._tools])


_CONTENT_TYPES = {
    "FunctionDeclaration": _declaration,
    "CallableFunctionDeclaration": _callable,
    "Tool": _tool,
    "FunctionLibrary": _library,
}
