"""A conversation's place in a store: reads its turns, and knows where its head was seen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from multiturn.durable_turn import DurableTurn
from multiturn.errors import BackendError, UsageError
from multiturn.history import Outcome, Turn, head_from, turns_of
from multiturn.journal import JournalEntry
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.stores.errors import Conflict, SessionMissing, StoreCorrupt
from multiturn.stores.protocol import (
    Blobs,
    SessionState,
    StoredAttempt,
    StoredTurn,
    require_name,
    require_store,
)
from multiturn.stores.recent import recent_of
from multiturn.stores.record import Record, read, recorded
from multiturn.stores.rows import row_of
from multiturn.stores.verify import said_in
from multiturn.worker import Worker, result_of, worker_of

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.open_turn import OpenTurn
    from multiturn.pending import PendingTurn
    from multiturn.stores.protocol import Store

T = TypeVar("T")
# How many turns are asked for first when somebody else has moved the head.
_FIRST_TURNS = 32
# What stands where what was said cannot be told.
_UNREADABLE = Content.view({"role": "user", "parts": []}, frozen=True)


class StoredSession:
    """What a conversation knows of its row; changed by one turn at a time.

    Attributes:
        store: Where it rests.
        state: The row as it was last seen.
        turns: Every turn read or written so far, by identity; shared by forks.  In place
            of an erased one stands the one before it, None if there is none.
        is_seen: Whether the caller was shown where the head is; False after a turn of ours
            that came to nothing has found that others had moved it.
    """

    def __init__(self, store: Store, state: SessionState, turns: dict[str, Turn | None]) -> None:
        self.store, self.state, self.turns = store, state, turns
        self.is_seen = True
        self._found: tuple[str, PendingTurn] | None = None
        self._recent = recent_of(store)
        self._erasures = self._recent.erasures

    @property
    def name(self) -> str:
        """What the session is called."""
        return self.state.name

    @property
    def worker(self) -> Worker:
        """The thread that does the store's work for those who may not block."""
        return worker_of(self.store, self.state.key)

    async def read_async(self, read: Callable[[], T]) -> T:
        """Return what is read, by the store's thread: the event loop goes on."""
        return await result_of(self.worker.submit(read))

    # -- reading -------------------------------------------------------------------------

    def head(self) -> Turn | None:
        """Return the turn that the session points at now."""
        self.worker.catch_up()
        state = self.store.state(self.name)
        if state is None or state.key != self.state.key:
            raise SessionMissing(self.name, store=self.store.address)
        head = self.head_of(state)
        self.state = state
        return head

    def head_of(self, state: SessionState) -> Turn | None:
        """Return the turn that a row points at; what was erased since the last is forgotten."""
        if state.erasures != self.state.erasures:
            self.turns = {}
        return self.turn(state.head)

    @property
    def is_current(self) -> bool:
        """Whether this very store object erased nothing since ``forget_erased``."""
        return self._erasures == self._recent.erasures

    def is_read(self, chat: ChatSession) -> bool:
        """Whether a conversation's head is known, and nothing was erased here since."""
        return "_head" in vars(chat) and self.is_current

    def forget_erased(self, chat: ChatSession) -> None:
        """Let a conversation forget what this process has erased since the last look."""
        if self.is_current:
            return
        self._erasures, self.turns = self._recent.erasures, {}
        vars(chat).pop("_head", None)  # it is read anew
        chat._last = None
        if chat._pending is not None and self.pending() is None:
            chat._pending = None

    def turn(self, head: str | None) -> Turn | None:
        """Return a turn with all before it; what is known already is not read again."""
        if head is None or head in self.turns:
            return self.turns[head] if head else None
        limit = _FIRST_TURNS if self.turns else None
        while True:
            rows = self.store.line(head, limit)
            if not rows:
                raise StoreCorrupt(f"turn {head[:12]} is not there", store=self.store.address)
            known = next((i for i, row in enumerate(rows) if row.parent in self.turns), None)
            if known is not None or rows[-1].parent is None:
                break
            limit = 8 * len(rows)
        return self.adopt(reversed(rows if known is None else rows[: known + 1]))

    def adopt(self, rows: Iterable[StoredTurn]) -> Turn | None:
        """Make turns of rows, parents before children; return the last."""
        turn: Turn | None = None
        rows, turns = [*rows], self.turns
        said = said_in([row for row in rows if row.id not in turns], self.store.blobs)
        for row in rows:
            if row.id not in turns:
                turn = self.turn(row.parent)
                if (members := said.get(row.id)) is not None:
                    contents = [Content.view(c, frozen=True) for c in members["contents"]]
                    outcome = members.get("outcome", "answered")
                    turn = Turn(turn, contents, row.id, outcome, self.reader(row.id))
                elif not row.is_erased:
                    turn = Turn(turn, [_UNREADABLE], row.id, "damaged")
            turn = turns.setdefault(row.id, turn)
        return turn

    def _added(self) -> list[tuple[StoredTurn, Turn]]:
        """Return what was added in this session, by place, and is not erased."""
        self.head()  # what was erased since is forgotten
        rows = self.store.tree(self.name)
        self.adopt(rows)
        turns = [(row, self.turn(row.id)) for row in rows if not row.is_erased]
        return [(row, turn) for row, turn in turns if turn is not None]

    def tree(self) -> list[Turn]:
        """Return the turns that were added in this session, by place, and its head."""
        turns = [turn for _, turn in self._added()]
        head = self.head()
        return turns if head is None else [*turns, head]

    def reader(self, identity: str) -> Callable[[], Object | None]:
        """Return what reads who answered in a turn, and at what cost."""
        return partial(_read_told, self.store, identity)

    def journal(self) -> tuple[JournalEntry, ...]:
        """Return every turn ever tried in this session, by any process."""
        self.worker.catch_up()
        entries: list[tuple[int, JournalEntry]] = []
        kept: set[str] = set()  # attempts that have become partial turns
        for row, turn in self._added():
            entry = JournalEntry(
                turn.contents[0], parent=turn.parent, turn=turn, outcome=turn.outcome
            )
            if turn.is_partial and turn.outcome != "damaged":
                members = read(row.body, self.store.blobs)
                entry.error = _error_in(members)
                kept.add(members.get("attempt", ""))
            entries.append((row.place, entry))
        for attempt in self.store.attempts(self.name):
            if attempt.id not in kept:
                entries.append((attempt.place, self._entry(attempt)))
        return tuple(entry for _, entry in sorted(entries, key=lambda pair: pair[0]))

    def _entry(self, attempt: StoredAttempt) -> JournalEntry:
        try:
            members = read(attempt.body, self.store.blobs)
        except StoreCorrupt:
            parent = self.turn(attempt.base)
            return JournalEntry(_UNREADABLE, parent=parent, outcome="damaged")
        outcome: Any = attempt.outcome
        if outcome == "open" and not attempt.is_alive:
            outcome = "interrupted"
        elif outcome == "paused":
            outcome = members.get("ended", outcome)
        return JournalEntry(
            *(Content.view(content, frozen=True) for content in members["contents"]),
            results=results_in(members),
            parent=self.turn(attempt.base),
            outcome=outcome,
            error=_error_in(members),
            received=members.get("received"),
            told=members,
        )

    def pending(self) -> PendingTurn | None:
        """Return the turn that was under way when its process ended, or waits for approval."""
        from multiturn.stored_pending import last_attempt, pending_of

        attempt = last_attempt(self)
        if attempt is None:
            return None
        if self._found is None or self._found[0] != attempt.id:
            try:
                self._found = attempt.id, pending_of(self, attempt)
            except StoreCorrupt:  # the journal marks it
                return None
        return self._found[1]

    # -- changing ------------------------------------------------------------------------

    def open_turn(self, *given: Any) -> OpenTurn:
        """Return a turn about to be begun; arguments are those of ``OpenTurn``."""
        return DurableTurn(self, *given)

    def left(self) -> tuple[Turn, ...]:
        """Return the heads that rewinding left, the latest last."""
        if not self.is_current:
            self.turns = {}
        there = [i for i in self.state.redo if i in self.turns or self.store.line(i, 1)]
        found = [(identity, self.turn(identity)) for identity in there]
        return tuple(turn for identity, turn in found if turn and turn.id == identity)

    def become(self, state: SessionState) -> None:
        """Take in the row as a change of ours left it; what others erased, the next look sees."""
        erasures = self.state.erasures
        self.state = state if state.erasures == erasures else state._replace(erasures=erasures)

    def require_seen(self, head: Turn | None) -> None:
        """Raise Conflict if others have moved the head since ``head`` was shown."""
        now, is_seen = self.turn(self.state.head), self.is_seen
        if not is_seen or (now and now.id) != (head and head.id):
            self.is_seen = True  # the caller is told
            raise Conflict(self.name, "its head was moved", store=self.store.address)

    def move(self, head: Turn | None, left: Sequence[Turn], seen: Turn | None) -> None:
        """Point the session at another turn, if the head is still where it was seen."""
        self.worker.catch_up()
        self.require_seen(seen)
        redo = [turn.id for turn in left]
        self.become(self.store.move(self.state, head.id if head else None, redo))

    def fork(self, name: str, head: Turn | None) -> StoredSession:
        """Begin another session at a turn."""
        state = self.store.create(require_name(name), head.id if head else None)
        is_as_known = state.erasures == self.state.erasures
        return StoredSession(self.store, state, self.turns if is_as_known else {})

    def replace(self, history: Iterable[Content], known: Turn | None) -> Turn | None:
        """Make a history the session's, in one transaction; turns that stay are not told anew.

        Args:
            history: Oldest first.
            known: What ``head`` returned a moment ago.

        Raises:
            Conflict: Others have changed the session since.
        """
        seen, head = self.state, head_from(history, known)
        stays = {turn.id for turn in turns_of(known)}
        said = [turn for turn in turns_of(head) if turn.id not in stays]
        if not said:
            self.move(head, (), known)
            return head
        attempt, parent = os.urandom(16).hex(), said[0].parent.id if said[0].parent else None
        rows, blobs = [], {}
        for turn in said:
            record = recorded({"contents": wire(turn), "attempt": attempt, "at": time.time()})
            rows.append(row_of(parent, turn.number, record))
            blobs.update(record.blobs)
            parent = rows[-1].id
        begun = recorded({"contents": wire(said[0])})
        try:
            state = self.store.begin(seen, attempt, begun)
            if (state.head, state.erasures) != (seen.head, seen.erasures):
                raise Conflict(self.name, "others changed it meanwhile", store=self.store.address)
            self.become(self.store.commit(state, rows, blobs))
        except BaseException:  # also where Ctrl-C left unknown how far it came
            self.settle_later(seen._replace(attempt=attempt), "failed", begun)
            raise
        return self.turn(self.state.head)

    def commit(
        self,
        state: SessionState,
        rows: Sequence[StoredTurn],
        blobs: Blobs,
        outcome: Outcome,
        record: Record,
    ) -> None:
        """Commit turns; if that fails, note the end of the attempt, which frees the session."""
        try:
            self.become(self.store.commit(state, rows, blobs))
        except BaseException:
            with suppress(Exception):  # its lease runs out
                self.store.settle(state, outcome, record)
            raise

    def keep(self, pending: PendingTurn, contents: tuple[Content, ...]) -> Turn:
        """Commit what a pending turn has of an answer, as ``stored_pending.keep``."""
        from multiturn import stored_pending

        return stored_pending.keep(self, pending, contents)

    def keep_what_died(self) -> None:
        """Commit the answer that was arriving when its process ended, if there is one."""
        from multiturn import stored_pending

        stored_pending.keep_what_died(self)

    def drop_pending(self) -> None:
        """Let nobody go on with the turn that waits or was cut."""
        from multiturn import stored_pending

        stored_pending.drop(self)

    def commit_later(
        self, state: SessionState, row: StoredTurn, outcome: Outcome, record: Record
    ) -> None:
        """Have a partial turn committed, or at least its end noted; as ``settle_later``."""
        worker = self.worker
        worker.over(state.attempt)
        worker.submit(lambda: self.commit(state, [row], record.blobs, outcome, record))

    def settle_later(self, state: SessionState, outcome: str, record: Record) -> None:
        """Have the end of an attempt noted; may be called anywhere, even by the collector."""
        store, worker = self.store, self.worker
        worker.over(state.attempt)
        worker.submit(lambda: store.settle(state, outcome, record))


def open_session(
    store: Store | None, name: str | None, history: Sequence[Content]
) -> StoredSession:
    """Open a session, or begin it with a history.

    Raises:
        UsageError: It exists, and a history was given; or there is no store, or no name.
        InvalidContent: The store is none.
    """
    if store is None or name is None:
        raise UsageError(
            "a stored conversation needs both: start_chat(session='ada/planning', "
            "store=genai.SQLiteStore('chats.db'))"
        )
    require_store(store)
    state = store.open(require_name(name))
    stored = StoredSession(store, state, recent_of(store).of(state))
    if history:
        if stored.state.version:
            raise UsageError(
                f"session {name!r} exists in {store.address}, so that no history can be given; "
                "open it without, or choose another name"
            )
        stored.replace(history, stored.head())
    return stored


def _read_told(store: Store, identity: str) -> Object | None:
    """Return what is recorded of a turn; None if it was erased, or its session deleted."""
    rows = [row for row in store.line(identity, 1) if not row.is_erased]
    return read(rows[0].body, store.blobs) if rows else None


def _error_in(members: Object) -> BackendError | None:
    error = members.get("error")
    return BackendError(error) if error else None


def results_in(members: Object) -> dict[int, Object | None]:
    """Return what is recorded of the calls that a turn was at, as in ``JournalEntry``."""
    return {int(index): part for index, part in (members.get("results") or {}).items()}


def wire(turn: Turn) -> list[Object]:
    """Return a turn's contents as JSON objects."""
    return [content.json_object for content in turn.contents]
