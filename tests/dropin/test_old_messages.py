"""Messages and tools that the old SDK has made are taken as ours."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.dropin.conftest import nightly, run

import multiturn as genai
from multiturn.testing import ScriptedBackend, function_calls

SAID = {"role": "user", "parts": [{"text": "Hi"}, {"functionCall": {"name": "f", "args": {}}}]}
DECLARED = {"name": "f", "description": "Does."}

REAL = """
from google.ai import generativelanguage as glm
from google.protobuf.struct_pb2 import Struct
import multiturn as genai
from multiturn.testing import ScriptedBackend
part = glm.Part(inline_data=glm.Blob(mime_type="image/png", data=b"\\x00\\xff"))
said = glm.Content(role="user", parts=[glm.Part(text="Hi"), part])
calls = glm.FunctionCallingConfig(mode="ANY")
schema = glm.Schema(type=glm.Type.OBJECT, properties={"a": glm.Schema(type=glm.Type.INTEGER)})
tool = glm.Tool(function_declarations=[glm.FunctionDeclaration(name="f", parameters=schema)])
rules = glm.ToolConfig(function_calling_config=calls)
model = genai.GenerativeModel(backend=ScriptedBackend("Yes."), tools=tool, tool_config=rules)
given = glm.GenerateContentRequest(contents=[said, said]).contents
history = model.start_chat(history=given).history
assert [b"\\x00\\xff"] * 2 == [content.parts[1].inline_data.data for content in history]
model.generate_content(["Look", part])
asked = model.backend.requests[0]
assert "OBJECT" == asked.tools[0]["functionDeclarations"][0]["parameters"]["type"]
assert {"functionCallingConfig": {"mode": "ANY"}} == asked.tool_config
response = Struct()
response.update({"knots": 12})
assert {"knots": 12} == genai.protos.FunctionResponse(name="wind", response=response).response
from google.generativeai import types as old
def double(n: int) -> int:
    "Doubles a number."
    return 2 * n
parameters = {"type": "object", "properties": {"a": {"type": "integer"}}}
declared = old.FunctionDeclaration(name="f", description="Does.", parameters=parameters)
runs = old.FunctionDeclaration.from_function(double)
for tools in (
    declared, [declared, runs], old.Tool(function_declarations=[declared, runs]), runs,
    old.content_types.to_function_library([declared, runs]), [old.Tool(code_execution={})],
    genai.types.Tool(function_declarations=[declared]),
):
    backend = ScriptedBackend("Yes.")
    config = old.GenerationConfig(temperature=0.5)
    model = genai.GenerativeModel(backend=backend, tools=tools, generation_config=config)
    model.generate_content("Hi")
    assert 0.5 == backend.requests[0].generation_config["temperature"]
    assert backend.requests[0].tools
from multiturn.testing import function_calls
backend = ScriptedBackend(function_calls(("double", {"n": 4})), "Eight.")
model = genai.GenerativeModel(backend=backend, tools=old.Tool(function_declarations=[runs]))
chat = model.start_chat(enable_automatic_function_calling=True)
assert "Eight." == chat.send_message("Go").text
assert {"result": 8} == chat.history[2].parts[0].function_response.response
for config in (glm.GenerationConfig(temperature=0.5), {"response_schema": schema}):
    model = genai.GenerativeModel(backend=ScriptedBackend("Yes."), generation_config=config)
    model.generate_content("Hi")
rated = [glm.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_NONE")]
model = genai.GenerativeModel(backend=ScriptedBackend("Yes."), safety_settings=rated)
model.generate_content("Hi")
print("all")
"""


def generated(name: str, wire: dict[str, Any]) -> Any:
    """Make what looks like a message of proto-plus, which is installed in the nightly test only."""

    def to_json(message: Any, *, including_default_value_fields: bool) -> str:
        assert not including_default_value_fields
        return json.dumps(wire)

    module = "google.ai.generativelanguage_v1beta.types.content"
    return type(name, (), {"__module__": module, "to_json": staticmethod(to_json)})()


def test_a_content_of_the_old_sdk_is_a_content() -> None:
    backend = ScriptedBackend("Yes.", "Yes.", "Yes.")
    model = genai.GenerativeModel(backend=backend)
    said, part = generated("Content", SAID), generated("Part", {"text": "Hi"})
    chat = model.start_chat(history=[said])
    chat.history.append(said)

    model.generate_content(said)
    model.generate_content([said])
    model.generate_content(["Look", part])

    assert [SAID, SAID] == [content.json_object for content in chat.history]
    assert [[SAID], [SAID]] == [[c.json_object for c in r.contents] for r in backend.requests[:2]]
    assert "Look|Hi" == "|".join(one.text for one in backend.requests[2].contents[0].parts)


def test_a_member_of_a_dict_may_be_a_message_of_the_old_sdk() -> None:
    call = generated("FunctionCall", {"name": "f", "args": {"a": 5.0}})
    history = [{"role": "model", "parts": [{"function_call": call}, call]}]

    chat = genai.GenerativeModel().start_chat(history=history)

    assert [{"a": 5}] * 2 == [part.function_call.args for part in chat.history[0].parts]


@pytest.mark.parametrize(
    "tools",
    [
        generated("Tool", {"functionDeclarations": [DECLARED]}),
        [generated("Tool", {"functionDeclarations": [DECLARED]})],
        [generated("FunctionDeclaration", DECLARED)],
    ],
)
def test_a_tool_of_the_old_sdk_is_a_tool(tools: Any) -> None:
    rules = {"functionCallingConfig": {"mode": "ANY"}}
    backend = ScriptedBackend("Yes.")
    model = genai.GenerativeModel(
        backend=backend, tools=tools, tool_config=generated("ToolConfig", rules)
    )

    model.generate_content("Hi")

    assert ({"functionDeclarations": [DECLARED]},) == backend.requests[0].tools
    assert rules == backend.requests[0].tool_config


def wrapper(name: str, **members: Any) -> Any:
    """Make what looks like an object of a class of ``google.generativeai.types``."""
    return type(name, (), {"__module__": "google.generativeai.types.content_types", **members})()


def old_declaration(**members: Any) -> Any:
    """Make what looks like a declaration, of a function that can be run if one is given."""

    def to_proto(declared: Any) -> Any:
        return generated("FunctionDeclaration", DECLARED)

    name = "CallableFunctionDeclaration" if members else "FunctionDeclaration"
    # It takes a FunctionCall, and is none of the functions that a model can be told of.
    return wrapper(name, to_proto=to_proto, __call__=lambda declared, fc: None, **members)


def old_tool(declared: Any) -> Any:
    """Make what looks like a Tool, which can be called too."""
    proto = generated("Tool", {"functionDeclarations": [DECLARED]})
    members = {"function_declarations": [declared], "to_proto": lambda tool: proto}
    return wrapper("Tool", **members, __call__=lambda tool, fc: None)


def act() -> str:
    return "done"


OLD = old_declaration(function=staticmethod(act))


@pytest.mark.parametrize(
    "tools", [OLD, [OLD], old_tool(OLD), [old_tool(OLD)], wrapper("FunctionLibrary", _tools=[OLD])]
)
def test_functions_that_the_old_sdk_wrapped_are_declared_as_they_were_and_run(tools: Any) -> None:
    backend = ScriptedBackend(function_calls(("f", {})), "Yes.")
    model = genai.GenerativeModel(backend=backend, tools=tools)
    chat = model.start_chat(enable_automatic_function_calling=True)

    assert "Yes." == chat.send_message("Hi").text

    assert ({"functionDeclarations": [DECLARED]},) == backend.requests[0].tools
    assert {"result": "done"} == chat.history[2].parts[0].function_response.response


@pytest.mark.parametrize(
    "tools",
    [
        old_declaration(),
        genai.types.Tool(function_declarations=[old_declaration()]),
        old_tool(generated("FunctionDeclaration", DECLARED)),
    ],
)
def test_a_declaration_that_the_old_sdk_wrapped_is_one(tools: Any) -> None:
    backend = ScriptedBackend("Yes.")

    genai.GenerativeModel(backend=backend, tools=tools).generate_content("Hi")

    assert ({"functionDeclarations": [DECLARED]},) == backend.requests[0].tools


def test_a_schema_may_hold_schemas_of_the_old_sdk_at_any_depth() -> None:
    inner = generated("Schema", {"type": "STRING"})
    given = {"type": "object", "properties": {"a": inner, "b": {"type": "array", "items": inner}}}
    backend = ScriptedBackend("Yes.")
    model = genai.GenerativeModel(
        backend=backend,
        generation_config={"response_schema": given},
    )
    model.generate_content("Hi")
    text = {"type": "STRING"}
    assert {
        "type": "OBJECT",
        "properties": {"a": text, "b": {"type": "ARRAY", "items": text}},
    } == backend.requests[0].generation_config["responseSchema"]
    declared = genai.types.FunctionDeclaration(name="f", description="Does.", parameters=given)
    assert text == declared.to_proto().json_object["parameters"]["properties"]["a"]


OLD_ENUM = enum.IntEnum("Type", ["STRING"], module="google.ai.generativelanguage_v1beta.types")


@pytest.mark.parametrize(
    "given",
    [
        {"contents": OLD_ENUM.STRING},
        {"contents": "Hi", "tools": [OLD_ENUM.STRING]},
        {"contents": "Hi", "generation_config": {"response_schema": OLD_ENUM.STRING}},
    ],
    ids=["content", "tool", "schema"],
)
def test_an_enum_of_the_old_sdk_is_refused_where_a_message_belongs(given: dict[str, Any]) -> None:
    model = genai.GenerativeModel(backend=ScriptedBackend("Yes."))
    with pytest.raises(genai.UsageError, match=r"Type\.STRING: 1"):
        model.generate_content(**given)


def test_settings_of_the_old_sdk_are_settings() -> None:
    rating = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    backend = ScriptedBackend("Yes.", "Yes.")
    model = genai.GenerativeModel(
        backend=backend,
        generation_config=generated("GenerationConfig", {"temperature": 0.5}),
        safety_settings=[generated("SafetySetting", rating)],
    )
    schema = generated("Schema", {"type": "INTEGER"})

    model.generate_content("Hi")
    model.generate_content("Hi", generation_config={"response_schema": schema})

    assert {"temperature": 0.5} == backend.requests[0].generation_config
    assert [rating] == [*backend.requests[0].safety_settings]
    assert {"type": "INTEGER"} == backend.requests[1].generation_config["responseSchema"]


@pytest.mark.parametrize(
    ("name", "instead"),
    [("ChatSession", r"chat\.history"), ("GenerateContentResponse", r"response\.text")],
)
def test_what_is_no_content_of_the_old_sdk_is_refused_with_what_to_pass(
    name: str, instead: str
) -> None:
    given = wrapper(name)
    for contents in (given, [{"role": "user", "parts": ["Hi"]}, given]):
        with pytest.raises(genai.InvalidContent, match=instead):
            genai.GenerativeModel().start_chat(history=contents)


def test_a_library_in_a_list_is_refused() -> None:
    library = genai.types.content_types.FunctionLibrary([act])
    with pytest.raises(genai.InvalidContent, match="itself in the place of the list"):
        genai.GenerativeModel(tools=[library])


def test_a_tool_among_declarations_is_refused() -> None:
    tool = genai.types.Tool(function_declarations=[DECLARED])
    with pytest.raises(genai.InvalidContent, match="expected a function"):
        genai.types.Tool(function_declarations=[tool])


@nightly
def test_the_real_messages_are_taken(interpreter: Callable[..., Path], tmp_path: Path) -> None:
    python = interpreter("google-generativeai==0.8.6")

    assert "all" == run(python, "-c", REAL, cwd=tmp_path).strip()
