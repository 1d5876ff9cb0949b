"""The turn that a stored session was at when its process ended, or that waits for approval."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from multiturn.calls import calls_of, waiting_among
from multiturn.errors import SessionBusy
from multiturn.history import Turn
from multiturn.messages.content import Content
from multiturn.pending import PendingTurn
from multiturn.recorded_overrides import overrides_from
from multiturn.stored_session import results_in
from multiturn.stores.errors import Conflict, SessionMissing, StoreReadOnly
from multiturn.stores.record import Record, read, recorded
from multiturn.stores.rows import row_of
from multiturn.turn import kept

if TYPE_CHECKING:
    from multiturn.stored_session import StoredSession
    from multiturn.stores.protocol import SessionState, StoredAttempt

# What the record of a partial turn takes over from that of its attempt.
_TAKEN_OVER = ("attempt", "rounds", "error")


def last_attempt(stored: StoredSession) -> StoredAttempt | None:
    """Return the attempt that can go on, None if there is none."""
    stored.worker.catch_up()
    state = stored.store.state(stored.name)
    if state is None or not (attempts := stored.store.attempts(stored.name)):
        return None
    last = attempts[-1]
    died = last.outcome == "open" and not last.is_alive
    waits = last.outcome == "paused" and state.version == last.place + 1
    return last if died or waits else None


def pending_of(stored: StoredSession, attempt: StoredAttempt) -> PendingTurn:
    """Return an attempt as the turn to go on with."""
    members = read(attempt.body, stored.store.blobs)
    contents = tuple(Content.view(c, frozen=True) for c in members.pop("contents"))
    calls = calls_of(contents[-1]) if attempt.outcome == "paused" else ()
    waiting = waiting_among(calls, members.pop("waiting", None))
    pending = PendingTurn(contents, waiting.calls, overrides_from(members.get("overrides", {})))
    pending.verdicts = waiting.verdicts
    pending.results = results_in(members)
    pending.unseen = frozenset(members.get("unseen", ()))
    pending.received = members.get("received")
    pending.outcome = "paused" if calls else "interrupted"
    pending.steps_back = members.get("stepsBack", 0)
    pending.told = {**members, "attempt": attempt.id}
    pending.version = attempt.place + (attempt.outcome == "paused")
    return pending


def begin_again(
    stored: StoredSession, pending: PendingTurn, attempt: str, record: Record
) -> SessionState:
    """Lease the session to go on with a turn that waits in it.

    Raises:
        SessionBusy: The turn is under way.
        Conflict: Another has gone on with it or dropped it, or moved the session.
    """
    store, seen = stored.store, stored.store.state(stored.name)
    if seen is None:
        raise SessionMissing(stored.name, store=store.address)
    if seen.version == pending.version:
        state = store.begin(seen, attempt, record)
        if state.version == seen.version + 1:
            return state
        store.settle(state, "interrupted", record)
    if pending.session is not None:  # where it is now, and what waits there, the store knows
        pending.session._pending = None
        vars(pending.session).pop("_head", None)
    raise Conflict(stored.name, "its turn does not wait any more", store=store.address)


def keep(stored: StoredSession, pending: PendingTurn, contents: tuple[Content, ...]) -> Turn:
    """Commit what a pending turn has of an answer.

    Raises:
        SessionBusy: Another turn is under way.
        Conflict: Another has gone on with the turn, or moved the session.
    """
    stored.worker.catch_up()
    said = {"contents": [content.json_object for content in pending.contents]}
    begun = recorded({**pending.told, **said})
    state = begin_again(stored, pending, os.urandom(16).hex(), begun)
    parent = stored.head_of(state)
    for _ in range(pending.steps_back):
        parent = parent.parent if parent else None
    members = {name: pending.told[name] for name in _TAKEN_OVER if name in pending.told}
    members["contents"] = [content.json_object for content in contents]
    members |= {"at": time.time(), "outcome": pending.outcome}
    record = recorded(members)
    row = row_of(parent.id if parent else None, parent.number + 1 if parent else 0, record)
    stored.commit(state, [row], record.blobs, pending.outcome, begun)
    turn = stored.turn(row.id)
    assert turn is not None
    return turn


def keep_what_died(stored: StoredSession) -> None:
    """Commit the answer that was arriving when its process ended, if there is one.

    Not if functions had begun since: their results are for ``chat.resume()``.
    """
    state = stored.store.state(stored.name)
    if state is None or not state.attempt:
        return
    pending = stored.pending()
    if pending is None or pending.calls or pending.results:
        return
    contents = kept(pending.contents, pending.received)
    if contents is not None:
        # Another was faster; or it may only be read here, and is as it is.
        with suppress(SessionBusy, Conflict, StoreReadOnly):
            keep(stored, pending, contents)


def drop(stored: StoredSession) -> None:
    """Let nobody go on with the turn; the journal still has it."""
    stored.worker.catch_up()
    state = stored.store.state(stored.name)
    if state is None:
        raise SessionMissing(stored.name, store=stored.store.address)
    stored.become(stored.store.move(state, state.head, state.redo))
