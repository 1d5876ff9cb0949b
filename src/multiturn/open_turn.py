"""A turn under way: what ties an exchange to its session's history and journal."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from multiturn.calls import calls_of
from multiturn.content import Content
from multiturn.errors import ApprovalNeeded, without_traceback
from multiturn.exchange import Exchange, Outcome
from multiturn.history import Turn
from multiturn.journal import JournalEntry
from multiturn.message import Object
from multiturn.turn import RunCalls, Steps, turn

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.model import Overrides
    from multiturn.pending import PendingTurn
    from multiturn.response import BaseGenerateContentResponse
    from multiturn.toolbox import Toolbox

# How long a call waits for another thread's open turn when it gives no time limit; the
# old SDK's deadline for a whole call.
_WAIT_SECONDS = 600.0


class OpenTurn(Exchange):
    """A turn under way: an exchange that ends in the session's history and journal."""

    __slots__ = (
        "_decisions",
        "_entry",
        "_overrides",
        "_response",
        "_said",
        "_session",
        "_steps_back",
        "_stream",
        "_toolbox",
        "_turn",
        "wait_seconds",
    )

    def __init__(
        self,
        said: tuple[Content, ...],
        overrides: Overrides,
        stream: bool,
        pending: PendingTurn | None = None,
        steps_back: int = 0,
    ) -> None:
        self._said, self._overrides, self._stream = said, overrides, stream
        self._decisions = pending.decisions if pending else None
        self._steps_back = steps_back
        seconds = overrides.timeout_seconds
        self.wait_seconds = _WAIT_SECONDS if seconds is None else seconds
        self._session: ChatSession | None = None
        self._entry: JournalEntry | None = None
        self._turn: Turn | None = None
        self._toolbox: Toolbox | None = None
        self._response: weakref.ref[BaseGenerateContentResponse[Any]] | None = None
        super().__init__()

    def begin(self, session: ChatSession) -> Steps:
        """Note the try in the journal and return the steps of the turn."""
        parent = session.turn_before(self._steps_back)
        request = session.request_for(self._overrides, stream=self._stream, after=parent)
        retry = session.model.retry_for(self._overrides)
        rules = None
        if session.enable_automatic_function_calling and request.tools:
            from multiturn.toolbox import toolbox_for

            self._toolbox = toolbox_for(session.model.tools_for(self._overrides), session.calling)
            rules = self._toolbox.rules(request.tools)
        steps = turn(request, self._said, retry, rules, self._decisions)
        self._session = session
        self._entry = JournalEntry(self._said[0], parent=parent)
        session._journal.append(self._entry)
        session._pending = None
        return steps

    async def begin_async(self, session: ChatSession) -> Steps:
        """The same without blocking the event loop; memory does not block."""
        return self.begin(session)

    def shown_as(self, response: Any) -> None:
        """Make the reply that the user gets the session's last."""
        assert self._session is not None
        self._response = self._session._arriving = weakref.ref(response)

    def run_calls(self, step: RunCalls) -> list[Object] | None:
        """Run functions, in this thread unless they have a time limit."""
        assert self._toolbox is not None
        from multiturn.run_calls import run_calls

        return run_calls(step.calls, step.decisions, self._toolbox, self.cancel)

    async def run_calls_async(self, step: RunCalls) -> list[Object] | None:
        """Run functions, those that are not async in a thread."""
        assert self._toolbox is not None
        from multiturn.run_calls import run_calls_async

        return await run_calls_async(step.calls, step.decisions, self._toolbox, self.cancel)

    def pause(self, contents: tuple[Content, ...]) -> None:
        """Keep the turn for ``chat.resume()`` and tell the caller."""
        assert self._session is not None
        from multiturn.pending import PendingTurn

        calls = calls_of(contents[-1])
        self._session._pending = PendingTurn(contents, calls, self._overrides)
        raise ApprovalNeeded(calls)

    def save(self, contents: tuple[Content, ...]) -> None:
        """Move the session's head to a new turn; the only place where a history grows."""
        assert self._session is not None
        assert self._entry is not None
        if self.outcome != "open":
            return
        self._turn = Turn(self._entry.parent, contents)
        self._session._head, self._session._redo = self._turn, ()

    def settle(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Close the journal's entry and let the next turn in."""
        if self.outcome != "open":
            return
        session, entry = self._session, self._entry
        if session is None or entry is None:
            super().settle(outcome, error)
            return
        if self._turn is not None and session._head is self._turn:
            # Committed, whatever came after: the entry says what the history says.
            entry.turn, outcome, error = self._turn, "answered", None
        elif self.reply.chunks:
            entry.received = self.reply.whole()
        entry.error, entry.outcome = without_traceback(error), outcome
        response = self._response() if self._response else None
        if response is not None and session._arriving is self._response:
            session._last, session._arriving = response, None
        super().settle(outcome, error)
        session._gate.leave()
