"""What the service would refuse for its calls and results is refused before anything is sent."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gemini.canned import Canned
from gemini.test_codec import call, result, said, user
from gemini.wire_server import event, reply
from multiturn import GenerativeModel, InvalidContent
from multiturn.backends.gemini.request import Contents, body
from multiturn.history import head_from
from multiturn.messages.content import Content
from multiturn.request import Request
from multiturn.testing import ScriptedBackend
from ways import Way


def call_of(id: str) -> dict[str, Any]:
    return {"functionCall": {**call("f")["functionCall"], "id": id}}


def result_of(id: str) -> dict[str, Any]:
    return {"functionResponse": {**result("f")["functionResponse"], "id": id}}


F, G = call("f"), call("g")
# What was said, oldest first; and, if the service refuses it, where and in which words.
ACCEPTED: dict[str, list[dict[str, Any]]] = {
    "words": [user("Hi"), said("Hello"), user("Bye")],
    "two users, two models": [user("Hi"), user("Ho"), said("A"), said("B"), user("Bye")],
    "the model began": [said("Hello"), user("Hi")],
    "a call and its result": [user("Hi"), said(F), user(result("f"))],
    "a call that waits": [user("Hi"), said(F)],
    "several at once": [user("Hi"), said(F, G), user(result("f"), result("g"))],
    "results in the order of their ids": [
        user("Hi"), said(call_of("1"), call_of("2")), user(result_of("2"), result_of("1")),
    ],
    "results of one name without ids": [
        user("Hi"), said(call_of("1"), call_of("2")), user(result("f"), result("f")),
    ],
    "results with ids of calls without": [user("Hi"), said(F), user(result_of("1"))],
    "results kept one by one": [user("Hi"), said(F, G), user(result("f")), user(result("g"))],
    "results in another order": [user("Hi"), said(F, G), user(result("g"), result("f"))],
    "a result of another name": [user("Hi"), said(call("default_api.f")), user(result("f"))],
    "one of two results of another name": [
        user("Hi"), said(call("default_api.f"), G), user(result("g"), result("f")),
    ],
    "a result without an id before one with the first call's": [
        user("Hi"), said(call_of("1"), call_of("2")), user(result("f"), result_of("1")),
    ],
    "results kept one by one, the first without its id": [
        user("Hi"), said(call_of("1"), call_of("2")), user(result("f")), user(result_of("1")),
    ],
    "steps": [user("Hi"), said(F), user(result("f")), said(G), user(result("g")), said("Done")],
    "thoughts kept piece by piece": [
        user("Hi"), said({"text": "Hm", "thought": True}), said(F), said(""), user(result("f")),
    ],
    "calls kept piece by piece": [
        user("Hi"), said(F), said(G), user(result("f"), result("g")), said("Done"),
    ],
    "words beside a call": [user("Hi"), said("Let me see.", F), user(result("f"))],
    "words beside a result": [user("Hi"), said(F), user(result("f"), "in knots")],
    "words after a result": [user("Hi"), said(F), user(result("f")), user("in knots")],
    "the old role": [user("Hi"), said(F), {**user(result("f")), "role": "function"}],
    "a call of the server": [user("Hi"), said({"toolCall": {"id": "1"}}, "Done"), user("And?")],
}  # fmt: skip
REFUSED: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "words instead of a result": (
        [user("Hi"), said(F), user("And?")],
        "$.contents[2]",
        "'And?'; expected the results of f()",
    ),
    "words before the result": (
        [user("Hi"), said(F), user("Wait"), user(result("f"))],
        "$.contents[2]",
        "'Wait'; expected the results of f()",
    ),
    "one of two results": (
        [user("Hi"), said(F, G), user(result("f")), said("Done")],
        "$.contents[3]",
        "results of g(), which the model has called (1 of 2 are there); send them first",
    ),
    "one of two results, in the past": (
        [user("Hi"), said(F, G), user(result("f")), said("Done"), user("And?")],
        "$.contents[3]",
        "(1 of 2 are there); set chat.history with them there",
    ),
    "one of two results at the end": (
        [user("Hi"), said(F, G), user(result("f"), "in knots")],
        "$.contents[2]",
        "'1 of 2 results'; expected in the same message the results of g(); send all of them at",
    ),
    "a result with an unknown id and a name that fits": (
        [user("Hi"), said(call_of("1"), call_of("2")), user(result("f"), result_of("3"))],
        "$.contents[2]",
        """\"the result of f() with the id '3'\"; expected that of f() with the id '2'""",
    ),
    "a result with another id": (
        [user("Hi"), said(call_of("1"), call_of("2")), user(result_of("1"), result_of("3"))],
        "$.contents[2]",
        """\"the result of f() with the id '3'\"; expected that of f() with the id '2'""",
    ),
    "one of two results, then words": (
        [user("Hi"), said(F, G), user(result("f")), user("And?")],
        "$.contents[3]",
        "1 of 2 are there",
    ),
    "more results than calls": (
        [user("Hi"), said(F), user(result("f"), result("g"))],
        "$.contents[2]",
        "2 results, the last of g()'; expected 1, one for each call of f()",
    ),
    "a result without a call": (
        [user("Hi"), said("Hello"), user(result("f"))],
        "$.contents[2]",
        "the result of f()'; expected no result here",
    ),
    "a conversation cut in two": (
        [user(result("f")), said("Done"), user("And?")],
        "$.contents[0]",
        "begins with what a user said",
    ),
    "a result twice": (
        [user("Hi"), said(F), user(result("f")), said("Done"), user(result("f"))],
        "$.contents[4]",
        "the content before it calls no function",
    ),
    "a call that nobody asked fo": (
        [said(F), user(result("f"))],
        "$.contents[0]",
        "nobody has asked for it",
    ),
}


def _canned(stream: bool = False) -> Canned:
    return Canned(event(reply()) if stream else json.dumps(reply()).encode())


def _copied(contents: list[dict[str, Any]]) -> Any:
    return json.loads(json.dumps(contents))


@pytest.mark.parametrize("name", ACCEPTED)
async def test_what_the_service_takes_is_sent(way: Way, name: str) -> None:
    client = _canned()
    await way.generate(client.model(), _copied(ACCEPTED[name]))
    assert 1 == len(client.requests)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", REFUSED)
async def test_what_the_service_refuses_is_not_sent(way: Way, name: str, stream: bool) -> None:
    contents, path, words = REFUSED[name]
    client = _canned(stream)
    with pytest.raises(InvalidContent, match=re.escape(words)) as caught:
        await way.generate(client.model(), _copied(contents), stream=stream)
    assert (path, []) == (caught.value.path, client.requests)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_chat_whose_call_waits_takes_its_result_or_nothing(way: Way, stream: bool) -> None:
    client = _canned(stream)
    chat = client.model().start_chat(history=_copied([user("Hi"), said(F)]))
    with pytest.raises(InvalidContent, match=r"'f', 'response': .* chat.rewind\(\)"):
        await way.send(chat, "And?", stream=stream)
    assert (2, [], "failed") == (len(chat.history), client.requests, chat.journal[0].outcome)
    await way.resolve(await way.send(chat, result("f"), stream=stream))
    await way.resolve(await way.send(chat, "And now?", stream=stream))
    assert (6, 2) == (len(chat.history), len(client.requests))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_one_of_two_results_is_refused_before_it_can_spoil_the_chat(
    way: Way, stream: bool
) -> None:
    client = _canned(stream)
    chat = client.model().start_chat(history=_copied([user("Hi"), said(F, G)]))
    with pytest.raises(InvalidContent, match=r"the results of g\(\); .* {'name': 'g'"):
        await way.send(chat, result("f"), stream=stream)
    assert (2, []) == (len(chat.history), client.requests)
    await way.resolve(await way.send(chat, [result("g"), result("f")], stream=stream))
    assert (4, 1) == (len(chat.history), len(client.requests))


async def test_a_history_that_ends_with_one_of_two_results_takes_the_other(way: Way) -> None:
    client = _canned()
    history = [user("Hi"), said(F, G), user(result("f"))]
    chat = client.model().start_chat(history=_copied(history))
    await way.send(chat, result("g"))
    sent = json.loads(b"".join(client.requests[0].pieces))["contents"]
    assert [3, user(result("f"), result("g"))] == [len(sent), sent[-1]]


async def test_a_chat_that_went_on_after_one_of_two_results_can_be_rewound_to_the_calls(
    way: Way,
) -> None:
    client = _canned()
    history = [user("Hi"), said(F, G), user(result("f")), said("Done")]
    chat = client.model().start_chat(history=_copied(history))
    with pytest.raises(InvalidContent, match=r"chat\.history .* or take .* chat\.rewind\(\)"):
        await way.send(chat, "And?")
    chat.rewind()
    await way.send(chat, "And?")
    assert 1 == len(client.requests)


async def test_after_a_rewind_the_call_is_gone(way: Way) -> None:
    client = _canned()
    chat = client.model().start_chat(history=_copied([user("Hi"), said(F)]))
    chat.rewind()
    assert "Hello." == (await way.send(chat, "And?")).text


async def test_the_tokens_of_a_conversation_that_waits_can_be_counted(way: Way) -> None:
    client = Canned(b'{"totalTokens":3}')
    counted = await way.count(client.model(), _copied([user("Hi"), said(F), user("And?")]))
    assert 3 == counted.total_tokens


async def test_what_lies_in_a_cache_may_hold_the_call(way: Way) -> None:
    client = _canned()
    model = client.model()
    model._cached_content = "cachedContents/a"
    await way.generate(model, _copied([user(result("f"))]))
    assert 1 == len(client.requests)


async def test_a_backend_without_the_rule_gets_what_was_said(way: Way) -> None:
    backend = ScriptedBackend("Fine.")
    chat = GenerativeModel(backend=backend).start_chat(history=_copied([user("Hi"), said(F)]))
    assert "Fine." == (await way.send(chat, "And?")).text


def test_a_content_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    step = Contents.step

    def counting(*arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        return step(*arguments)

    monkeypatch.setattr(Contents, "step", counting)
    contents = [Content.view(c, frozen=True) for c in [user("Hi"), said("Ho")] * 100]
    head = head_from(contents)
    assert head is not None
    for _ in range(50):
        path = head.path.plus(Content.view(user("And?"), frozen=True))
        body(Request(model="gemini-x", contents=path))
    assert 250 == looked
