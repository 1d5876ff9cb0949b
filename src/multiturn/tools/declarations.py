"""Functions that a model may call, in every form a person may write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from multiturn.errors import InvalidContent
from multiturn.messages.content import FunctionCall, FunctionResponse
from multiturn.messages.message import Object
from multiturn.messages.settings import Schema
from multiturn.messages.tool_messages import FunctionDeclaration as WireDeclaration
from multiturn.schema_subset import schema_or_json
from multiturn.to_content import as_ours

DeclarationLike: TypeAlias = (
    "FunctionDeclaration | WireDeclaration | Mapping[str, Any] | Callable[..., Any]"
)

_FORMS = "a function, a FunctionDeclaration, or a dict with 'name', 'description' and 'parameters'"

# What some service takes: the Gemini API and servers of the OpenAI protocol (their references).
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}|[A-Za-z0-9_-]{1,64}")
_NAMES = (
    "a name that services take: ASCII letters, digits, _ and -, at most 64 (the Gemini API alone "
    "also takes . and :, and 128)"
)


def declaration_object(given: Mapping[str, Any], path: str = "$") -> Object:
    """Return the wire's FunctionDeclaration of its members as a person writes them.

    Schemas may be a Schema, its dict, or JSON Schema; each is put where it fits.
    """
    members = {name: value for name, value in given.items() if value is not None}
    for name in ("parameters", "response"):
        schema = members.pop(name, None)
        if not schema:
            continue
        subset, json_schema = schema_or_json(schema, f"{path}.{name}")
        if subset is not None:
            members[name] = Schema.view(subset)
        else:
            members[f"{name}_json_schema"] = json_schema
    object_ = WireDeclaration.object_from(members, path, "refuse")
    _require_name(object_.get("name", ""), path)
    return object_


def _require_name(name: str, path: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise InvalidContent(f"{path}.name", name, _NAMES)


class FunctionDeclaration:
    """A function that the model may call, and that the caller runs.

    Args:
        name: ASCII letters, digits, ``_`` and ``-``, at most 64; for the Gemini API alone
            also ``.`` and ``:``, and 128.
        description: What the function does and when to call it, for the model.
        parameters: A Schema, its dict, or JSON Schema, of type object; None for none.
        response: The same for what the function returns.
    """

    def __init__(
        self,
        *,
        name: str,
        description: str | None,
        parameters: Mapping[str, Any] | Schema | None = None,
        response: Mapping[str, Any] | Schema | None = None,
    ) -> None:
        members: Object = {"name": name, "description": description}
        members |= {"parameters": parameters, "response": response}
        self._proto = WireDeclaration.view(declaration_object(members))

    @property
    def name(self) -> str:
        """The function's name."""
        return self._proto.name

    @property
    def description(self) -> str:
        """What the model is told about it."""
        return self._proto.description

    @property
    def parameters(self) -> Schema:
        """Its parameters; empty if it has none, or if they need JSON Schema."""
        return self._proto.parameters

    @classmethod
    def from_proto(cls, proto: WireDeclaration) -> FunctionDeclaration:
        """Wrap a message; it is not copied."""
        declaration = FunctionDeclaration.__new__(cls)
        declaration._proto = proto
        return declaration

    def to_proto(self) -> WireDeclaration:
        """Return the message itself."""
        return self._proto

    @staticmethod
    def from_function(
        function: Callable[..., Any],
        descriptions: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> CallableFunctionDeclaration:
        """Return a declaration that is made from a function's signature and docstring.

        Args:
            function: Its parameters should have annotations.
            descriptions: What the model is told about parameters, by their names.
            name: As the model calls it; None takes the function's own.
            description: What the model is told about it; None takes the docstring.

        Raises:
            SchemaError: The function cannot be described; says which parameter and why.
        """
        from multiturn.schema import declaration_of

        described = declaration_of(function, descriptions, name=name, description=description)
        return CallableFunctionDeclaration(**described, function=function)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._proto!r})"


class CallableFunctionDeclaration(FunctionDeclaration):
    """A function that the model may call, and that can be run from here."""

    def __init__(
        self,
        *,
        name: str,
        description: str | None,
        parameters: Mapping[str, Any] | Schema | None = None,
        function: Callable[..., Any],
    ) -> None:
        super().__init__(name=name, description=description, parameters=parameters)
        self.function = function

    def __call__(self, fc: FunctionCall) -> FunctionResponse:
        """Run the function with a call's arguments; what is not a dict becomes ``result``."""
        result = self.function(**fc.args)
        response = result if isinstance(result, dict) else {"result": result}
        answered = FunctionResponse(name=fc.name, response=response)
        if fc.id:
            answered.id = fc.id
        return answered


class FunctionSource:
    """Where several functions come from, as an MCP server; for ``tools=[…]``."""

    def declarations(self) -> list[CallableFunctionDeclaration]:
        """Return the functions."""
        raise NotImplementedError


def to_declaration(
    given: DeclarationLike, path: str = "$"
) -> FunctionDeclaration | WireDeclaration:
    """Return a declaration from any of its forms."""
    given = as_ours(given)
    if isinstance(given, FunctionDeclaration | WireDeclaration):
        _require_name(given.name, path)
        return given
    if isinstance(given, Mapping):
        if "function" in given:
            return CallableFunctionDeclaration(**given)
        return FunctionDeclaration.from_proto(WireDeclaration.view(declaration_object(given, path)))
    if callable(given) and not hasattr(given, "to_proto"):  # as a Tool has
        return FunctionDeclaration.from_function(given)
    raise InvalidContent(path, given, _FORMS)
