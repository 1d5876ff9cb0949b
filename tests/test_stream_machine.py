"""The life of one streamed reply: read, replayed, read by two, resolved, cancelled, dropped."""

from __future__ import annotations

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

from multiturn.errors import (
    BackendError,
    BlockedPromptException,
    BrokenResponseError,
    IncompleteIterationError,
    StopCandidateException,
    TurnCancelled,
)
from multiturn.testing import ScriptedReply
from ways import BLOCKED, WAYS, Way, conversation, in_thread, said

ENDS: dict[str, tuple[Any, type[Exception] | None]] = {
    "whole": ("STOP", None),
    "long": ("MAX_TOKENS", None),
    "unsafe": ("SAFETY", StopCandidateException),
    "broken": (None, BrokenResponseError),
    "failed": (BackendError("cut"), BackendError),
    "blocked": (BLOCKED, BlockedPromptException),
}
pieces = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4)


class Stream(RuleBasedStateMachine):
    """What has arrived is ``arrived`` pieces; ``ended`` is why no more will come."""

    way_name = "sync"

    def __init__(self) -> None:
        super().__init__()
        self.way: Way = WAYS[self.way_name]()
        self.readers: list[tuple[Any, int]] = []
        self.error: type[Exception] | None = None
        self.done = False
        self.arrived = 1
        self.is_cancelled = False

    def teardown(self) -> None:
        self.readers.clear()
        if hasattr(self, "response"):
            del self.response
        self.way.close()

    def run(self, scenario: Any) -> Any:
        return self.way.run(scenario)

    @initialize(pieces=pieces, end=st.sampled_from(sorted(ENDS)))
    def begin(self, pieces: list[str], end: str) -> None:
        last, self.fate = ENDS[end]
        if end == "blocked":
            pieces, line = [""], [last]
        elif end == "failed":
            line = [*pieces, last]
        else:
            line = ScriptedReply(tuple(pieces), finish=last)
        self.pieces = pieces
        self.chat, self.backend = conversation(line)
        self.response = self.run(self.way.send(self.chat, "Hi", stream=True))

    # -- the model ------------------------------------------------------------------------

    def end(self, error: type[Exception] | None) -> None:
        self.done, self.error = True, error

    def advance(self) -> bool:
        """Take in one more piece; return whether there was one."""
        if self.done:
            return False
        if self.is_cancelled:
            self.end(TurnCancelled)
            return False
        if self.arrived < len(self.pieces):
            self.arrived += 1
            return True
        self.end(self.fate)
        return False

    # -- the rules ------------------------------------------------------------------------

    @precondition(lambda self: len(self.readers) < 3)
    @rule()
    def start_reading(self) -> None:
        self.readers.append((self.way.read(self.response), 0))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def read(self, data: Any) -> None:
        i = data.draw(st.integers(0, len(self.readers) - 1))
        reader, position = self.readers[i]
        if position < self.arrived or self.advance():
            assert self.pieces[position] == self.run(_next(reader)).text
            self.readers[i] = reader, position + 1
        elif self.error is None:
            with pytest.raises(StopAsyncIteration):
                self.run(_next(reader))
        else:
            for _ in range(2):
                with pytest.raises(self.error):
                    self.run(_next(reader))

    @rule()
    def resolve(self) -> None:
        while self.advance():
            pass
        if self.error is None:
            self.run(self.way.resolve(self.response))
        else:
            with pytest.raises(self.error):
                self.run(self.way.resolve(self.response))

    @rule(elsewhere=st.booleans())
    def cancel(self, elsewhere: bool) -> None:
        if elsewhere:
            in_thread(self.response.cancel)
        else:
            self.response.cancel()
        self.is_cancelled = True

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def drop_a_reader(self, data: Any) -> None:
        self.readers.pop(data.draw(st.integers(0, len(self.readers) - 1)))
        if not self.readers and not self.done:
            self.end(TurnCancelled if self.is_cancelled else BrokenResponseError)

    @precondition(lambda self: self.done)
    @rule()
    def replay(self) -> None:
        """Read from the beginning; that changes nothing."""
        texts: list[str] = []

        async def scenario() -> None:
            async for chunk in self.way.read(self.response):
                texts.append(chunk.text)

        if self.error is None:
            self.run(scenario())
        else:
            with pytest.raises(self.error):
                self.run(scenario())
        assert self.pieces[: self.arrived] == texts

    # -- what always holds ----------------------------------------------------------------

    @invariant()
    def the_whole_can_be_read_only_when_it_is_there(self) -> None:
        if not hasattr(self, "response"):
            return
        arrived = "".join(self.pieces[: self.arrived])
        if not self.done:
            for name in ("text", "parts", "candidates"):
                with pytest.raises(IncompleteIterationError, match="resolve"):
                    getattr(self.response, name)
        elif self.fate is not BlockedPromptException:
            assert arrived == self.response.text
            assert [arrived] == [part.text for part in self.response.parts]
        assert (self.error is None) == (self.response.error is None)
        assert self.error is None or isinstance(self.response.error, self.error)

    @invariant()
    def the_history_has_the_turn_when_the_reply_is_whole(self) -> None:
        if hasattr(self, "response"):
            whole = self.done and self.error is None
            assert (["Hi", "".join(self.pieces)] if whole else []) == said(self.chat)
            assert self.done == (self.chat.journal[0].outcome != "open")
            assert self.chat.last is self.response

    @invariant()
    def nothing_is_left_open(self) -> None:
        if hasattr(self, "response"):
            self.run(self.way.idle())
            assert 0 == self.backend.open_streams or not self.done

    @invariant()
    def it_can_be_shown(self) -> None:
        if hasattr(self, "response"):
            assert repr(self.response)
            assert self.response.usage_metadata is not None
            assert self.response.prompt_feedback is not None


async def _next(reader: Any) -> Any:
    return await anext(reader)


class AsyncStream(Stream):
    """The same on an event loop."""

    way_name = "async"


TestStream = Stream.TestCase
TestAsyncStream = AsyncStream.TestCase
