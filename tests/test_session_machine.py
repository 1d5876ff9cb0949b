"""Any sequence of what can be done with a conversation, against a plain list."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from multiturn import ChatSession, GenerativeModel
from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.testing import Line, ScriptedBackend, ScriptedReply
from ways import AT_ONCE, BLOCKED, WAYS, Way, in_thread, read_into, said

texts = st.text("ab é\n\U0001f600", min_size=1, max_size=4)
pieces = st.lists(texts, min_size=1, max_size=4)
ways = st.sampled_from(sorted(WAYS))

# The lines that make a turn fail after k of its pieces, with the error and the outcome.
FAULTS: dict[str, tuple[Any, type[Exception], str]] = {
    "fail": (lambda: BackendError("cut"), BackendError, "failed"),
    "foreign": (lambda: OSError("gone"), OSError, "failed"),
    "block": (lambda: dict(BLOCKED), BlockedPromptException, "blocked"),
}


class Session(RuleBasedStateMachine):
    """The model of the history is a list of turns, each a list of texts."""

    ways: dict[str, Way]

    def __init__(self) -> None:
        super().__init__()
        self.ways = {name: make() for name, make in WAYS.items()}
        self.backend = ScriptedBackend()
        self.chat = ChatSession(GenerativeModel(backend=self.backend, retry=AT_ONCE))
        self.turns: list[list[str]] = []
        self.keeps = False
        self.arrived = ("", "")
        self.outcomes: list[str] = []
        self.other: tuple[ChatSession, list[str]] | None = None
        self.kept: list[Any] = []

    def teardown(self) -> None:
        self.kept.clear()
        for way in self.ways.values():
            way.close()

    @initialize(history=st.lists(st.tuples(texts, texts), max_size=2), keeps=st.booleans())
    def begin(self, history: list[tuple[str, str]], keeps: bool) -> None:
        self.keeps = keeps
        self.chat = ChatSession(self.chat.model, unfinished="keep" if keeps else "drop")
        self.set_history(history)

    # -- what is expected -----------------------------------------------------------------

    def expected(self) -> list[str]:
        return [text for turn in self.turns for text in turn]

    def script(self, line: Line) -> None:
        self.close_kept()
        self.backend._lines.clear()
        self.backend.add(line)

    def close_kept(self) -> None:
        """A stream that was kept half-read ends when the session is used again."""
        if self.outcomes and self.outcomes[-1] == "open":
            self.outcomes[-1] = "abandoned"
            self.broke_off(*self.arrived)

    def broke_off(self, message: str, arrived: str) -> None:
        """A turn ended without its answer; what had arrived is kept if that is wanted."""
        if self.keeps and arrived:
            self.turns.append([message, arrived])

    def run(self, way: str, scenario: Any) -> Any:
        return self.ways[way].run(scenario)

    # -- whole turns ----------------------------------------------------------------------

    @rule(message=texts, reply=pieces, way=ways)
    def send(self, message: str, reply: list[str], way: str) -> None:
        self.script(reply)
        response = self.run(way, self.ways[way].send(self.chat, message))
        assert "".join(reply) == response.text
        self.turns.append([message, "".join(reply)])
        self.outcomes.append("answered")

    @rule(message=texts, reply=pieces, way=ways)
    def stream_to_the_end(self, message: str, reply: list[str], way: str) -> None:
        self.script(reply)

        async def scenario() -> list[str]:
            response = await self.ways[way].send(self.chat, message, stream=True)
            return [chunk.text async for chunk in self.ways[way].read(response)]

        assert reply == self.run(way, scenario())
        self.turns.append([message, "".join(reply)])
        self.outcomes.append("answered")

    @rule(message=texts, reply=pieces, way=ways)
    def retry_and_resolve(self, message: str, reply: list[str], way: str) -> None:
        self.script(BackendError("busy", retryable=True))
        self.backend.add(reply)

        async def scenario() -> None:
            response = await self.ways[way].send(self.chat, message, stream=True)
            await self.ways[way].resolve(response)

        self.run(way, scenario())
        self.turns.append([message, "".join(reply)])
        self.outcomes.append("answered")

    # -- turns that do not become one -----------------------------------------------------

    async def read(self, way: str, message: str, count: int | None, stream: bool = True) -> None:
        response = await self.ways[way].send(self.chat, message, stream=stream)
        async for _ in self.ways[way].read(response):
            if count is not None and (count := count - 1) < 0:
                break

    @rule(
        message=texts,
        reply=pieces,
        name=st.sampled_from(sorted(FAULTS)),
        stream=st.booleans(),
        way=ways,
    )
    def fail(self, message: str, reply: list[str], name: str, stream: bool, way: str) -> None:
        make, error, outcome = FAULTS[name]
        self.script([make()] if name == "block" else [*reply, make()])
        with pytest.raises(error):
            self.run(way, self.read(way, message, None, stream))
        self.outcomes.append(outcome)
        self.broke_off(message, "" if name == "block" else "".join(reply))

    @rule(
        message=texts,
        reply=pieces,
        finish=st.sampled_from(["SAFETY", "OTHER", "NEXT_YEAR", None]),
        stream=st.booleans(),
        way=ways,
    )
    def end_badly(
        self, message: str, reply: list[str], finish: str | None, stream: bool, way: str
    ) -> None:
        self.script(ScriptedReply(tuple(reply), finish=finish))
        error = BrokenResponseError if finish is None else StopCandidateException
        with pytest.raises(error):
            self.run(way, self.read(way, message, None, stream))
        self.outcomes.append("failed" if finish is None else "stopped")
        self.broke_off(message, "".join(reply))

    @rule(message=texts, reply=pieces, way=ways, data=st.data())
    def stream_and_break(self, message: str, reply: list[str], way: str, data: Any) -> None:
        count = data.draw(st.integers(0, len(reply) - 1))
        self.script(reply)
        self.run(way, self.read(way, message, count))
        self.outcomes.append("abandoned")
        self.broke_off(message, "".join(reply[: count + 1]))

    @rule(message=texts, reply=pieces, way=ways)
    def stream_and_drop(self, message: str, reply: list[str], way: str) -> None:
        self.script([*reply, "more"])

        async def scenario() -> None:
            await self.ways[way].send(self.chat, message, stream=True)

        self.run(way, scenario())
        self.outcomes.append("abandoned")
        self.broke_off(message, reply[0])

    @rule(message=texts, reply=pieces, way=ways, data=st.data())
    def stream_and_keep(self, message: str, reply: list[str], way: str, data: Any) -> None:
        count = data.draw(st.integers(0, len(reply)))
        self.script([*reply, "more"])

        async def scenario() -> None:
            response = await self.ways[way].send(self.chat, message, stream=True)
            reader = self.ways[way].read(response)
            for _ in range(count):
                await anext(reader)
            self.kept.append((response, reader))

        self.run(way, scenario())
        self.outcomes.append("open")
        self.arrived = message, "".join(reply[: max(count, 1)])

    @precondition(lambda self: self.kept and self.outcomes[-1] == "open")
    @rule(way=ways)
    def read_what_was_kept(self, way: str) -> None:
        response, reader = self.kept.pop()
        way = "async" if hasattr(response, "__aiter__") else "sync"
        del reader  # the reader that goes abandons the reply

        async def scenario() -> None:
            with pytest.raises(BrokenResponseError):
                await self.ways[way].resolve(response)

        self.run(way, scenario())
        self.close_kept()

    @rule(message=texts, reply=pieces, way=ways, data=st.data())
    def cancel_from_another_thread(
        self, message: str, reply: list[str], way: str, data: Any
    ) -> None:
        count = data.draw(st.integers(0, len(reply)))
        self.script([*reply, "more"])

        async def scenario() -> None:
            response = await self.ways[way].send(self.chat, message, stream=True)
            reader = self.ways[way].read(response)
            for _ in range(count):
                await anext(reader)
            in_thread(response.cancel)
            with pytest.raises(TurnCancelled):
                await read_into([], reader)

        self.run(way, scenario())
        self.outcomes.append("cancelled")
        self.broke_off(message, "".join(reply[: max(count, 1)]))

    # -- changing the history -------------------------------------------------------------

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def rewind(self, data: Any) -> None:
        self.close_kept()
        n = data.draw(st.integers(1, len(self.turns)))
        first, last = self.chat.rewind(n)
        taken = self.turns[-n:]
        del self.turns[-n:]
        assert (taken[0][0], taken[-1][-1]) == (first.text, last.text)

    @rule(beyond=st.integers(1, 3))
    def rewind_too_far(self, beyond: int) -> None:
        self.close_kept()
        with pytest.raises(IndexError):
            self.chat.rewind(len(self.turns) + beyond)

    @rule(history=st.lists(st.tuples(texts, texts), max_size=3))
    def set_history(self, history: list[tuple[str, str]]) -> None:
        self.close_kept()
        self.chat.history = [
            content
            for user, model in history
            for content in (
                {"role": "user", "parts": [user]},
                {"role": "model", "parts": [{"text": model}]},
            )
        ]
        self.turns = [[user, model] for user, model in history]

    # -- other conversations --------------------------------------------------------------

    @rule(how=st.sampled_from(["fork", "copy", "deepcopy"]), swap=st.booleans())
    def fork(self, how: str, swap: bool) -> None:
        make = {"fork": ChatSession.fork, "copy": copy.copy, "deepcopy": copy.deepcopy}[how]
        other = make(self.chat)
        if swap and "open" not in self.outcomes:
            self.chat, other = other, self.chat
        self.other = other, said(other)

    @rule()
    def pickle_round_trip(self) -> None:
        self.close_kept()
        self.outcomes = ["interrupted" if o == "open" else o for o in self.outcomes]
        self.kept.clear()
        for way in self.ways.values():
            way.run(way.idle())
        before = self.chat
        self.chat = pickle.loads(pickle.dumps(before))
        self.chat.model = before.model
        self.other = before, said(before)

    # -- what always holds ----------------------------------------------------------------

    @invariant()
    def the_history_is_the_list(self) -> None:
        assert self.expected() == said(self.chat)
        assert self.turns == [[c.text for c in turn.contents] for turn in self.chat.turns]
        roles = [content.role for content in self.chat.history]
        assert ["user", "model"] * len(self.turns) == roles

    @invariant()
    def the_journal_names_every_try(self) -> None:
        assert self.outcomes == [entry.outcome for entry in self.chat.journal]
        assert all(
            entry.turn.is_partial == (entry.outcome != "answered")
            for entry in self.chat.journal
            if entry.turn is not None
        )

    @invariant()
    def other_conversations_are_untouched(self) -> None:
        if self.other is not None:
            chat, expected = self.other
            assert expected == said(chat)

    @invariant()
    def what_was_sent_was_the_history(self) -> None:
        if self.backend.requests:
            contents = self.backend.requests[-1].contents
            assert ["user", "model"] * (len(contents) // 2) + ["user"] == [c.role for c in contents]

    @invariant()
    def no_stream_is_open_that_nobody_holds(self) -> None:
        for way in self.ways.values():
            way.run(way.idle())
        is_held = bool(self.kept) and self.outcomes[-1] == "open"
        assert self.backend.open_streams == is_held

    @invariant()
    def it_can_be_shown(self) -> None:
        assert repr(self.chat)
        assert repr(self.chat.journal)


TestSession = Session.TestCase
