"""Requests: what travels for every form of every argument."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cases import forms, said

CASES: dict[str, forms.Call] = {}
SCHEMA = {"type": "OBJECT", "properties": {"a": {"type": "NUMBER"}}, "required": ["a"]}


def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


def shop(item: str, amount: int, notes: list[str], express: bool = False) -> dict:
    """Put something into the basket."""
    return {"item": item, "amount": amount, "notes": notes, "express": express}


def now() -> str:
    """Tell the time."""
    return "noon"


TOOLS: dict[str, Callable[[Any], Any]] = {
    "a function": lambda g: add,
    "functions": lambda g: [add, shop],
    "function without parameters": lambda g: [now],
    "code_execution": lambda g: "code_execution",
    "google_search_retrieval": lambda g: "google_search_retrieval",
    "a wrong word": lambda g: "teleport",
    "bare dict": lambda g: {"name": "f", "description": "d", "parameters": SCHEMA},
    "list of bare dicts": lambda g: [{"name": "f", "description": "d", "parameters": SCHEMA}],
    "declarations dict": lambda g: {"function_declarations": [
        {"name": "f", "description": "d", "parameters": {
            "type": "object", "properties": {"a": {"type": "string"}}}}]},
    "Tool message": lambda g: g.protos.Tool(function_declarations=[
        g.protos.FunctionDeclaration(name="f", description="d")]),
    "Tool": lambda g: g.types.Tool(function_declarations=[add]),
    "FunctionDeclaration": lambda g: g.types.FunctionDeclaration(
        name="f", description="d", parameters={"type": "object", "properties": {
            "a": {"type": "string", "enum": ["x", "y"]}}}),
    "message in list": lambda g: [g.protos.FunctionDeclaration(name="f", description="d")],
    "library": lambda g: g.types.FunctionLibrary(tools=[add]),
    "two with one name": lambda g: [add, add],
    "search with threshold": lambda g: {"google_search_retrieval": {
        "dynamic_retrieval_config": {"mode": "dynamic", "dynamic_threshold": 0.5}}},
    "CodeExecution": lambda g: g.protos.CodeExecution(),
    "search and functions": lambda g: ["code_execution", add],
    "google_search message": lambda g: g.protos.Tool(google_search={}),
    "a number": lambda g: 7,
}  # fmt: skip
TOOL_CONFIGS: dict[str, Callable[[Any], Any]] = {
    "any": lambda g: {"function_calling_config": "any"},
    "names": lambda g: {"function_calling_config": {
        "mode": "any", "allowed_function_names": ["add"]}},
    "message": lambda g: g.protos.ToolConfig(function_calling_config={"mode": 3}),
}  # fmt: skip
SYSTEM: dict[str, Callable[[Any], Any]] = {
    "text": lambda g: "Be brief.",
    "list": lambda g: ["Be brief.", "Be kind."],
    "content dict": lambda g: {"parts": ["Be brief."]},
    "Content": lambda g: g.protos.Content(parts=[{"text": "Be brief."}]),
    "Part": lambda g: g.protos.Part(text="Be brief."),
    "none": lambda g: None,
    "empty": lambda g: "",
}


def _add(name: str, call: forms.Call) -> None:
    CASES[name] = call


def _model(g: Any, **options: Any) -> Any:
    return g.GenerativeModel("models/m", **options)


def _asked(name: str, form: Callable[[Any], Any], argument: str) -> None:
    """Add a case for an argument of the model, and one for the same of a call."""

    def of_model(g: Any, play: Any) -> Any:
        play(said.HELLO)
        return _model(g, **{argument: form(g)}).generate_content("hi").text

    def of_call(g: Any, play: Any) -> Any:
        play(said.HELLO)
        return _model(g).generate_content("hi", **{argument: form(g)}).text

    _add(f"GenerativeModel({argument}={name})", of_model)
    if argument != "system_instruction":
        _add(f"generate_content({argument}={name})", of_call)


for argument, listed in {
    "tools": TOOLS,
    "tool_config": TOOL_CONFIGS,
    "system_instruction": SYSTEM,
    "safety_settings": forms.SAFETY,
    "generation_config": forms.CONFIGS,
}.items():
    for form_name, form in listed.items():
        _asked(form_name, form, argument)

for form_name, form in forms.MANY.items():

    def generate(g: Any, play: Any, form: Any = form) -> Any:
        play(said.HELLO)
        return _model(g).generate_content(form(g)).text

    def send(g: Any, play: Any, form: Any = form) -> Any:
        play(said.HELLO)
        chat = _model(g).start_chat()
        chat.send_message(form(g))
        return chat.history

    def count(g: Any, play: Any, form: Any = form) -> Any:
        play({"totalTokens": 7})
        return _model(g).count_tokens(form(g))

    _add(f"generate_content({form_name})", generate)
    _add(f"send_message({form_name})", send)
    _add(f"count_tokens({form_name})", count)


def merged(g: Any, play: Any) -> Any:
    play(said.HELLO)
    model = _model(g, generation_config={"temperature": 0.5, "top_k": 3}, safety_settings="low")
    return model.generate_content("hi", generation_config={"top_k": 9}, safety_settings={
        "hate": "none"}).text  # fmt: skip


def count_with_all(g: Any, play: Any) -> Any:
    play({"totalTokens": 9, "cachedContentTokenCount": 2})
    model = _model(g, system_instruction="Be brief.", tools=[add])
    return model.count_tokens("hi", generation_config={"temperature": 0.5})


def bare_name(g: Any, play: Any) -> Any:
    play(said.HELLO)
    model = g.GenerativeModel("gemini-pro")
    return [model.model_name, model.generate_content("hi").text]


def tuned_name(g: Any, play: Any) -> Any:
    play(said.HELLO)
    return g.GenerativeModel("tunedModels/t").generate_content("hi").text


def request_options(g: Any, play: Any) -> Any:
    play(said.HELLO)
    options = g.types.RequestOptions(timeout=20)
    return [
        _model(g).generate_content("hi", request_options=options).text,
        _model(g).generate_content("hi", request_options={"timeout": 20}).text,
    ]


def async_generate(g: Any, play: Any) -> Any:
    play(said.HELLO)

    async def ask() -> Any:
        return (await _model(g).generate_content_async("hi")).text

    return asyncio.run(ask())


def async_stream(g: Any, play: Any) -> Any:
    play(said.stream("Hel", "lo."))

    async def ask() -> Any:
        response = await _model(g).generate_content_async("hi", stream=True)
        return [chunk.text async for chunk in response]

    return asyncio.run(ask())


def async_count(g: Any, play: Any) -> Any:
    play({"totalTokens": 7})

    async def ask() -> Any:
        return await _model(g).count_tokens_async("hi")

    return asyncio.run(ask())


for call in (
    merged, count_with_all, bare_name, tuned_name, request_options, async_generate, async_stream,
    async_count,
):  # fmt: skip
    _add(call.__name__, call)
