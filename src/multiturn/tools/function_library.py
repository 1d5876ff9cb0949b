"""What a model may call, in every form a person may write it, and found by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from multiturn.errors import InvalidContent, UnknownName
from multiturn.messages.content import FunctionCall, FunctionResponse, Part
from multiturn.messages.message import Message, Object
from multiturn.messages.tool_messages import (
    CodeExecution,
    GoogleSearch,
    GoogleSearchRetrieval,
    RetrievalMode,
    UrlContext,
)
from multiturn.messages.tool_messages import FunctionDeclaration as WireDeclaration
from multiturn.messages.tool_messages import Tool as WireTool
from multiturn.to_content import as_ours
from multiturn.tools.declarations import (
    DeclarationLike,
    FunctionDeclaration,
    FunctionSource,
    to_declaration,
)

FunctionsLike: TypeAlias = "DeclarationLike | Iterable[DeclarationLike]"
ToolLike: TypeAlias = "str | Tool | WireTool | FunctionSource | Mapping[str, Any] | FunctionsLike"
ToolsLike: TypeAlias = "FunctionLibrary | Iterable[ToolLike] | ToolLike | None"
Declaration: TypeAlias = "FunctionDeclaration | WireDeclaration"

# Tools that the server runs and that have no settings of their own.
_NAMED = ("code_execution", "google_search", "google_search_retrieval", "url_context")
_MESSAGES: dict[type[Message], str] = {
    CodeExecution: "code_execution",
    GoogleSearch: "google_search",
    GoogleSearchRetrieval: "google_search_retrieval",
    UrlContext: "url_context",
}
_FORMS = (
    "a function, a declaration or a dict of one, a Tool or its dict, a list of functions, or one "
    f"of the names {', '.join(_NAMED)}"
)


class Tool:
    """A bundle of functions, and of tools that the server runs.

    Args:
        function_declarations: Functions and declarations, in any form.
        google_search_retrieval: The old form of web search: its message or dict.
        code_execution: The server runs code that the model writes.
        **server_tools: Other members of the wire's Tool, as ``google_search={}``.

    Raises:
        ValueError: Two functions have the same name, or a form is unknown.
    """

    def __init__(
        self,
        *,
        function_declarations: Iterable[DeclarationLike] | None = None,
        google_search_retrieval: GoogleSearchRetrieval | Mapping[str, Any] | None = None,
        code_execution: CodeExecution | Mapping[str, Any] | None = None,
        **server_tools: Any,
    ) -> None:
        path = "function_declarations"
        self._declarations = [
            to_declaration(given, f"{path}[{i}]")
            for i, given in enumerate(_iterable(path, function_declarations))
        ]
        self._by_name = _by_name(self._declarations)
        self._search = (
            None if google_search_retrieval is None else _search_retrieval(google_search_retrieval)
        )
        self._proto = WireTool(
            function_declarations=[_message(one) for one in self._declarations] or None,
            google_search_retrieval=self._search,
            code_execution=code_execution,
            **server_tools,
        )

    @property
    def function_declarations(self) -> list[Declaration]:
        """The declared functions, in order."""
        return self._declarations

    @property
    def google_search_retrieval(self) -> GoogleSearchRetrieval | None:
        """The old form of web search, None without it."""
        return self._search

    @property
    def code_execution(self) -> CodeExecution:
        """Empty; whether it is there says ``"code_execution" in tool.to_proto()``."""
        return self._proto.code_execution

    def __getitem__(self, name: str | FunctionCall) -> Declaration:
        return self._by_name[name if isinstance(name, str) else name.name]

    def __call__(self, fc: FunctionCall) -> FunctionResponse | None:
        """Run the function that a call names; None if it cannot be run from here."""
        declared = self[fc]
        return declared(fc) if callable(declared) else None

    def to_proto(self) -> WireTool:
        """Return the wire's message."""
        return self._proto

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._proto!r})"


class FunctionLibrary:
    """All that a model may call; functions are found by name.

    Args:
        tools: One tool or several, in any form.

    Raises:
        ValueError: Two functions have the same name, or a form is unknown.
    """

    def __init__(self, tools: ToolsLike) -> None:
        self._tools = _listed(tools)
        declared = [one for tool in self._tools for one in tool.function_declarations]
        self._by_name = _by_name(declared)
        # What ``functions.py`` found out about them; made when first wanted.
        self.functions: dict[str, Any] | None = None

    def __getstate__(self) -> Object:
        return {**self.__dict__, "functions": None}

    def __getitem__(self, name: str | FunctionCall) -> Declaration:
        return self._by_name[name if isinstance(name, str) else name.name]

    def __call__(self, fc: FunctionCall) -> Part | None:
        """Run the function that a call names; None if it cannot be run from here."""
        declared = self[fc]
        return Part(function_response=declared(fc)) if callable(declared) else None

    @property
    def declarations(self) -> list[Declaration]:
        """All declared functions, in order."""
        return list(self._by_name.values())

    def to_proto(self) -> list[WireTool]:
        """Return the wire's messages."""
        return [tool.to_proto() for tool in self._tools]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._tools!r})"


def to_function_library(lib: ToolsLike) -> FunctionLibrary | None:
    """Return tools of any form as a library, which is returned as it is; None stays None."""
    lib = as_ours(lib)
    if lib is None or isinstance(lib, FunctionLibrary):
        return lib
    return FunctionLibrary(tools=lib)


def _iterable(path: str, given: Any) -> Iterable[Any]:
    if given is not None and (isinstance(given, str | Mapping) or not isinstance(given, Iterable)):
        raise InvalidContent(path, given, "a list of functions and declarations")
    return given or ()


def _by_name(declarations: Iterable[Declaration]) -> dict[str, Declaration]:
    by_name: dict[str, Declaration] = {}
    for declared in declarations:
        if declared.name in by_name:
            raise InvalidContent("$.tools", declared.name, "functions with different names")
        by_name[declared.name] = declared
    return by_name


def _message(declared: Declaration) -> WireDeclaration:
    return declared if isinstance(declared, WireDeclaration) else declared.to_proto()


def _listed(tools: ToolsLike) -> list[Tool]:
    if isinstance(tools, str | Mapping | Message) or not isinstance(tools, Iterable):
        return [_tool(tools, "$.tools")]
    given = list(tools)
    listed = [_tool(one, f"$.tools[{i}]") for i, one in enumerate(given)]
    only, is_loose = [], True
    for one, tool in zip(given, listed, strict=True):
        if list(tool.to_proto().json_object) == ["functionDeclarations"]:
            only.append(tool)
            single = len(tool.function_declarations) == 1
            is_loose = is_loose and (single or isinstance(one, FunctionSource))
    if len(only) > 1 and is_loose:
        # As one tool: models know functions of several tools worse, and some refuse them.
        joined = [declared for tool in only for declared in tool.function_declarations]
        rest = [tool for tool in listed if tool not in only]
        return [Tool(function_declarations=joined), *rest]
    return listed


def _tool(given: Any, path: str) -> Tool:
    given = as_ours(given)
    if isinstance(given, Tool):
        return given
    if isinstance(given, FunctionLibrary):
        raise InvalidContent(path, given, "the FunctionLibrary itself in the place of the list")
    if isinstance(given, FunctionSource):
        return Tool(function_declarations=given.declarations())
    if isinstance(given, str):
        if given.lower() not in _NAMED:
            raise UnknownName("tool of the server", given, _NAMED)
        return Tool(**{given.lower(): {}})
    if isinstance(given, WireTool):
        members: dict[str, Any] = {name: getattr(given, name) for name in WireTool.fields}
        return Tool(**{name: value for name, value in members.items() if name in given})
    for message_type, name in _MESSAGES.items():
        if isinstance(given, message_type):
            bundle: dict[str, Any] = {name: given}
            return Tool(**bundle)
    if isinstance(given, Mapping) and "name" not in given:
        names = {field.wire: name for name, field in WireTool.fields.items()}
        return Tool(**{names.get(name, str(name)): value for name, value in given.items()})
    if isinstance(given, Iterable) and not isinstance(given, Mapping | Message):
        return Tool(function_declarations=given)
    if isinstance(given, FunctionDeclaration | WireDeclaration | Mapping) or callable(given):
        return Tool(function_declarations=[to_declaration(given, path)])
    raise InvalidContent(path, given, _FORMS)


def _search_retrieval(given: GoogleSearchRetrieval | Mapping[str, Any]) -> GoogleSearchRetrieval:
    if isinstance(given, GoogleSearchRetrieval):
        return given
    if not isinstance(given, Mapping):
        raise InvalidContent(
            "$.google_search_retrieval", given, "a GoogleSearchRetrieval or its dict"
        )
    config = given.get("dynamic_retrieval_config")
    if isinstance(config, Mapping) and config.get("mode") is not None:
        given = {
            **given,
            "dynamic_retrieval_config": {**config, "mode": to_mode(config["mode"])},
        }
    return GoogleSearchRetrieval(given)


def to_mode(x: RetrievalMode | str | int) -> RetrievalMode:
    """Return when the old form of web search runs, from its number, name or short name."""
    if isinstance(x, str):
        name = x.upper().removeprefix("MODE_")
        if f"MODE_{name}" not in RetrievalMode.__members__:
            raise UnknownName("mode of retrieval", x, RetrievalMode.__members__)
        return RetrievalMode[f"MODE_{name}"]
    return RetrievalMode(x)
