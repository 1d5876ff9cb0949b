"""Any conversation becomes one that every chat model takes."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiturn.backends.projection import (
    LONGEST_ID,
    NO_RESULT,
    START,
    Message,
    Result,
    Said,
    close,
    project,
    projected,
)
from multiturn.messages.content import Content

names = st.sampled_from(["weather", "time", ""])
ids = st.sampled_from(["", "a", "b", "call00000", "x" * 41])
texts = st.builds(lambda text: {"text": text}, st.text(max_size=5))
calls = st.builds(
    lambda name, known: {"functionCall": {"name": name, "id": known, "args": {"n": 1}}}, names, ids
)
results = st.builds(
    lambda name, known: {"functionResponse": {"name": name, "id": known, "response": {"n": 2}}},
    names,
    ids,
)
others = st.sampled_from(
    [{}, {"text": "so", "thought": True}, {"inlineData": {"mimeType": "image/png", "data": ""}}]
)
contents = st.builds(
    lambda role, parts: {"role": role, "parts": parts},
    st.sampled_from(["user", "model", "function"]),
    st.lists(st.one_of(texts, calls, results, others), max_size=4),
)
conversations = st.lists(contents, max_size=8)


def view(conversation: list[dict[str, Any]]) -> list[Content]:
    return [Content.view(copy.deepcopy(content), frozen=True) for content in conversation]


def roles(messages: list[Message]) -> list[str]:
    return ["result" if isinstance(m, Result) else m.role for m in messages]


def calls_in(message: Message) -> list[dict[str, Any]]:
    if isinstance(message, Result):
        return []
    return [p.part["functionCall"] for p in message.parts if "functionCall" in p.part]


def model_says(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def user_says(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def call(name: str = "weather", known: str = "") -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **({"id": known} if known else {})}}


def result(name: str = "weather", known: str = "", value: int = 1) -> dict[str, Any]:
    answer = {"name": name, "response": {"value": value}, **({"id": known} if known else {})}
    return {"functionResponse": answer}


@given(conversations)
def test_neighbours_have_different_roles(conversation: list[dict[str, Any]]) -> None:
    told = roles(projected(view(conversation)))
    for one, other in itertools.pairwise(told):
        assert one == other == "result" or one != other


@given(conversations)
def test_results_follow_their_calls_and_each_call_has_one(
    conversation: list[dict[str, Any]],
) -> None:
    messages = projected(view(conversation))
    open_ids: list[str] = []
    for message in messages:
        if isinstance(message, Result):
            assert message.id in open_ids
            open_ids.remove(message.id)
            continue
        assert [] == open_ids, "something is said while calls wait for results"
        if message.role == "model":
            open_ids = [made["id"] for made in calls_in(message)]
            assert len(open_ids) == len(set(open_ids))
            assert all(0 < len(known) <= LONGEST_ID for known in open_ids)


@given(conversations)
def test_nothing_that_was_said_is_lost_or_changed(conversation: list[dict[str, Any]]) -> None:
    given_contents = view(conversation)
    before = copy.deepcopy([content.json_object for content in given_contents])
    messages = projected(given_contents)
    assert before == [content.json_object for content in given_contents]
    for role in ("user", "model"):
        said = [
            part["text"]
            for content in before
            for part in content["parts"]
            if ("model" if content["role"] == "model" else "user") == role and "text" in part
        ]
        told = "".join(
            p.part.get("text", "")
            for m in messages
            if isinstance(m, Said) and m.role == role
            for p in m.parts
        )
        position = 0
        for text in said:
            position = told.index(text, position) + len(text)


@given(conversations, st.integers(min_value=0, max_value=8))
def test_what_was_told_stays_as_the_conversation_grows(
    conversation: list[dict[str, Any]], length: int
) -> None:
    state = START
    told: list[Message] = []
    for index, content in enumerate(view(conversation[:length])):
        messages, state = project(state, content, index)
        told += messages
    assert told == projected(view(conversation))[: len(told)]
    assert told + close(state) == projected(view(conversation[:length]))


@given(conversations)
def test_telling_it_twice_tells_the_same(conversation: list[dict[str, Any]]) -> None:
    assert projected(view(conversation)) == projected(view(conversation))


def test_contents_of_one_role_become_one_message() -> None:
    messages = projected(view([user_says({"text": "A"}), user_says({"text": "B"})]))
    assert ["user"] == roles(messages)
    assert isinstance(messages[0], Said)
    assert ["A", "\n\n", "B"] == [p.part["text"] for p in messages[0].parts]


def test_calls_without_ids_get_some_that_their_results_share() -> None:
    messages = projected(
        view(
            [
                user_says({"text": "?"}),
                model_says(call("weather"), call("time")),
                user_says(result("time", value=2), result("weather", value=1)),
            ]
        )
    )
    assert ["call00000", "call00001"] == [made["id"] for made in calls_in(messages[1])]
    assert [
        Result("call00001", "time", {"value": 2}),
        Result("call00000", "weather", {"value": 1}),
    ] == messages[2:]


def test_ids_differ_from_turn_to_turn() -> None:
    turn = [user_says({"text": "?"}), model_says(call()), user_says(result()), model_says()]
    messages = projected(view(turn * 3))
    made = [one["id"] for message in messages for one in calls_in(message)]
    assert ["call00000", "call00001", "call00002"] == made


def test_an_id_that_is_too_long_is_replaced_on_both_sides() -> None:
    long = "toolu_" + "x" * 60
    messages = projected(view([model_says(call(known=long)), user_says(result(known=long))]))
    assert "call00000" == calls_in(messages[0])[0]["id"]
    assert Result("call00000", "weather", {"value": 1}) == messages[1]


def test_results_that_come_in_two_contents_all_find_their_calls() -> None:
    messages = projected(
        view(
            [
                model_says(call(known="a"), call(known="b")),
                user_says(result(known="b", value=2)),
                user_says(result(known="a", value=1)),
                user_says({"text": "So?"}),
            ]
        )
    )
    assert ["model", "result", "result", "user"] == roles(messages)
    assert ["b", "a"] == [m.id for m in messages if isinstance(m, Result)]


@pytest.mark.parametrize("then", [user_says({"text": "Never mind."}), model_says({"text": "Hm."})])
def test_a_call_without_a_result_gets_a_note(then: dict[str, Any]) -> None:
    messages = projected(view([model_says(call(known="a")), then]))
    assert Result("a", "weather", NO_RESULT) == messages[1]
    assert then["role"] == roles(messages)[2]


def test_a_result_without_a_call_is_told_as_text() -> None:
    messages = projected(view([user_says({"text": "Hi"}), user_says(result("time"))]))
    assert ["user"] == roles(messages)
    assert isinstance(messages[0], Said)
    assert '[result of time: {"value": 1}]' == messages[0].parts[-1].part["text"]


def test_media_in_a_result_are_shown_by_the_user_behind_it() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    answer = result(known="a")
    answer["functionResponse"]["parts"] = [picture]
    messages = projected(view([model_says(call(known="a")), user_says(answer)]))
    assert ["model", "result", "user"] == roles(messages)
    assert isinstance(messages[2], Said)
    assert [(picture, "$.contents[1].parts[0].parts[0]")] == [tuple(p) for p in messages[2].parts]


def test_calls_at_the_very_end_stay_open() -> None:
    assert ["model"] == roles(projected(view([model_says(call())])))


def test_a_model_may_speak_first() -> None:
    assert ["model", "user"] == roles(
        projected(view([model_says({"text": "Welcome"}), user_says({"text": "Hi"})]))
    )
