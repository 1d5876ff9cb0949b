"""A turn under way in a stored session: leased before it is asked for, durable when it ends."""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from multiturn.calls import NOTHING_WAITS, Waiting, calls_of, waiting_object
from multiturn.durable_calls import CallNotes, noted
from multiturn.errors import MultiturnError, SessionBusy
from multiturn.history import Outcome, Turn
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.open_turn import OpenTurn
from multiturn.provenance import told_object
from multiturn.recorded_overrides import overrides_object
from multiturn.stores.errors import OutcomeUnknown
from multiturn.stores.holder import under_way
from multiturn.stores.limit import Limit
from multiturn.stores.protocol import Blobs, SessionState, StoredTurn
from multiturn.stores.record import Record, recorded
from multiturn.stores.rows import row_of
from multiturn.turn import AskModel, RunCalls, Steps, judged
from multiturn.worker import result_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from multiturn.chat import ChatSession
    from multiturn.pending import PendingTurn
    from multiturn.request import Overrides
    from multiturn.stored_session import StoredSession

T = TypeVar("T")
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.05
# What has arrived is recorded no more often, and costs no more than this share of the time.
_NOTE_SECONDS, _NOTE_SHARE = 1.0, 0.02


class DurableTurn(OpenTurn):
    """An open turn that the store knows of from before its first request."""

    __slots__ = (
        "_attempt",
        "_ends",
        "_held",
        "_is_committing",
        "_next_note",
        "_noted_chunks",
        "_on_their_way",
        "_results",
        "_so_far",
        "_stored",
        "_told_overrides",
        "_waiting",
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
        self._waiting = Waiting((), pending.decisions) if pending else NOTHING_WAITS
        self._next_note, self._noted_chunks = 0.0, 0
        # The notes that may not be written yet; they are written in their order.
        self._on_their_way: list[Future[None]] = []
        self._so_far = said
        self._told_overrides = overrides_object(overrides)
        super().__init__(said, overrides, stream, pending, steps_back)
        # All that happens before the model is asked happens within the message's time limit.
        self._ends = time.monotonic() + self.wait_seconds

    # -- before the first request --------------------------------------------------------

    def prepare(self, session: ChatSession) -> None:
        """Check everything that can be checked, without what was erased meanwhile."""
        if not self._stored.is_read(session):
            with Limit(self._ends):
                _ = session._now
        super().prepare(session)

    async def prepare_async(self, session: ChatSession) -> None:
        """The same; what has to be read is read by the store's thread."""
        if not self._stored.is_read(session):
            await self._by_the_worker(lambda: session._now)
        super().prepare(session)

    async def _by_the_worker(self, job: Callable[[], T]) -> T:
        limit = Limit(self._ends)
        return await result_of(self._worker.submit(job, limit), limit)

    def begin(self, session: ChatSession) -> Steps:
        """Lease the session, waiting for a turn of another process, then as ``OpenTurn``."""
        record, pauses, limit = self._named(), None, Limit(self._ends)
        while True:
            try:
                with limit:
                    self._worker.catch_up()
                    lease = self._lease(session, record)
                return self._begun(session, *lease)
            except SessionBusy:
                pauses = pauses or self._pauses(session)
                if (pause := next(pauses, None)) is None:
                    raise
            time.sleep(pause)
            limit = Limit(self._ends)

    async def begin_async(self, session: ChatSession) -> Steps:
        """The same without blocking the event loop."""
        import asyncio

        record, pauses = self._named(), None
        while True:
            try:
                lease = await self._by_the_worker(lambda: self._lease(session, record))
                return self._begun(session, *lease)
            except SessionBusy:
                pauses = pauses or self._pauses(session)
                if (pause := next(pauses, None)) is None:
                    raise
            await asyncio.sleep(pause)

    def _named(self) -> Record:
        """Give the attempt its name, and return what is known of it."""
        self._attempt = os.urandom(16).hex()
        return self._record()

    def _lease(self, session: ChatSession, record: Record) -> tuple[SessionState, Turn | None]:
        stored, attempt, pending = self._stored, self._attempt, self._pending
        if pending is not None:
            from multiturn.stored_pending import begin_again

            state = begin_again(stored, pending, attempt, record)
        else:
            if session._unfinished == "keep":
                stored.keep_what_died()
            state = stored.store.begin(stored.state, attempt, record)
        return state, stored.head_of(state)

    def _pauses(self, session: ChatSession) -> Iterator[float]:
        """Give the pauses after tries in vain, none if the session is not to wait."""
        pause = _FIRST_PAUSE_SECONDS
        while session._busy == "wait" and time.monotonic() + pause < self._ends:
            yield pause * random.uniform(0.5, 1.5)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _begun(self, session: ChatSession, state: SessionState, head: Turn | None) -> Steps:
        """Go on from where the session is now, which others may have moved."""
        self._worker.leases[self._attempt] = self._held = state
        seen, self._stored.state, session._head = session._head, state, head
        # By identity: where something before it was erased it is another object.
        if (head and head.id) != (seen and seen.id):
            self._stored.is_seen = False
        if self._steps_back:
            self._stored.require_seen(head)
        steps = super().begin(session)
        session._journal.clear()  # the store has it
        return steps

    # -- while it runs -------------------------------------------------------------------

    def asked(self, step: AskModel) -> Callable[[Object], None]:
        """Take note of what is asked; return what takes in the chunks of its reply."""
        take = super().asked(step)
        self._so_far, self._results = step.request.contents.more, {}
        self._waiting = NOTHING_WAITS
        self._next_note, self._noted_chunks = self._asked_at + _NOTE_SECONDS, 0
        self._worker.look_after(self._attempt, weakref.ref(self))
        return take

    def record_arrived(self) -> None:
        """Record what has arrived, if it is time; for the store's thread alone."""
        chunks, now = self.reply.chunks, time.monotonic()
        if chunks == self._noted_chunks or now < self._next_note:
            return
        if all(earlier.done() for earlier in self._on_their_way):
            record = self._record()
            self._next_note = now + max(_NOTE_SECONDS, (time.monotonic() - now) / _NOTE_SHARE)
            self._stored.store.note(self._held, record)
            self._noted_chunks = chunks

    def run_calls(self, step: RunCalls) -> list[Object] | Waiting:
        """Run functions; that one begins is recorded before it does."""
        self._calling(step)
        return super().run_calls(step)

    async def run_calls_async(self, step: RunCalls) -> list[Object] | Waiting:
        """The same without blocking the event loop."""
        self._calling(step)
        return await super().run_calls_async(step)

    def _calling(self, step: RunCalls) -> None:
        self._on_their_way = [*self._on_their_way, *self._worker.leave(self._attempt)]
        if not calls_of(self._so_far[-1]):
            self._so_far = (*self._so_far, judged(self.reply)[0])
        assert self._toolbox is not None
        given = self._members(), step, self._toolbox, self._on_their_way
        notes = CallNotes(self._stored, self._held, *given)
        self._results = notes.results
        self._toolbox = noted(self._toolbox, notes)
        if self._toolbox.calling.approve is not None:
            notes.note()  # who decides may take long

    def pause(self, contents: tuple[Content, ...], waiting: Waiting) -> None:
        """Keep the turn for ``chat.resume()``, here or in another process."""
        self._so_far, self._waiting = contents, waiting
        super().pause(contents, waiting)

    # -- how it ends ---------------------------------------------------------------------

    def save(self, contents: tuple[Content, ...]) -> None:
        """Commit the turn; it is durable when this returns."""
        if self.outcome == "open":
            row, blobs = self._row_of(contents)
            self._keep(contents, row, self._commit(row, blobs))

    async def save_async(self, contents: tuple[Content, ...]) -> None:
        """The same without blocking the event loop; a commit begun is never cancelled."""
        if self.outcome != "open":
            return
        row, blobs = self._row_of(contents)
        future = self._worker.submit(lambda: self._commit(row, blobs))
        try:
            await result_of(future)
        finally:
            if future.done() and future.exception() is None:
                self._keep(contents, row, future.result())

    def _row_of(self, contents: tuple[Content, ...]) -> tuple[StoredTurn, Blobs]:
        record = recorded({"contents": [c.json_object for c in contents], **self._told()})
        row, self._is_committing = self._row(record), True
        return row, record.blobs

    def _commit(self, row: StoredTurn, blobs: Blobs) -> SessionState:
        return self._stored.store.commit(self._held, [row], blobs)

    def _row(self, record: Record) -> StoredTurn:
        parent = self._entry.parent if self._entry else None
        number = parent.number + 1 if parent else 0
        return row_of(parent.id if parent else None, number, record)

    def _keep(self, contents: tuple[Content, ...], row: StoredTurn, state: SessionState) -> None:
        self._stored.become(state)
        self._stored.is_seen = True
        assert self._session is not None
        assert self._entry is not None
        told = self._stored.reader(row.id)
        self._turn = Turn(self._entry.parent, contents, row.id, told=told)
        if self._stored.is_current:
            self._stored.turns[row.id] = self._session._head = self._turn
        else:  # what was erased meanwhile may lie before it: the next look reads it anew
            self._stored.forget_erased(self._session)

    def _add(self, contents: tuple[Content, ...], outcome: Outcome) -> None:
        """Have a partial turn committed; in a forked child it is the parent's to do."""
        session, entry = self._session, self._entry
        assert session is not None
        assert entry is not None
        if self.process_id != os.getpid():
            return
        members = {**self._members(entry.error), "outcome": outcome}
        members["contents"] = [content.json_object for content in contents]
        for name in ("results", "unseen", "received"):
            members.pop(name, None)
        record = recorded(members)
        row = self._row(record)
        told = self._stored.reader(row.id)
        self._turn = Turn(entry.parent, contents, row.id, outcome, told)
        if self._stored.is_current:
            self._stored.turns[row.id] = self._turn
        session.__dict__.pop("_head", None)  # what is stored then is read when it is needed
        self._stored.commit_later(self._held, row, outcome, record)

    def _wait(self, contents: tuple[Content, ...], waiting: Waiting) -> None:
        super()._wait(contents, waiting)
        assert self._session is not None
        assert self._session._pending is not None
        self._session._pending.told = self._members()
        self._session._pending.version = self._held.version + 1  # when its end is noted

    def settle(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Note the end in the store too; in a forked child it is the parent's to note."""
        if self.outcome != "open":
            return
        try:
            self._settle(outcome, error)
        except BaseException:
            # Ctrl-C: nobody may hold its lease from now on; who comes next takes it over.
            self._worker.over(self._attempt)
            under_way.pop(self._attempt, None)
            if self._session is not None:
                self._session._pending = None  # what waits there, the store knows
            raise

    def _settle(self, outcome: Outcome, error: BaseException | None) -> None:
        super().settle(outcome, error)
        if not self._attempt or self.process_id != os.getpid():
            return
        if self._held.attempt != self._attempt:  # whether the store took note of it is not known
            self._held = self._stored.state._replace(attempt=self._attempt)
            if self._pending is not None and outcome != "failed":
                self._forget(self._pending)
        elif self._pending is not None:
            self._pending.version = self._held.version + 1  # when its end is noted
        if self._turn is not None:
            self._worker.over(self._attempt)
            return
        is_unknown = self._is_committing and (
            outcome != "failed" or isinstance(error, OutcomeUnknown)
        )
        if self._is_committing and self._session is not None:
            # An exception fell into the commit: the store knows, and is asked next time.
            self._session.__dict__.pop("_head", None)
            if is_unknown:
                self._session._pending = None
        ended = "paused" if self._waits(is_unknown) else self.outcome
        self._stored.settle_later(self._held, ended, self._record(error))

    def _waits(self, is_unknown: bool) -> bool:
        """Whether the next process finds it too, to go on with; its functions may not be there."""
        if calls_of(self._so_far[-1]):
            return any(self._waiting)
        return self._pending is not None or (is_unknown and len(self._so_far) > 1)

    @staticmethod
    def _forget(pending: PendingTurn) -> None:
        """Have it read from the store, which alone knows what waits there now."""
        if pending.session is not None and pending.session._pending is pending:
            pending.session._pending = None

    # -- what is written -----------------------------------------------------------------

    def _record(self, error: BaseException | None = None) -> Record:
        """Return all that is known of the turn while it is none, to be written down."""
        members = self._members(error)
        if error is not None:
            members["ended"] = self.outcome  # "paused" in the store, if it waits on nevertheless
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
        if self._unseen:
            members["unseen"] = sorted(self._unseen)
        if any(self._waiting):
            members["waiting"] = waiting_object(self._waiting)
        if error is not None:
            members["error"] = f"{type(error).__name__}: {error}"
        return members | self._told()

    def _told(self) -> Object:
        told: Object = {"attempt": self._attempt}
        # Before anybody was asked there is nothing more to tell.
        return told | told_object(self._told_rounds()) if self._asked or self._rounds else told
