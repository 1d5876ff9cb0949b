"""Copies, deep copies, pickles and reprs: of sessions, responses, contents and errors."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from multiturn import ChatSession, GenerativeModel, errors, protos
from multiturn.errors import BackendError, FrozenContent, TurnCancelled
from multiturn.testing import Pause, ScriptedBackend, ScriptedReply
from ways import BLOCKED, Way, conversation, in_thread, parts_chunk, read_into, said, wire

PAIR = [{"role": "user", "parts": ["q"]}, {"role": "model", "parts": ["a"]}]


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIERS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    pickled,
    *[lambda value, n=n: pickle.loads(pickle.dumps(value, n)) for n in (2, 3, 4)],
]
COPIER_IDS = ["copy", "deepcopy", "pickle", "pickle2", "pickle3", "pickle4"]
copiers = pytest.mark.parametrize("copied", COPIERS, ids=COPIER_IDS)


class Unpicklable(Exception):
    """A foreign error that holds what no pickle can."""

    def __init__(self) -> None:
        super().__init__("foreign")
        self.lock = threading.Lock()


# -- sessions -----------------------------------------------------------------------------


@copiers
async def test_a_copied_session_goes_on_by_itself(way: Way, copied: Any) -> None:
    chat, _ = conversation("A.", "B.", "C.", history=PAIR, busy="raise")
    chat.enable_automatic_function_calling = True
    await way.send(chat, "a")
    other = copied(chat)
    assert type(other) is ChatSession
    assert wire(chat) == wire(other)
    assert [t.id for t in chat.turns] == [t.id for t in other.turns]
    assert other.enable_automatic_function_calling is True
    assert "A." == other.last.text
    assert ["answered"] == [entry.outcome for entry in other.journal]
    assert other.turns[-1] is other.journal[0].turn
    await way.send(other, "b")
    assert ["q", "a", "a", "A."] == said(chat)
    await way.send(chat, "c")
    assert 6 == len(chat.history) == len(other.history)
    assert "b" == other.history[4].text
    assert "c" == chat.history[4].text
    assert (2, 2) == (len(chat.journal), len(other.journal))
    chat.rewind()
    assert 6 == len(other.history)


@copiers
@pytest.mark.parametrize(
    "line",
    [BackendError("no"), ["One", Unpicklable()], BLOCKED, ScriptedReply(("One",), finish="SPII")],
    ids=["failed", "foreign", "blocked", "stopped"],
)
async def test_a_session_is_copied_after_a_failure(way: Way, copied: Any, line: Any) -> None:
    chat, _ = conversation(line, "Fine.")
    with pytest.raises(Exception) as caught:  # noqa: PT011  (which one is not the point)
        await way.send(chat, "a")
    del caught
    other = copied(chat)
    assert chat.journal[0].outcome == other.journal[0].outcome
    assert chat.journal[0].received == other.journal[0].received
    assert "a" == other.journal[0].content.text
    assert str(chat.last.error).partition(": ")[2] in str(other.last.error)  # type: ignore[union-attr]
    await way.send(other, "b")
    assert ["b", "Fine."] == said(other)


@copiers
async def test_a_session_is_copied_while_a_stream_is_open(way: Way, copied: Any) -> None:
    chat, _ = conversation("A.", ["One", "Two"])
    await way.send(chat, "a")
    response = await way.send(chat, "b", stream=True)
    reader = way.read(response)
    await anext(reader)
    other = copied(chat)
    assert ["a", "A."] == said(other)
    other.model = GenerativeModel(backend=ScriptedBackend("C."))
    await way.send(other, "c")
    assert ["a", "A.", "c", "C."] == said(other)
    assert ["Two"] == [chunk.text async for chunk in reader]
    assert ["a", "A.", "b", "OneTwo"] == said(chat)


async def test_a_fork_shares_what_was_said_and_nothing_else(way: Way) -> None:
    chat, backend = conversation("A.", "B.", "C.")
    await way.send(chat, "a")
    other = chat.fork()
    assert other.turns[0] is chat.turns[0]
    await way.send(other, "b")
    await way.send(chat, "c")
    texts = [[c.text for c in request.contents] for request in backend.requests]
    assert [["a"], ["a", "A.", "b"], ["a", "A.", "c"]] == texts


def test_a_subclass_stays_one_when_it_is_copied() -> None:
    class MyChat(ChatSession):
        note = "mine"

    chat = MyChat(GenerativeModel(backend=ScriptedBackend()), PAIR)
    chat.note = "changed"
    for other in (copy.copy(chat), copy.deepcopy(chat), chat.fork()):
        assert type(other) is MyChat
        assert "changed" == other.note


def test_a_model_can_be_copied_and_pickled() -> None:
    model = GenerativeModel(
        "m",
        "high",
        {"temperature": 0.5},
        system_instruction="Be brief.",
        backend=ScriptedBackend("One"),
    )
    for copied in (copy.copy, copy.deepcopy, pickled):
        other = copied(model)
        assert repr(model) == repr(other)
        assert "One" == copy.deepcopy(other).generate_content("x").text


# -- responses ----------------------------------------------------------------------------


@copiers
async def test_a_whole_response_is_copied(way: Way, copied: Any) -> None:
    chat, _ = conversation(["One", "Two"])
    response = await way.send(chat, "a", stream=True)
    await way.resolve(response)
    other = copied(response)
    assert type(response) is type(other)
    assert response.to_dict() == other.to_dict()
    assert repr(response) == repr(other)
    assert "OneTwo" == other.text
    assert ["One", "Two"] == [chunk.text async for chunk in way.read(other)]
    assert other.error is None


async def test_an_open_response_is_pickled_as_far_as_it_had_come(way: Way) -> None:
    chat, _ = conversation(["One", "Two"])
    response = await way.send(chat, "a", stream=True)
    other = pickled(response)
    texts: list[str] = []
    with pytest.raises(TurnCancelled, match="pickled"):
        await read_into(texts, way.read(other))
    assert ["One"] == texts
    assert "One" == other.text
    await way.resolve(response)
    assert ["a", "OneTwo"] == said(chat)


@copiers
async def test_a_failed_response_is_copied_with_its_error(way: Way, copied: Any) -> None:
    chat, _ = conversation(["One", BackendError("cut", backend="b", retryable=True)])
    response = await way.send(chat, "a", stream=True)
    with pytest.raises(BackendError):
        await way.resolve(response)
    other = copied(response)
    with pytest.raises(BackendError, match="cut") as caught:
        await way.resolve(other)
    assert ("b", True, "One") == (
        caught.value.backend,
        caught.value.retryable,
        caught.value.partial_text,
    )


@copiers
async def test_a_response_that_never_began_is_copied(way: Way, copied: Any) -> None:
    chat, _ = conversation(BackendError("no"))
    other = copied(await way.send(chat, "a", stream=True))
    texts: list[str] = []
    with pytest.raises(BackendError, match="no"):
        await read_into(texts, way.read(other))
    assert [] == texts


async def test_a_chunk_is_pickled(way: Way) -> None:
    chat, _ = conversation([{"usageMetadata": {"totalTokenCount": 1}}, "One", "Two"])
    response = await way.send(chat, "a", stream=True)
    chunks = [pickled(chunk) async for chunk in way.read(response)]
    assert ["", "One", "Two"] == [chunk.text for chunk in chunks]


# -- contents -----------------------------------------------------------------------------


async def test_contents_of_a_history_refuse_to_be_written_to(way: Way) -> None:
    chat, _ = conversation(
        parts_chunk([{"text": "One"}, {"functionCall": {"name": "f", "args": {"a": [1]}}}], "STOP")
    )
    await way.send(chat, "a")
    before = copy.deepcopy(wire(chat))
    content = chat.history[1]
    writes: list[Callable[[], Any]] = [
        lambda: setattr(content, "role", "user"),
        lambda: setattr(content, "parts", []),
        lambda: content.parts.append("x"),  # type: ignore[arg-type]
        content.parts.clear,
        content.parts.reverse,
        lambda: content.parts.__setitem__(0, {"text": "x"}),
        lambda: content.parts.__delitem__(0),
        lambda: content.parts.__setitem__(slice(0, 1), []),
        lambda: setattr(content.parts[0], "text", "x"),
        lambda: setattr(content.parts[0].inline_data, "data", b"x"),
        lambda: setattr(content.parts[1].function_call, "name", "g"),
        lambda: delattr(content, "role"),
    ]
    for write in writes:
        with pytest.raises(FrozenContent, match=r"copy\.deepcopy"):
            write()
    content.parts[1].function_call.args["a"].append(2)
    assert before == wire(chat)
    assert issubclass(FrozenContent, AttributeError)


@copiers
async def test_a_copied_content_of_a_history_can_be_changed(way: Way, copied: Any) -> None:
    chat, _ = conversation("One")
    await way.send(chat, "a")
    other = copied(chat.history[1])
    other.parts[0].text = "x"
    other.parts.append({"text": "y"})
    assert "xy" == other.text
    assert ["a", "One"] == said(chat)


# -- repr ---------------------------------------------------------------------------------


class Rude:
    request = None  # as a model has it

    def __repr__(self) -> str:
        raise RuntimeError("no")


async def test_the_repr_of_a_session_tells_model_and_history(way: Way) -> None:
    chat, _ = conversation("Hello.", system_instruction=["Be brief.", "Be kind."])
    await way.send(chat, "Hi")
    for shown in ("Hi", "Hello.", "scripted", "Be brief.", "Be kind.", "ChatSession("):
        assert shown in repr(chat)


@pytest.mark.parametrize(
    "line",
    ["One", ["One", BackendError("no")], BLOCKED, {"candidates": None}, {"candidates": [{}]}, {}],
)
async def test_repr_never_raises_at_any_moment(way: Way, line: Any) -> None:
    chat, _ = conversation(line)
    response = await way.send(chat, "a", stream=True)
    assert all(map(repr, (chat, response, chat.last, chat.journal)))
    try:
        async for chunk in way.read(response):
            assert all(map(repr, (chunk, chat, response)))
    except Exception as error:
        repr(error)
    assert all(map(repr, (chat, response, chat.last, chat.journal, chat.turns)))


def test_the_repr_of_a_session_bears_a_rude_model() -> None:
    chat, _ = conversation()
    chat.model = Rude()  # type: ignore[assignment]
    assert "Rude whose repr fails" in repr(chat)


def test_the_repr_of_a_model_bears_a_rude_tool() -> None:
    model = GenerativeModel(backend=ScriptedBackend())
    model._tools = [Rude()]
    assert "GenerativeModel(" in repr(model)


ODD_OBJECTS: list[dict[str, Any]] = [
    {"parts": None},
    {"parts": 3, "role": 4},
    {"parts": [None, 3, "x", [], {"text": 5}, {"inlineData": 3}, {"inlineData": {"data": "%%"}}]},
    {"parts": [{"functionCall": {"args": 3}}, {"codeExecutionResult": {"outcome": []}}]},
    {"parts": [{"text": "\ud800"}], "later": {"x": 1}},
    {"parts": {"text": "x"}},
]


@pytest.mark.parametrize("object_", ODD_OBJECTS)
def test_repr_of_what_no_server_should_send_does_not_raise(object_: dict[str, Any]) -> None:
    assert repr(protos.Content.view(object_))


@pytest.mark.parametrize("object_", ODD_OBJECTS)
@pytest.mark.parametrize("finish", ["STOP", None, 3, [], {}])
async def test_a_reply_with_odd_members_does_not_break_the_session(
    way: Way, object_: dict[str, Any], finish: Any
) -> None:
    chunk = {"candidates": [{"content": object_, "finishReason": finish}]}
    chat, backend = conversation(chunk, "Fine.")
    try:
        await way.send(chat, "a")
    except errors.MultiturnError:
        assert [] == chat.history
    assert repr(chat)
    assert repr(chat.last)
    chat.history = []
    await way.send(chat, "b")
    assert (["b", "Fine."], 0) == (said(chat), backend.open_streams)


def test_a_session_is_shown_while_another_thread_uses_it() -> None:
    chat, backend = conversation([Pause(0.05), "One"])
    thread = threading.Thread(target=chat.send_message, args=("a",))
    thread.start()
    while not backend.open_streams:
        pass
    assert "a turn is open" in repr(chat)
    assert [] == said(pickled(chat))
    assert "interrupted" == pickled(chat).journal[0].outcome
    thread.join()
    assert "a turn is open" not in repr(chat)
    assert ["a", "One"] == in_thread(lambda: said(chat))
