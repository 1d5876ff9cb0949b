"""Everything that turns what a person writes into messages, called directly."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

loads = json.loads
Call = Callable[[Any, Callable[..., None]], Any]
CASES: dict[str, Call] = {}


def _with(function: str, module: str, forms: dict[str, Callable[[Any], Any]]) -> None:
    for name, form in forms.items():

        def call(g: Any, play: Any, form: Any = form) -> Any:
            home = importlib.import_module(f"google.generativeai.types.{module}")
            return getattr(home, function)(form(g))

        CASES[f"{function}({name})"] = call


PARTS: dict[str, Callable[[Any], Any]] = {
    "text": lambda g: "hello",
    "umlauts": lambda g: "grüße 🪁",
    "text dict": lambda g: {"text": "hello"},
    "Part": lambda g: g.protos.Part(text="hello"),
    "blob dict": lambda g: {"mime_type": "image/png", "data": b"\x89PNG"},
    "Blob": lambda g: g.protos.Blob(mime_type="image/png", data=b"\x89PNG"),
    "inline_data dict": lambda g: {"inline_data": {"mime_type": "image/png", "data": b"12"}},
    "file_data dict": lambda g: {"file_data": {"mime_type": "a/b", "file_uri": "https://x/f"}},
    "FileData": lambda g: g.protos.FileData(mime_type="a/b", file_uri="https://x/f"),
    "protos.File": lambda g: g.protos.File(name="files/a", mime_type="a/b", uri="https://x/f"),
    "File": lambda g: g.types.File({"name": "files/a", "mime_type": "a/b", "uri": "https://x/f"}),
    "FunctionCall": lambda g: g.protos.FunctionCall(name="f", args={"a": 1.5, "b": ["x", None]}),
    "FunctionResponse": lambda g: g.protos.FunctionResponse(name="f", response={"a": True}),
    "function_call dict": lambda g: {"function_call": {"name": "f", "args": {"a": "b"}}},
    "function_response dict": lambda g: {"function_response": {"name": "f", "response": {}}},
    "executable_code Part": lambda g: g.protos.Part(executable_code={"language": 1, "code": "1"}),
    "PIL image": lambda g: _image(),
    "a number": lambda g: 7,
    "an object": lambda g: object(),
    "a wrong dict": lambda g: {"nothing": 1},
    "half a blob": lambda g: {"mime_type": "image/png"},
    "None": lambda g: None,
    "bytes": lambda g: b"\x00\x01",
}
CONTENTS: dict[str, Callable[[Any], Any]] = {
    **PARTS,
    "empty text": lambda g: "",
    "Content": lambda g: g.protos.Content(role="user", parts=[{"text": "a"}]),
    "content dict": lambda g: {"role": "user", "parts": ["a", "b"]},
    "content dict of dicts": lambda g: {"role": "model", "parts": [{"text": "a"}]},
    "content dict without role": lambda g: {"parts": ["a"]},
    "content dict, one text": lambda g: {"role": "user", "parts": "a"},
    "list of texts": lambda g: ["a", "b"],
    "tuple of texts": lambda g: ("a", "b"),
    "mixed list": lambda g: ["a", {"mime_type": "a/b", "data": b"1"}, g.protos.Part(text="c")],
    "generator": lambda g: (piece for piece in ["a", "b"]),
    "empty list": lambda g: [],
    "list with a number": lambda g: ["a", 7],
    "wrong role": lambda g: {"role": "robot", "parts": ["a"]},
}
MANY: dict[str, Callable[[Any], Any]] = {
    **CONTENTS,
    "list of Contents": lambda g: [g.protos.Content(role="user", parts=[{"text": "a"}])] * 2,
    "list of content dicts": lambda g: [
        {"role": "user", "parts": ["a"]}, {"role": "model", "parts": ["b"]},
    ],
    "contents and a text": lambda g: [{"role": "user", "parts": ["a"]}, "b"],
}  # fmt: skip


def _image() -> Any:
    import PIL.Image

    return PIL.Image.new("RGB", (2, 2), (200, 10, 10))


_with("to_part", "content_types", PARTS)
_with("to_content", "content_types", CONTENTS)
_with("to_contents", "content_types", MANY)
_with("strict_to_content", "content_types", {
    name: CONTENTS[name] for name in ("Content", "content dict", "text", "list of texts", "None")
})  # fmt: skip
_with("to_blob", "content_types", {
    name: PARTS[name] for name in ("Blob", "blob dict", "PIL image", "text", "a wrong dict")
})  # fmt: skip
_with("is_part_dict", "content_types", {
    "text": lambda g: {"text": ""}, "two": lambda g: {"text": "", "role": ""},
    "other": lambda g: {"mime_type": ""},
})  # fmt: skip
_with("to_function_calling_mode", "content_types", {
    repr(mode): (lambda g, mode=mode: mode) for mode in ("auto", "ANY", "mode_none", 1, 3, "x", 9)
})  # fmt: skip
_with("to_tool_config", "content_types", {
    "mode": lambda g: {"function_calling_config": "any"},
    "number": lambda g: {"function_calling_config": 2},
    "dict": lambda g: {"function_calling_config": {"mode": "none"}},
    "names": lambda g: {"function_calling_config": {
        "mode": "ANY", "allowed_function_names": ["f"]}},
    "message": lambda g: g.protos.ToolConfig(function_calling_config={"mode": 1}),
    "inner message": lambda g: {"function_calling_config": g.protos.FunctionCallingConfig(mode=3)},
    "wrong mode": lambda g: {"function_calling_config": "sometimes"},
    "a list": lambda g: [],
})  # fmt: skip
_with("to_mode", "content_types", {
    repr(mode): (lambda g, mode=mode: mode) for mode in ("dynamic", "MODE_UNSPECIFIED", 1, "x")
})  # fmt: skip
_with("to_file_data", "file_types", {
    name: PARTS[name] for name in ("FileData", "protos.File", "File", "text")
})  # fmt: skip
_with("to_optional_ttl", "caching_types", {
    "seconds": lambda g: 7, "none": lambda g: None, "dict": lambda g: {"seconds": 3},
    "timedelta": lambda g: __import__("datetime").timedelta(minutes=2, milliseconds=500),
    "text": lambda g: "7s",
})  # fmt: skip
_with("make_model_name", "model_types", {
    repr(name): (lambda g, name=name: name)
    for name in ("x", "models/x", "other/x", "tunedModels/x")
})  # fmt: skip
for kind in ("harassment", "HATE", "sex", "dangerous", "harm_category_sexual", 7, 10, "x", 99):
    _with("to_harm_category", "safety_types", {repr(kind): lambda g, kind=kind: kind})
for limit in ("low", "med", "MEDIUM", "high", "block_none", "unspecified", 1, 4, "x", 77):
    _with("to_block_threshold", "safety_types", {repr(limit): lambda g, limit=limit: limit})
SAFETY: dict[str, Callable[[Any], Any]] = {
    "none": lambda g: None,
    "a word": lambda g: "low",
    "a number": lambda g: 3,
    "a member": lambda g: g.types.HarmBlockThreshold.BLOCK_NONE,
    "dict of words": lambda g: {"hate": "high", "harassment": "low"},
    "dict of members": lambda g: {
        g.types.HarmCategory.HARM_CATEGORY_HARASSMENT: g.types.HarmBlockThreshold.BLOCK_ONLY_HIGH
    },
    "list of dicts": lambda g: [{"category": "danger", "threshold": "none"}],
    "list of full names": lambda g: [
        {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_MEDIUM_AND_ABOVE"}
    ],
    "list of messages": lambda g: [g.protos.SafetySetting(category=7, threshold=2)],
    "OFF": lambda g: {"hate": "off"},
    "CIVIC_INTEGRITY": lambda g: {"HARM_CATEGORY_CIVIC_INTEGRITY": "low"},
    "a wrong kind": lambda g: {"rudeness": "low"},
    "a wrong limit": lambda g: {"hate": "rather low"},
}
_with("to_easy_safety_dict", "safety_types", SAFETY)
CONFIGS: dict[str, Callable[[Any], Any]] = {
    "none": lambda g: None,
    "dict": lambda g: {"temperature": 0.5, "max_output_tokens": 9},
    "object": lambda g: g.GenerationConfig(temperature=0.25, top_k=3),
    "types object": lambda g: g.types.GenerationConfig(stop_sequences=["a", "b"], top_p=0.5),
    "message": lambda g: g.protos.GenerationConfig(temperature=0.5, candidate_count=1),
    "tuple of stops": lambda g: {"stop_sequences": ("a", "b")},
    "one stop": lambda g: {"stop_sequences": "END"},
    "penalties": lambda g: {"presence_penalty": 0.5, "frequency_penalty": -0.5},
    "JSON": lambda g: {"response_mime_type": "application/json"},
    "schema message": lambda g: {
        "response_mime_type": "application/json",
        "response_schema": g.protos.Schema(type=6, properties={"a": {"type": 1}}),
    },
    "schema dict": lambda g: {"response_schema": {
        "type": "ARRAY", "items": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}},
    "schema of list": lambda g: {"response_schema": list[str]},
    "schema of int": lambda g: {"response_schema": int},
    "schema of enum": lambda g: {
        "response_mime_type": "text/x.enum", "response_schema": _colour()},
    "schema of TypedDict": lambda g: {"response_schema": _recipe()},
    "schema of list of TypedDict": lambda g: {"response_schema": list[_recipe()]},
    "wrong name": lambda g: {"temprature": 1},
    "wrong type": lambda g: {"temperature": "hot"},
    "a list": lambda g: [1],
}  # fmt: skip


def _colour() -> Any:
    import enum

    return enum.Enum("Colour", {"RED": "red", "BLUE": "blue"})


def _recipe() -> Any:
    from typing import TypedDict

    from typing_extensions import TypedDict as OldTypedDict

    assert TypedDict
    return OldTypedDict("Recipe", {"name": str, "grams": int, "steps": list[str]})


_with("to_generation_config_dict", "generation_types", CONFIGS)
