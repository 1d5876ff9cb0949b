"""A turn under way: what ties an exchange to its session's history and journal."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from multiturn.content import Content
from multiturn.exchange import Exchange, Outcome
from multiturn.history import Turn
from multiturn.journal import JournalEntry
from multiturn.turn import Steps, turn

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.model import Overrides
    from multiturn.response import BaseGenerateContentResponse


class OpenTurn(Exchange):
    """A turn under way: an exchange that ends in the session's history and journal."""

    __slots__ = (
        "_entry",
        "_message",
        "_response",
        "_session",
        "_stream",
        "_turn",
        "wait_seconds",
    )

    def __init__(self, message: Content, stream: bool, wait_seconds: float) -> None:
        super().__init__()
        self._message, self._stream, self.wait_seconds = message, stream, wait_seconds
        self._session: ChatSession | None = None
        self._entry: JournalEntry | None = None
        self._turn: Turn | None = None
        self._response: weakref.ref[BaseGenerateContentResponse[Any]] | None = None

    def begin(self, session: ChatSession, overrides: Overrides) -> Steps:
        """Note the try in the journal and return the steps of the turn."""
        request = session._request(session._head, self._message, overrides, self._stream)
        steps = turn(request, self._message, session.model.retry_for(overrides))
        self._session = session
        self._entry = JournalEntry(self._message, parent=session._head)
        session._journal.append(self._entry)
        return steps

    def shown_as(self, response: Any) -> None:
        """Make the reply that the user gets the session's last."""
        assert self._session is not None
        self._response = self._session._arriving = weakref.ref(response)

    def save(self, contents: tuple[Content, ...]) -> None:
        """Move the session's head to a new turn; the only place where a history grows."""
        assert self._session is not None
        assert self._entry is not None
        if self.outcome != "open":
            return
        self._turn = Turn(self._entry.parent, contents)
        self._session._head = self._turn

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
        entry.error, entry.outcome = error, outcome
        response = self._response() if self._response else None
        if response is not None and session._arriving is self._response:
            session._last, session._arriving = response, None
        super().settle(outcome, error)
        session._gate.leave()
