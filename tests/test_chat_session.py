"""The contract of ChatSession, member by member."""

from __future__ import annotations

import copy
import inspect
import threading
from typing import Any

import pytest

import multiturn as genai
from multiturn import ChatSession, GenerativeModel, protos, types
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    IncompleteIterationError,
    InvalidContent,
    SessionBusy,
    TurnCancelled,
)
from multiturn.testing import Pause, ScriptedBackend
from ways import (
    BLOCKED,
    Way,
    conversation,
    said,
    until,
    wire,
)

SIGNATURE = (
    "(content, *, generation_config, safety_settings, stream, tools, tool_config, request_options)"
)


@pytest.mark.parametrize("name", ["send_message", "send_message_async"])
def test_the_signature_of_send_message_is_that_of_the_old_sdk(name: str) -> None:
    parameters = list(inspect.signature(getattr(ChatSession, name)).parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    assert SIGNATURE == f"(content, *, {', '.join(names[1:])})"
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[1:])
    assert {None, False} == {p.default for p in parameters[1:]}


def test_a_session_is_made_with_the_old_positional_arguments() -> None:
    model = GenerativeModel(backend=ScriptedBackend())
    chat = ChatSession(model, [{"role": "user", "parts": ["Hi"]}], True)
    assert model is chat.model
    assert ["Hi"] == said(chat)
    assert chat.enable_automatic_function_calling is True


def test_a_chat_begins_empty_with_no_last_response() -> None:
    chat, _ = conversation()
    assert [] == chat.history
    assert [] == chat.turns
    assert () == chat.journal
    assert chat.last is None


async def test_a_turn_adds_the_message_and_the_reply(way: Way) -> None:
    chat, backend = conversation("Hello.")
    response = await way.send(chat, "Hi")
    assert "Hello." == response.text
    assert [
        {"parts": [{"text": "Hi"}], "role": "user"},
        {"parts": [{"text": "Hello."}], "role": "model"},
    ] == wire(chat)
    assert ["answered"] == [entry.outcome for entry in chat.journal]
    assert chat.turns[-1] is chat.journal[0].turn
    assert 0 == backend.open_streams


async def test_the_kind_of_response_is_that_of_the_way(way: Way) -> None:
    chat, _ = conversation("Hello.")
    expected = {
        "sync": types.GenerateContentResponse,
        "async": types.AsyncGenerateContentResponse,
    }[way.name]
    assert type(await way.send(chat, "Hi")) is expected


async def test_the_history_is_sent_with_every_message(way: Way) -> None:
    chat, backend = conversation("A.", "B.")
    await way.send(chat, "a")
    await way.send(chat, "b")
    texts = [[content.text for content in request.contents] for request in backend.requests]
    assert [["a"], ["a", "A.", "b"]] == texts


async def test_a_stream_ends_in_the_same_state_as_a_whole_reply(way: Way) -> None:
    pieces = ["In ", "pie", "ces."]
    streamed, _ = conversation(pieces)
    whole, _ = conversation(pieces)
    response = await way.send(streamed, "Hi", stream=True)
    assert pieces == [chunk.text async for chunk in way.read(response)]
    other = await way.send(whole, "Hi")
    assert "In pieces." == response.text == other.text
    assert wire(whole) == wire(streamed)
    assert response.to_dict() == other.to_dict()
    assert streamed.last is response
    assert repr(other) == repr(response)


async def test_history_grows_only_when_the_stream_is_complete(way: Way) -> None:
    chat, _ = conversation(["One", "Two"])
    response = await way.send(chat, "Hi", stream=True)
    reader = way.read(response)
    for _ in range(2):
        await anext(reader)
        assert [] == chat.history
    with pytest.raises(StopAsyncIteration):
        await anext(reader)
    assert ["Hi", "OneTwo"] == said(chat)


async def test_resolve_completes_a_stream(way: Way) -> None:
    chat, _ = conversation(["One", "Two"])
    response = await way.send(chat, "Hi", stream=True)
    with pytest.raises(IncompleteIterationError):
        _ = response.text
    await way.resolve(response)
    await way.resolve(response)
    assert "OneTwo" == response.text
    assert ["Hi", "OneTwo"] == said(chat)


async def test_overrides_hold_for_one_message_and_are_merged(way: Way) -> None:
    chat, backend = conversation(
        "A.", "B.", generation_config={"temperature": 0.5, "top_k": 3}, safety_settings="high"
    )
    await way.send(
        chat,
        "a",
        generation_config={"top_k": 7, "stop_sequences": "END"},
        safety_settings={"hate": "none"},
        tools=[{"google_search": {}}],
        tool_config={"mode": "NONE"},
        request_options={"timeout": 9},
    )
    await way.send(chat, "b")
    first, second = backend.requests
    assert {"temperature": 0.5, "topK": 7, "stopSequences": ["END"]} == first.generation_config
    assert {"temperature": 0.5, "topK": 3} == second.generation_config
    hate = "HARM_CATEGORY_HATE_SPEECH"
    thresholds = [
        {s["category"]: s["threshold"] for s in request.safety_settings}[hate]
        for request in backend.requests
    ]
    assert ["BLOCK_NONE", "BLOCK_ONLY_HIGH"] == thresholds
    assert (({"googleSearch": {}},), ()) == (first.tools, second.tools)
    assert {"functionCallingConfig": {"mode": "NONE"}} == first.tool_config
    assert second.tool_config is None
    assert (9.0, None) == (first.timeout_seconds, second.timeout_seconds)


async def test_the_system_instruction_goes_along_but_is_not_history(way: Way) -> None:
    chat, backend = conversation("Yo.", system_instruction="Be brief.")
    await way.send(chat, "Hi")
    assert "Be brief." == backend.requests[0].system_instruction.text  # type: ignore[union-attr]
    assert ["Hi", "Yo."] == said(chat)


async def test_the_model_may_be_replaced_between_turns(way: Way) -> None:
    chat, _ = conversation("A.")
    await way.send(chat, "a")
    other = ScriptedBackend("B.")
    chat.model = GenerativeModel(backend=other)
    await way.send(chat, "b")
    assert ["a", "A.", "b"] == [c.text for c in other.requests[0].contents]


# -- history -----------------------------------------------------------------------------


async def test_a_history_that_was_taken_does_not_change(way: Way) -> None:
    chat, _ = conversation("Hello.", "Ho.")
    await way.send(chat, "Hi")
    taken = chat.history
    await way.send(chat, "Hey")
    assert (2, 4) == (len(taken), len(chat.history))
    assert chat.history is not chat.history


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ([], []),
        ("Hi", [("user", ["Hi"])]),
        (["a", "b"], [("user", ["a", "b"])]),
        ({"role": "user", "parts": "Hi"}, [("user", ["Hi"])]),
        ([{"role": "user", "parts": ["Hi"]}], [("user", ["Hi"])]),
        (
            [
                {"role": "user", "parts": ["Hi"]},
                protos.Content(role="model", parts=[{"text": "H"}]),
            ],
            [("user", ["Hi"]), ("model", ["H"])],
        ),
        ((c for c in [{"role": "user", "parts": ["1st"]}]), [("user", ["1st"])]),
    ],
)
def test_history_may_be_given_in_any_old_form(given: Any, expected: Any) -> None:
    chat = GenerativeModel(backend=ScriptedBackend()).start_chat(history=given)
    assert expected == [(c.role, [p.text for p in c.parts]) for c in chat.history]


async def test_setting_history_replaces_the_conversation(way: Way) -> None:
    chat, backend = conversation("A.", "B.")
    await way.send(chat, "a")
    chat.history = [{"role": "user", "parts": ["x"]}, {"role": "model", "parts": ["X."]}]
    assert chat.last is None
    await way.send(chat, "b")
    assert ["x", "X.", "b"] == [c.text for c in backend.requests[1].contents]
    assert ["x", "X.", "b", "B."] == said(chat)


async def test_setting_history_ends_a_half_read_stream(way: Way) -> None:
    chat, backend = conversation(["One", "Two"])
    response = await way.send(chat, "Hi", stream=True)
    reader = way.read(response)
    await anext(reader)
    chat.history = []
    assert [] == chat.history
    with pytest.raises(BrokenResponseError, match="another call on this session"):
        _ = [chunk async for chunk in reader]
    assert "abandoned" == chat.journal[0].outcome
    await way.idle()
    assert 0 == backend.open_streams


async def test_an_edited_history_may_be_set_again(way: Way) -> None:
    chat, backend = conversation("A.", "B.")
    await way.send(chat, "a")
    edited = copy.deepcopy(chat.history)
    edited[1].parts[0].text = "Edited."
    chat.history = edited
    edited[1].parts[0].text = "Later."
    await way.send(chat, "b")
    assert ["a", "Edited.", "b"] == [c.text for c in backend.requests[1].contents]


def test_bad_history_is_refused_and_changes_nothing() -> None:
    chat, _ = conversation(history=[{"role": "user", "parts": ["x"]}])
    with pytest.raises(InvalidContent) as caught:
        chat.history = [{"role": "user", "parts": [{"text": 3}]}]
    assert "$.history[0].parts[0].text" == caught.value.path
    assert ["x"] == said(chat)


# -- last --------------------------------------------------------------------------------


async def test_last_is_the_last_response_and_reading_keeps_it(way: Way) -> None:
    chat, _ = conversation("A.", "B.")
    await way.send(chat, "a")
    response = await way.send(chat, "b")
    for _ in range(2):
        assert chat.last is response
        _ = chat.history, repr(chat), copy.copy(chat), chat.turns, chat.journal
    assert chat.last is response


async def test_last_is_the_arriving_response_while_it_streams(way: Way) -> None:
    chat, _ = conversation("A.", ["B", "."])
    before = await way.send(chat, "a")
    response = await way.send(chat, "b", stream=True)
    assert chat.last is response
    del response
    await way.idle()
    assert chat.last is not before or chat.last.text == "A."


async def test_last_holds_the_partial_reply_of_a_turn_that_failed(way: Way) -> None:
    chat, _ = conversation(["One", "Two", BackendError("cable cut")])
    with pytest.raises(BackendError, match="cable cut") as caught:
        await way.send(chat, "a")
    assert "OneTwo" == chat.last.text  # type: ignore[union-attr]
    assert chat.last.error is caught.value  # type: ignore[union-attr]
    assert "OneTwo" == chat.journal[0].partial_text
    assert [] == chat.history


# -- rewind ------------------------------------------------------------------------------


async def test_rewind_takes_off_the_last_turn_and_returns_it(way: Way) -> None:
    chat, backend = conversation("A.", "B.", "C.")
    await way.send(chat, "a")
    await way.send(chat, "b")
    pair = chat.rewind()
    assert ("b", "B.") == tuple(content.text for content in pair)
    assert ("user", "model") == tuple(content.role for content in pair)
    assert all(type(content) is protos.Content for content in pair)
    assert ["a", "A."] == said(chat)
    await way.send(chat, "c")
    assert ["a", "A.", "c"] == [c.text for c in backend.requests[2].contents]


async def test_rewind_of_several_turns_spans_them(way: Way) -> None:
    chat, _ = conversation("A.", "B.", "C.")
    for message in "abc":
        await way.send(chat, message)
    first, last = chat.rewind(2)
    assert ("b", "C.") == (first.text, last.text)
    assert ["a", "A."] == said(chat)


def test_rewind_removes_a_whole_turn_with_its_calls() -> None:
    history = [
        {"role": "user", "parts": ["What is the weather?"]},
        {"role": "model", "parts": [{"function_call": {"name": "weather", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"function_response": {"name": "weather", "response": {"sky": "clear"}}}],
        },
        {"role": "model", "parts": ["Clear."]},
    ]
    chat, _ = conversation(history=[{"role": "user", "parts": ["0"]}, *history])
    assert 2 == len(chat.turns)
    first, last = chat.rewind()
    assert ("What is the weather?", "Clear.") == (first.text, last.text)
    assert ["0"] == said(chat)


@pytest.mark.parametrize(("turns", "n"), [(0, 1), (0, 2), (1, 2), (2, 3)])
def test_rewind_beyond_the_beginning_says_how_many_turns_there_are(turns: int, n: int) -> None:
    pair = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]
    chat, _ = conversation(history=pair * turns)
    with pytest.raises(IndexError, match=f"{n} turn.*history has {turns}"):
        chat.rewind(n)
    assert 2 * turns == len(chat.history)


@pytest.mark.parametrize("n", [0, -1, 1.5, "1", None])
def test_rewind_refuses_a_count_that_is_none(n: Any) -> None:
    chat, _ = conversation(history="x")
    with pytest.raises(InvalidContent, match="at least 1"):
        chat.rewind(n)
    assert ["x"] == said(chat)


def test_rewind_of_an_unanswered_message_returns_an_empty_answer() -> None:
    chat, _ = conversation(history=[{"role": "user", "parts": ["Hi"]}])
    first, last = chat.rewind()
    assert ("Hi", "", "model") == (first.text, last.text, last.role)


async def test_rewind_after_a_failure_takes_off_the_last_whole_turn(way: Way) -> None:
    chat, _ = conversation("A.", BackendError("no"), BLOCKED)
    await way.send(chat, "a")
    for _ in range(2):
        with pytest.raises((BackendError, BlockedPromptException)):
            await way.send(chat, "b")
    assert ("a", "A.") == tuple(content.text for content in chat.rewind())


async def test_a_half_read_stream_can_be_rewound_over(way: Way) -> None:
    chat, _ = conversation("A.", ["B", "."])
    await way.send(chat, "a")
    response = await way.send(chat, "b", stream=True)
    assert ("a", "A.") == tuple(content.text for content in chat.rewind())
    assert [] == chat.history
    assert isinstance(response, types.BaseGenerateContentResponse)


# -- busy --------------------------------------------------------------------------------


def test_a_busy_session_that_may_not_wait_says_so() -> None:
    chat, backend = conversation([Pause(5), "A."], busy="raise")

    def ask() -> None:
        with pytest.raises(TurnCancelled):
            chat.send_message("a")

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: backend.open_streams == 1)
    with pytest.raises(SessionBusy, match="busy is 'raise'"):
        chat.send_message("b")
    assert chat.last is not None
    chat.last.cancel()
    thread.join(60)
    assert not thread.is_alive()


def test_a_chat_is_made_by_its_model() -> None:
    model = genai.GenerativeModel(backend=ScriptedBackend())
    chat = model.start_chat(history=[], enable_automatic_function_calling=True)
    assert type(chat) is genai.ChatSession
    assert chat.model is model
    assert chat.enable_automatic_function_calling is True
    with pytest.raises(TypeError):
        model.start_chat([])  # type: ignore[misc]
