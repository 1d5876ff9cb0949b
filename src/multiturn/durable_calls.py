"""What the functions of a stored turn do, recorded before each runs and after."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from multiturn.messages.message import Object
from multiturn.stores.record import recorded
from multiturn.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from concurrent.futures import Future

    from multiturn.calls import Call
    from multiturn.stored_session import StoredSession
    from multiturn.stores.protocol import SessionState
    from multiturn.turn import RunCalls


class CallNotes:
    """The notes on the calls of one reply; may be shared by threads.

    A function runs when the note that it begins is durable; what it returns is noted
    while the turn goes on.  Notes that wait for each other are written as one, so that
    functions which begin at once share a transaction.

    Args:
        stored: Where the session rests.
        state: The session with this turn under way.
        members: What is recorded of the turn beside the results of its calls.
        step: The calls, and what is known of them.
        toolbox: How they are run.
        on_their_way: The notes of the turn so far that may not be written yet; none must
            be written over what is noted here.  Those on these calls are added.

    Attributes:
        results: By index of a call that has begun, the part that answers it, None if its
            end is not known.
    """

    def __init__(
        self,
        stored: StoredSession,
        state: SessionState,
        members: Object,
        step: RunCalls,
        toolbox: Toolbox,
        on_their_way: list[Future[None]],
    ) -> None:
        self.results = dict(step.results)
        self._last, self._calling = len(step.calls) - 1, toolbox.calling
        self._unseen = toolbox.unseen
        self._stored, self._state, self._members = stored, state, members
        self._on_their_way, self._earlier = on_their_way, [*on_their_way]
        self._numbers = itertools.count()
        # Changes with a lower number are written.
        self._written = 0
        self._writing = threading.Lock()

    def begin(self, call: Call) -> None:
        """Note that a function is about to run; durable when this returns."""
        self.results[call.index] = None
        for earlier in self._earlier:
            earlier.exception()  # wait for it
        self._write(next(self._numbers))

    def returned(self, call: Call, part: Object) -> None:
        """Note what answers a call; who goes on does not wait for it."""
        self.results[call.index] = part
        if not self._begins_next(call):
            self.note()

    def _begins_next(self, call: Call) -> bool:
        """Whether another call begins at once, whose note says this one's result too."""
        calling = self._calling
        return (
            calling.tool_mode == "sequential"
            and calling.before_call is None
            and calling.after_call is None
            and call.index != self._last
        )

    def note(self) -> None:
        """Have everything written that is known now."""
        number = next(self._numbers)
        self._on_their_way.append(self._stored.worker.submit(lambda: self._write(number)))

    def _write(self, number: int) -> None:
        with self._writing:
            if number < self._written:
                return  # with that of another thread
            upto = next(self._numbers)
            results = {str(index): part for index, part in [*self.results.items()]}
            members: Object = {**self._members, "results": results}
            if self._calling.after_call is not None:
                members["unseen"] = sorted(self._unseen)
            record = recorded(members)
            self._stored.store.note(self._state, record)
            self._written = upto


def noted(toolbox: Toolbox, notes: CallNotes) -> Toolbox:
    """Return a toolbox with the same functions that takes these notes."""
    return Toolbox(toolbox.functions, toolbox.calling, toolbox.session, notes, toolbox.unseen)
