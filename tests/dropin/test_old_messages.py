"""Messages that the old SDK's generated client has made are taken as ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.dropin.conftest import nightly, run

import multiturn as genai
from multiturn.testing import ScriptedBackend

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


@nightly
def test_the_real_messages_are_taken(interpreter: Callable[..., Path], tmp_path: Path) -> None:
    python = interpreter("google-generativeai==0.8.6")

    assert "all" == run(python, "-c", REAL, cwd=tmp_path).strip()
