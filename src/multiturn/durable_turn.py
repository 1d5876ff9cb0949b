"""A turn under way in a stored session: leased before it is asked for, durable when it ends."""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

from multiturn.calls import Call, calls_of
from multiturn.durable_calls import CallNotes, noted
from multiturn.errors import MultiturnError, SessionBusy
from multiturn.history import Outcome, Turn
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.open_turn import OpenTurn
from multiturn.recorded_overrides import overrides_object
from multiturn.stored_session import StoredSession, row_of
from multiturn.stores.errors import Conflict
from multiturn.stores.protocol import SessionState, StoredTurn
from multiturn.stores.record import Record, recorded
from multiturn.turn import AskModel, RunCalls, Steps, judged
from multiturn.worker import result_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from multiturn.backends import Backend
    from multiturn.cancel import Cancel
    from multiturn.chat import ChatSession
    from multiturn.pending import PendingTurn
    from multiturn.request import Overrides, Request

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.05
# What has arrived is recorded no more often, and costs no more than this share of the time.
_NOTE_SECONDS, _NOTE_SHARE = 1.0, 0.02


class DurableTurn(OpenTurn):
    """An open turn that the store knows of from before its first request."""

    __slots__ = (
        "_attempt",
        "_held",
        "_is_committing",
        "_next_note",
        "_on_their_way",
        "_results",
        "_so_far",
        "_stored",
        "_told_overrides",
        "_worker",
    )

    def __init__(
        self,
        stored: StoredSession,
        said: tuple[Content, ...],
        overrides: Overrides,
        stream: bool,
        pending: PendingTurn | None = None,
        steps_back: int = 0,
    ) -> None:
        self._stored, self._worker = stored, stored.worker
        self._attempt = ""
        # The session as it is while this turn has it; what another turn has is not ours.
        self._held = stored.state
        self._is_committing = False
        self._results = dict(pending.results) if pending else {}
        self._next_note = 0.0
        # The notes that may not be written yet; they are written in their order.
        self._on_their_way: list[Future[None]] = []
        self._so_far = said
        self._told_overrides = overrides_object(overrides)
        super().__init__(said, overrides, stream, pending, steps_back)

    # -- before the first request --------------------------------------------------------

    def prepare(self, session: ChatSession) -> None:
        """Check everything that can be checked, without what was erased meanwhile."""
        self._stored.forget_erased(session)
        super().prepare(session)

    def begin(self, session: ChatSession) -> Steps:
        """Lease the session, waiting for a turn of another process, then as ``OpenTurn``."""
        self._worker.catch_up()
        lease, pauses = self._lease(session), self._pauses(session)
        while True:
            try:
                return self._begun(session, *lease())
            except SessionBusy:
                if (pause := next(pauses, None)) is None:
                    raise
            time.sleep(pause)

    async def begin_async(self, session: ChatSession) -> Steps:
        """The same without blocking the event loop."""
        import asyncio

        lease, pauses = self._lease(session), self._pauses(session)
        while True:
            try:
                return self._begun(session, *await result_of(self._worker.submit(lease)))
            except SessionBusy:
                if (pause := next(pauses, None)) is None:
                    raise
            await asyncio.sleep(pause)

    def _lease(self, session: ChatSession) -> Callable[[], tuple[SessionState, Turn | None]]:
        stored, attempt, record = self._stored, os.urandom(16).hex(), self._record()
        self._attempt, self._held = attempt, stored.state._replace(attempt=attempt)
        pending = self._pending
        keeps = session._unfinished == "keep" and pending is None

        def lease() -> tuple[SessionState, Turn | None]:
            if keeps:
                stored.keep_what_died()
            if pending is not None:
                from multiturn.stored_pending import begin_again

                state = begin_again(stored, pending, attempt, record)
            else:
                state = stored.store.begin(stored.state, attempt, record)
            return state, stored.head_of(state)

        return lease

    def _pauses(self, session: ChatSession) -> Iterator[float]:
        """Give the pauses after tries in vain, none if the session is not to wait."""
        deadline, pause = time.monotonic() + self.wait_seconds, _FIRST_PAUSE_SECONDS
        while session._busy == "wait" and time.monotonic() < deadline:
            yield pause * random.uniform(0.5, 1.5)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _begun(self, session: ChatSession, state: SessionState, head: Turn | None) -> Steps:
        """Go on from where the session is now, which others may have moved."""
        self._worker.leases[self._attempt] = self._held = state
        seen, self._stored.state, session._head = session._head, state, head
        # By identity: where something before it was erased it is another object.
        if self._steps_back and (head and head.id) != (seen and seen.id):
            address = self._stored.store.address
            raise Conflict(self._stored.name, "its head was moved", store=address)
        steps = super().begin(session)
        session._journal.clear()  # the store has it
        return steps

    # -- while it runs -------------------------------------------------------------------

    def run(self, steps: Steps, backend: Backend) -> Iterator[Object]:
        """Carry the steps out, and watch what the model says."""
        return super().run(steps, _watched(backend, self))

    def run_async(self, steps: Steps, backend: Backend) -> AsyncIterator[Object]:
        """The same for an event loop."""
        return super().run_async(steps, _watched(backend, self))

    def asked(self, step: AskModel) -> None:
        """Take note of what is asked, and of the reply that is about to arrive."""
        super().asked(step)
        self._so_far, self._results = step.request.contents.more, {}
        self._next_note = self._asked_at + _NOTE_SECONDS

    def arrived(self) -> None:
        """Now and then, record what there is."""
        now = time.monotonic()
        if now >= self._next_note:
            self._on_their_way = [self._note_later()]
            self._next_note = now + max(_NOTE_SECONDS, (time.monotonic() - now) / _NOTE_SHARE)

    def run_calls(self, step: RunCalls) -> list[Object] | None:
        """Run functions; that one begins is recorded before it does."""
        self._calling(step)
        return super().run_calls(step)

    async def run_calls_async(self, step: RunCalls) -> list[Object] | None:
        """The same without blocking the event loop."""
        self._calling(step)
        return await super().run_calls_async(step)

    def _calling(self, step: RunCalls) -> None:
        if not calls_of(self._so_far[-1]):
            self._so_far = (*self._so_far, judged(self.reply))
        assert self._toolbox is not None
        given = self._members(), step, self._toolbox.calling, self._on_their_way
        notes = CallNotes(self._stored, self._held, *given)
        self._results = notes.results
        self._toolbox = noted(self._toolbox, notes)
        if self._toolbox.calling.approve is not None:
            notes.note()  # who decides may take long

    def pause(self, contents: tuple[Content, ...]) -> None:
        """Keep the turn for ``chat.resume()``, here or in another process."""
        self._so_far = contents
        super().pause(contents)

    def _note_later(self) -> Future[None]:
        store, state, record = self._stored.store, self._held, self._record()
        return self._worker.submit(lambda: store.note(state, record))

    # -- how it ends ---------------------------------------------------------------------

    def save(self, contents: tuple[Content, ...]) -> None:
        """Commit the turn; it is durable when this returns."""
        if self.outcome == "open":
            self._keep(contents, self._commit(contents)())

    async def save_async(self, contents: tuple[Content, ...]) -> None:
        """The same without blocking the event loop; a commit begun is never cancelled."""
        if self.outcome != "open":
            return
        future = self._worker.submit(self._commit(contents))
        try:
            await result_of(future)
        finally:
            if future.done() and future.exception() is None:
                self._keep(contents, future.result())

    def _commit(
        self, contents: tuple[Content, ...]
    ) -> Callable[[], tuple[StoredTurn, SessionState]]:
        store, state = self._stored.store, self._held
        record = recorded({"contents": [c.json_object for c in contents], **self._told()})
        row = self._row(record)
        self._is_committing = True

        def commit() -> tuple[StoredTurn, SessionState]:
            return row, store.commit(state, [row], record.blobs)

        return commit

    def _row(self, record: Record) -> StoredTurn:
        parent = self._entry.parent if self._entry else None
        number = parent.number + 1 if parent else 0
        return row_of(parent.id if parent else None, number, record)

    def _keep(
        self, contents: tuple[Content, ...], committed: tuple[StoredTurn, SessionState]
    ) -> None:
        row, state = committed
        self._stored.become(state)
        assert self._session is not None
        assert self._entry is not None
        told, parent = self._stored.reader(row.id), self._entry.parent
        self._stored.forget_erased(self._session)  # while this turn was under way
        parent = self._stored.turn(parent.id) if parent else None
        self._turn = Turn(parent, contents, row.id, told=told)
        self._stored.turns[row.id] = self._turn
        self._session._head = self._turn

    def _add(self, contents: tuple[Content, ...], outcome: Outcome) -> None:
        """Have a partial turn committed; in a forked child it is the parent's to do."""
        session, entry = self._session, self._entry
        assert session is not None
        assert entry is not None
        if self.process_id != os.getpid():
            return
        members = {**self._members(entry.error), "outcome": outcome}
        members["contents"] = [content.json_object for content in contents]
        for name in ("results", "received"):
            members.pop(name, None)
        record = recorded(members)
        row = self._row(record)
        told = self._stored.reader(row.id)
        self._turn = Turn(entry.parent, contents, row.id, outcome, told)
        if self._stored.is_current:
            self._stored.turns[row.id] = self._turn
        session.__dict__.pop("_head", None)  # what is stored then is read when it is needed
        self._stored.commit_later(self._held, row, outcome, record)

    def _wait(self, contents: tuple[Content, ...], calls: tuple[Call, ...]) -> None:
        super()._wait(contents, calls)
        assert self._session is not None
        assert self._session._pending is not None
        self._session._pending.told = self._members()
        self._session._pending.version = self._held.version + 1  # when its end is noted

    def settle(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Note the end in the store too; in a forked child it is the parent's to note."""
        if self.outcome != "open":
            return
        super().settle(outcome, error)
        if not self._attempt or self.process_id != os.getpid():
            return
        if self._turn is not None:
            self._worker.leases.pop(self._attempt, None)
            return
        if self._is_committing and self._session is not None:
            # An exception fell into the commit: the store knows, and is asked next time.
            self._session.__dict__.pop("_head", None)
        # A turn that waits on is found by the next process too; its functions may not be.
        waits = self._pending is not None and not calls_of(self._so_far[-1])
        ended = "paused" if waits else self.outcome
        self._stored.settle_later(self._held, ended, self._record(error))

    # -- what is written -----------------------------------------------------------------

    def _record(self, error: BaseException | None = None) -> Record:
        """Return all that is known of the turn while it is none, to be written down."""
        members = self._members(error)
        try:
            return recorded(members)
        except MultiturnError:  # a reply that JSON cannot hold is what went wrong
            return recorded({"contents": members["contents"], "error": members.get("error")})

    def _members(self, error: BaseException | None = None) -> Object:
        members: Object = {"contents": [c.json_object for c in self._so_far]}
        if self._steps_back:
            members["stepsBack"] = self._steps_back
        if self._told_overrides:
            members["overrides"] = self._told_overrides
        if self._results:
            members["results"] = {str(index): part for index, part in [*self._results.items()]}
        arrived = self.reply.whole() if self.reply.chunks else None
        received = self._furthest(self._so_far, arrived)
        if received is not None:
            members["received"] = received
        if error is not None:
            members["error"] = f"{type(error).__name__}: {error}"
        return {**members, **self._told()}

    def _told(self) -> Object:
        return {"attempt": self._attempt, **super()._told()}


def _watched(backend: Backend, turn: DurableTurn) -> Any:
    return _Watched(backend, turn)


class _Watched:
    """A backend that tells a turn when a chunk has been taken."""

    def __init__(self, backend: Backend, turn: DurableTurn) -> None:
        self._backend, self._turn = backend, turn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Object]:
        chunks = self._backend.stream(request, cancel)
        try:
            for chunk in chunks:
                yield chunk
                self._turn.arrived()
        finally:
            if isinstance(chunks, Generator):
                chunks.close()

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[Object]:
        chunks = self._backend.stream_async(request, cancel)
        try:
            async for chunk in chunks:
                yield chunk
                self._turn.arrived()
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
