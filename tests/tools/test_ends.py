"""Any script of calls, ended in any way: the next request is valid, and nothing ran twice."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections import Counter
from itertools import cycle, islice
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiturn import ApprovalNeeded, ChatSession, requires_approval
from multiturn.errors import BackendError, MultiturnError
from multiturn.testing import ScriptedBackend, ScriptedReply, UnexpectedRequest
from tools.pairing import breaches
from tools.talking import calling
from ways import WAYS, Way

KINDS = ("works", "works_async", "raises", "asks", "unknown", "cancels", "interrupts")
# What ends a turn well or badly; calls are drawn more often.
ENDS = ("text", "malformed", "nameless", "busy", "fails", "killed", "cut", "unsafe")


class World:
    """The functions of one try, what they did, and the conversation that calls them."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.runs: Counter[int] = Counter()
        self.calls = 0
        self.chat, self.backend = calling(self.tools(), **options)

    def tools(self) -> list[Any]:
        def works(n: int) -> int:
            self.runs[n] += 1
            return n

        async def works_async(n: int) -> int:
            self.runs[n] += 1
            await asyncio.sleep(0)
            return n

        def raises(n: int) -> None:
            self.runs[n] += 1
            raise ValueError(n)

        @requires_approval
        def asks(n: int) -> int:
            self.runs[n] += 1
            return n

        def cancels(n: int, chat: ChatSession) -> int:
            self.runs[n] += 1
            if chat._gate.holder is not None:
                chat._gate.holder.cancel.set("the function cancels its own turn")
            return n

        def interrupts(n: int) -> None:
            self.runs[n] += 1
            raise asyncio.CancelledError

        return [works, works_async, raises, asks, cancels, interrupts]

    def reply(self, kind: str, names: list[str]) -> Any:
        """Return a line of the script; each call has a number and a signature of its own."""
        if kind == "calls":
            parts: list[Any] = [{"text": "Let me see. "}]
            for name in names:
                self.calls += 1
                call = {"name": name, "args": {"n": self.calls}}
                if self.calls % 2:
                    call["id"] = f"id{self.calls}"
                parts.append({"functionCall": call, "thoughtSignature": f"s{self.calls}"})
            return chunk(parts, "STOP")
        return {
            "text": "So it is.",
            "malformed": chunk([], "MALFORMED_FUNCTION_CALL"),
            "nameless": chunk([{"functionCall": {"args": {}}}], "STOP"),
            "busy": BackendError("busy", retryable=True),
            "fails": BackendError("gone"),
            "killed": ["So ", BackendError("cut")],
            "cut": ScriptedReply(("So ",), finish=None),
            "unsafe": chunk([{"text": "So "}], "SAFETY"),
        }[kind]

    def check(self) -> None:
        """Hold what must hold at every moment."""
        assert not [n for n, count in self.runs.items() if count > 1]
        for request in self.backend.requests:
            assert [] == breaches(request)
            for content in request.contents:
                for part in content.json_object["parts"]:
                    if "functionCall" in part:
                        n = part["functionCall"]["args"]["n"]
                        assert f"s{n}" == part["thoughtSignature"]
        assert "open" not in [entry.outcome for entry in self.chat.journal]
        noted = json.dumps([[c.json_object for c in e.contents] for e in self.chat.journal])
        for n in self.runs:
            assert f'"n": {n}' in noted, "what a function did has left no trace"


def chunk(parts: list[Any], finish: str) -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": finish}
    return {"candidates": [candidate]}


async def read(way: Way, response: Any, count: int | None) -> None:
    async for _ in way.read(response):
        if count is not None and (count := count - 1) < 0:
            break


async def resumed(way: Way, chat: ChatSession, stream: bool) -> Any:
    if way.name == "sync":
        return chat.resume(stream=stream)
    return await chat.resume_async(stream=stream)


class Try(NamedTuple):
    """What the user does next.

    Attributes:
        resumes: Goes on with a turn that waits, if there is one.
        approvals: Whether each call that waits is approved.
        streams: Asks for the reply in pieces.
        leaves_after: How many of them are read, None for all.
    """

    resumes: bool
    approvals: tuple[bool, bool, bool]
    streams: bool
    leaves_after: int | None


async def try_turn(way: Way, world: World, doing: Try, resume: bool) -> None:
    """Say something, or go on with what waits, and end it somehow."""
    chat, stream = world.chat, doing.streams
    try:
        if resume:
            response = await resumed(way, chat, stream)
        else:
            response = await way.send(chat, "Act.", stream=stream)
        await read(way, response, doing.leaves_after if stream else None)
    except (MultiturnError, UnexpectedRequest, asyncio.CancelledError):
        return


names = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)
calls = st.tuples(st.just("calls"), names)
replies = st.lists(calls | calls | st.tuples(st.sampled_from(ENDS), names), max_size=7)
# Chosen before anything runs: functions that run side by side may end in any order, and
# what is drawn next must not hang on it.
tries = st.lists(
    st.builds(
        Try,
        st.sampled_from([True, True, False]),
        st.tuples(*[st.booleans()] * 3),
        st.booleans(),
        st.none() | st.integers(0, 4),
    ),
    min_size=1,
    max_size=6,
)
options = st.fixed_dictionaries(
    {
        "tool_mode": st.sampled_from(["sequential", "concurrent"]),
        "max_rounds": st.sampled_from([2, 4, 10, 1]),
        "on_round_limit": st.sampled_from(["raise", "answer"]),
        "on_tool_error": st.sampled_from(["result", "raise"]),
    }
)


@settings(max_examples=5 * settings().max_examples)
@given(options, replies, st.sampled_from(sorted(WAYS)), tries)
def test_any_script_leaves_a_conversation_that_goes_on(
    given_options: dict[str, Any], script: list[Any], way_name: str, tried: list[Try]
) -> None:
    way = WAYS[way_name]()
    world = World(given_options)
    try:
        world.backend.add(*(world.reply(*line) for line in script), "So.", "So.")
        play(way, world, tried)
        world.backend._lines.clear()
        world.backend.add("Fine.")
        said = len(world.chat.history)
        way.run(way.send(world.chat, "And now?"))
        world.check()
        assert said + 2 == len(world.chat.history)
    finally:
        way.close()


def play(way: Way, world: World, tried: list[Try]) -> None:
    """Use the conversation until the script is at its end."""
    for doing in islice(cycle(tried), 12):
        if not world.backend._lines:
            return
        pending = world.chat.pending
        resume = pending is not None and doing.resumes
        if resume and pending is not None:
            for call, approved in zip(pending.calls, doing.approvals, strict=False):
                (pending.approve if approved else pending.refuse)(call)
        before = wire(world.chat)
        count = len(world.chat.journal)
        way.run(try_turn(way, world, doing, resume))
        way.run(way.idle())
        world.check()
        whole = world.chat.journal[count:] and world.chat.journal[-1].outcome == "answered"
        assert before == wire(world.chat)[: len(before)]
        assert bool(whole) == (len(before) < len(wire(world.chat)))


def wire(chat: ChatSession) -> list[Any]:
    return [content.json_object for content in chat.history]


def test_a_session_with_a_turn_that_waits_can_be_pickled_and_resumed_elsewhere() -> None:
    backend = ScriptedBackend(*WAITING)
    chat = approving_chat(backend)
    with pytest.raises(ApprovalNeeded) as needed:
        chat.send_message("Delete a.txt.")
    assert chat.pending is not None
    assert chat.pending.calls == needed.value.calls
    other = pickle.loads(pickle.dumps(chat))
    assert "paused" == other.journal[-1].outcome
    other.pending.approve()
    assert "It is gone." == other.resume().text
    assert [] == breaches(other.model.backend.requests[-1])
    assert ([], 4) == (chat.history, len(other.history))
    assert chat.pending is not None
    assert other.pending is None


@requires_approval
def delete(name: str) -> str:
    return f"{name} is gone"


WAITING = (
    chunk([{"functionCall": {"name": "delete", "args": {"name": "a.txt"}, "id": "7"}}], "STOP"),
    "It is gone.",
)


def approving_chat(backend: ScriptedBackend) -> ChatSession:
    from multiturn import GenerativeModel

    model = GenerativeModel(backend=backend, tools=[delete])
    return model.start_chat(enable_automatic_function_calling=True)
