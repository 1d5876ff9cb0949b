"""What a model may call, in every form a person may write it, as the wire has it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import multiturn as genai
from multiturn import protos
from multiturn.errors import InvalidContent, SchemaError, UnknownName
from multiturn.request import made_of
from multiturn.tools.accepted import tool_config_object, tool_objects
from multiturn.tools.function_library import FunctionLibrary, to_function_library


def weather(city: str) -> str:
    """Weather now.

    Args:
        city: Name of the city.
    """
    return city


def clock() -> str:
    """The time.
    """  # fmt: skip
    return "noon"


CITY = {"type": "STRING", "description": "Name of the city."}
WEATHER = {
    "name": "weather",
    "description": "Weather now.",
    "parameters": {"type": "OBJECT", "properties": {"city": CITY}, "required": ["city"]},
}
CLOCK = {"name": "clock", "description": "The time."}
BY_HAND: dict[str, Any] = {
    "name": "weather",
    "description": "Weather now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city."}},
        "required": ["city"],
    },
}

FORMS: dict[str, tuple[Any, list[Any]]] = {
    "nothing": (None, []),
    "a function": (weather, [{"functionDeclarations": [WEATHER]}]),
    "functions": ([weather, clock], [{"functionDeclarations": [WEATHER, CLOCK]}]),
    "a declaration": (
        genai.types.FunctionDeclaration(**BY_HAND),
        [{"functionDeclarations": [WEATHER]}],
    ),
    "from a function": (
        genai.types.FunctionDeclaration.from_function(weather),
        [{"functionDeclarations": [WEATHER]}],
    ),
    "a dict": (BY_HAND, [{"functionDeclarations": [WEATHER]}]),
    "a dict of a tool": (
        {"function_declarations": [BY_HAND]},
        [{"functionDeclarations": [WEATHER]}],
    ),
    "a tool": (
        genai.types.Tool(function_declarations=[weather, clock]),
        [{"functionDeclarations": [WEATHER, CLOCK]}],
    ),
    "a message": (
        protos.Tool(function_declarations=[protos.FunctionDeclaration(**CLOCK)]),
        [{"functionDeclarations": [CLOCK]}],
    ),
    "two tools": (
        [[weather, clock], {"google_search": {}}],
        [{"functionDeclarations": [WEATHER, CLOCK]}, {"googleSearch": {}}],
    ),
    "code execution": ("code_execution", [{"codeExecution": {}}]),
    "the old search": (
        {"google_search_retrieval": {"dynamic_retrieval_config": {"mode": "dynamic"}}},
        [{"googleSearchRetrieval": {"dynamicRetrievalConfig": {"mode": "MODE_DYNAMIC"}}}],
    ),
    "search": ("google_search", [{"googleSearch": {}}]),
    "pages": ([{"url_context": {}}], [{"urlContext": {}}]),
    "maps": ([{"google_maps": {"enable_widget": True}}], [{"googleMaps": {"enableWidget": True}}]),
    "files": (
        [{"file_search": {"file_search_store_names": ["fileSearchStores/x"], "top_k": 3}}],
        [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/x"], "topK": 3}}],
    ),
    "a computer": (
        [{"computer_use": {"environment": "ENVIRONMENT_BROWSER"}}],
        [{"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}],
    ),
}


@pytest.mark.parametrize("name", [*FORMS])
def test_every_form_becomes_what_the_wire_has(name: str) -> None:
    given, expected = FORMS[name]
    assert expected == list(tool_objects(given))
    library = to_function_library(given)
    assert expected == list(tool_objects(library))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("any", {"mode": "ANY"}),
        (2, {"mode": "ANY"}),
        ({"mode": "mode_none"}, {"mode": "NONE"}),
        ({"function_calling_config": "auto"}, {"mode": "AUTO"}),
        (
            {"function_calling_config": {"mode": "any", "allowed_function_names": ["weather"]}},
            {"mode": "ANY", "allowedFunctionNames": ["weather"]},
        ),
    ],
    ids=str,
)
def test_every_form_of_the_rules_becomes_what_the_wire_has(given: Any, expected: Any) -> None:
    assert {"functionCallingConfig": expected} == tool_config_object(given)


def test_what_is_no_tool_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="did you mean 'google_search'"):
        tool_objects("google_serch")
    with pytest.raises(InvalidContent, match=r"\$\.tools\[1\]|\$\.tools is 3|3"):
        tool_objects([weather, 3])
    with pytest.raises(InvalidContent, match="different names"):
        tool_objects([weather, weather])


def test_a_library_finds_and_runs_functions_by_name() -> None:
    library = FunctionLibrary([weather, {"name": "door", "description": "Opens."}])
    call = protos.FunctionCall(name="weather", args={"city": "Oslo"}, id="7")
    part = library(call)
    assert part is not None
    assert {"name": "weather", "response": {"result": "Oslo"}, "id": "7"} == dict(
        part.json_object["functionResponse"]
    )
    assert None is library(protos.FunctionCall(name="door"))
    with pytest.raises(KeyError):
        library["window"]


def test_what_is_made_of_tools_is_made_once() -> None:
    asked: list[Any] = []

    def make(tools: Any) -> str:
        asked.append(tools)
        return str(tools)

    tools = tool_objects([weather])
    assert tools.made(make) is tools.made(make) is made_of(tools, make)
    assert [tools] == asked
    assert str([CLOCK]) == made_of([CLOCK], make)  # what others made may change
    assert made_of([CLOCK], make) is not made_of([CLOCK], make)


def test_tools_are_copied_and_pickled_without_what_was_made_of_them() -> None:
    tools = tool_objects([weather, clock])
    assert 2 == tools.made(lambda given: len(given[0]["functionDeclarations"]))
    for again in (pickle.loads(pickle.dumps(tools)), copy.deepcopy(tools)):
        assert (tools, type(tools)) == (again, type(again))


def test_a_message_that_changes_later_does_not_change_what_a_model_may_call() -> None:
    library = FunctionLibrary([BY_HAND])
    tools = tool_objects(library)
    library.to_proto()[0].function_declarations[0].name = "climate"
    assert "weather" == tools[0]["functionDeclarations"][0]["name"]


BAD_NAMES = ["bad name!", "", "größe", "a" * 129, "a.b" + "c" * 126, "new\nline"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_declared_name_that_no_service_takes_is_refused_with_the_rule(name: str) -> None:
    forms = (
        {"name": name, "description": "Does."},
        {"function_declarations": [{"name": name}]},
        protos.FunctionDeclaration(name=name, description="Does."),
        protos.Tool(function_declarations=[{"name": name}]),
    )
    for form in forms:
        with pytest.raises(InvalidContent, match=r"ASCII letters, digits, _ and -") as refused:
            genai.GenerativeModel(tools=[form])
        assert name == refused.value.value
    with pytest.raises(InvalidContent, match=r"^\$\.name is "):
        genai.types.FunctionDeclaration(name=name, description="Does.")


@pytest.mark.parametrize("name", ["a", "_a", "1a", "a-b", "a.b:c", "a" * 128])
def test_a_declared_name_that_some_service_takes_is_taken(name: str) -> None:
    (tool,) = tool_objects([{"name": name, "description": "Does."}])
    assert name == tool["functionDeclarations"][0]["name"]


def test_a_function_is_declared_under_another_name_and_text() -> None:
    def größer(a: int) -> int:  # noqa: PLC2401
        """Größer als."""
        return a + 1

    with pytest.raises(SchemaError, match=r"FunctionDeclaration\.from_function\(.*name=…\)"):
        tool_objects([größer])

    made = genai.types.FunctionDeclaration.from_function(größer, name="add", description="Adds.")

    assert [("add", "Adds.")] == [
        (declared["name"], declared["description"])
        for tool in tool_objects([made])
        for declared in tool["functionDeclarations"]
    ]
    assert {"result": 3} == made(protos.FunctionCall(name="add", args={"a": 2})).response
