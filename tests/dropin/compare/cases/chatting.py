"""Conversations: history, rewind, copies, functions, what a failed turn leaves."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from scripted import Fault

from cases import forms, said
from cases.asking import add
from cases.replying import tried

CASES: dict[str, forms.Call] = {}

HISTORIES = {
    "none": lambda g: None,
    "empty": lambda g: [],
    "dicts": lambda g: [{"role": "user", "parts": ["a"]}, {"role": "model", "parts": ["b"]}],
    "Contents": lambda g: [
        g.protos.Content(role="user", parts=[{"text": "a"}]),
        g.protos.Content(role="model", parts=[{"text": "b"}]),
    ],
    "one text in parts": lambda g: [{"role": "user", "parts": "a"}],
    "calls": lambda g: [
        {"role": "user", "parts": ["a"]},
        {"role": "model", "parts": [g.protos.FunctionCall(name="f", args={"x": 1})]},
        {"role": "user", "parts": [g.protos.FunctionResponse(name="f", response={"y": 2})]},
        {"role": "model", "parts": ["b"]},
    ],
    "a text": lambda g: "a",
    "one dict": lambda g: {"role": "user", "parts": ["a"]},
    "texts": lambda g: ["a", "b"],
    "numbers": lambda g: [1],
}


def case(call: forms.Call) -> forms.Call:
    """Add a case under its function's name."""
    CASES[call.__name__.replace("_", " ")] = call
    return call


def _chat(g: Any, **options: Any) -> Any:
    return g.GenerativeModel("models/m", **options.pop("model", {})).start_chat(**options)


for history_name, history in HISTORIES.items():

    def with_history(g: Any, play: Any, history: Any = history) -> Any:
        play(said.HELLO)
        chat = _chat(g, history=history(g))
        before = len(chat.history)
        chat.send_message("and?")
        return [before, chat.history]

    def set_history(g: Any, play: Any, history: Any = history) -> Any:
        play(said.HELLO)
        chat = _chat(g)
        chat.send_message("hi")
        chat.history = history(g) or []
        chat.send_message("and?")
        return [tried(lambda: len(chat.history)), tried(lambda: chat.history[-1])]

    CASES[f"start_chat(history={history_name})"] = with_history
    CASES[f"history = {history_name}"] = set_history


@case
def three_turns(g: Any, play: Any) -> Any:
    play(said.text("A."), said.text("B."), said.text("C."))
    chat = _chat(g)
    return [[chat.send_message(text).text for text in "abc"], chat.history, len(chat.history)]


@case
def streamed_turns(g: Any, play: Any) -> Any:
    play(said.stream("A", "."), said.stream("B", "."))
    chat = _chat(g)
    pieces = [[c.text for c in chat.send_message(text, stream=True)] for text in "ab"]
    return [pieces, chat.history]


@case
def rewind(g: Any, play: Any) -> Any:
    play(said.text("A."), said.text("B."))
    chat = _chat(g)
    chat.send_message("a")
    chat.send_message("b")
    return [chat.rewind(), list(chat.history), chat.rewind(), list(chat.history)]


@case
def rewind_of_nothing(g: Any, play: Any) -> Any:
    return _chat(g).rewind()


@case
def last(g: Any, play: Any) -> Any:
    play(said.HELLO)
    chat = _chat(g)
    before = chat.last
    chat.send_message("a")
    return [before, chat.last.text]


@case
def a_copy_goes_its_own_way(g: Any, play: Any) -> Any:
    play(said.HELLO)
    chat = _chat(g)
    chat.send_message("a")
    other = copy.copy(chat)
    other.send_message("b")
    return [len(chat.history), len(other.history)]


@case
def unread_stream_blocks_the_history(g: Any, play: Any) -> Any:
    play(said.stream("A", "B"))
    chat = _chat(g)
    response = chat.send_message("a", stream=True)
    early = tried(lambda: len(chat.history))
    response.resolve()
    return [early, len(chat.history)]


@case
def early_text_of_a_stream(g: Any, play: Any) -> Any:
    play(said.stream("A", "B"))
    response = _chat(g).send_message("a", stream=True)
    return response.text


@case
def after_an_error_it_goes_on(g: Any, play: Any) -> Any:
    play(Fault(400, "INVALID_ARGUMENT"), said.text("B."))
    chat = _chat(g)
    first = tried(lambda: chat.send_message("a"))
    return [
        "InvalidArgument" in first["!"] or first["!"][0],
        chat.send_message("b").text,
        chat.history,
    ]


@case
def after_a_block_it_goes_on(g: Any, play: Any) -> Any:
    play(said.BLOCKED, said.text("B."))
    chat = _chat(g)
    first = tried(lambda: chat.send_message("a"))
    return [first["!"][0], chat.send_message("b").text, chat.history]


@case
def repr_of_a_chat(g: Any, play: Any) -> Any:
    play(said.HELLO)
    chat = _chat(g, model={"system_instruction": "Be brief."})
    chat.send_message("a")
    return ["ChatSession" in repr(chat), "Hello." in repr(chat), "models/m" in repr(chat)]


@case
def two_candidates_are_refused(g: Any, play: Any) -> Any:
    play(said.HELLO)
    return _chat(g).send_message("a", generation_config={"candidate_count": 2})


@case
def chat_async(g: Any, play: Any) -> Any:
    play(said.text("A."), said.text("B."))
    chat = _chat(g)

    async def talk() -> Any:
        return [(await chat.send_message_async(text)).text for text in "ab"]

    return [asyncio.run(talk()), chat.history]


@case
def chat_async_streamed(g: Any, play: Any) -> Any:
    play(said.stream("A", "."))
    chat = _chat(g)

    async def talk() -> Any:
        response = await chat.send_message_async("a", stream=True)
        return [chunk.text async for chunk in response]

    return [asyncio.run(talk()), chat.history]


@case
def overrides_hold_for_one_message(g: Any, play: Any) -> Any:
    play(said.HELLO)
    chat = _chat(g, model={"generation_config": {"temperature": 0.5}})
    chat.send_message("a", generation_config={"temperature": 1.0}, safety_settings="none")
    chat.send_message("b")
    return len(chat.history)


@case
def tools_of_a_message(g: Any, play: Any) -> Any:
    play(said.CALL)
    chat = _chat(g)
    response = chat.send_message("a", tools=[add], tool_config={"function_calling_config": "any"})
    call = response.parts[0].function_call
    return [call.name, dict(call.args), len(chat.history)]


@case
def functions_are_called(g: Any, play: Any) -> Any:
    play(said.CALL, said.text("It is 3.5."))
    chat = _chat(g, model={"tools": [add]}, enable_automatic_function_calling=True)
    return [chat.send_message("1 + 2.5?").text, chat.history]


@case
def functions_are_called_twice(g: Any, play: Any) -> Any:
    play(said.CALL, said.CALL, said.text("Done."))
    chat = _chat(g, model={"tools": [add]}, enable_automatic_function_calling=True)
    return [chat.send_message("go").text, len(chat.history)]


@case
def parallel_calls(g: Any, play: Any) -> Any:
    one = {"functionCall": {"name": "add", "args": {"a": 1, "b": 1}}}
    play(said.parts(one, one), said.text("2 and 2."))
    chat = _chat(g, model={"tools": [add]}, enable_automatic_function_calling=True)
    return [chat.send_message("go").text, chat.history]


@case
def answer_a_call_by_hand(g: Any, play: Any) -> Any:
    play(said.CALL, said.text("3.5"))
    chat = _chat(g, model={"tools": [add]})
    chat.send_message("1 + 2.5?")
    answer = g.protos.Part(
        function_response=g.protos.FunctionResponse(name="add", response={"result": 3.5})
    )
    return [chat.send_message(answer).text, chat.history]


@case
def generate_with_a_conversation(g: Any, play: Any) -> Any:
    play(said.HELLO)
    messages = [{"role": "user", "parts": ["a"]}]
    model = g.GenerativeModel("models/m")
    response = model.generate_content(messages)
    messages.append(response.candidates[0].content)
    messages.append({"role": "user", "parts": ["b"]})
    return model.generate_content(messages).text
