"""Short conversations, for tests of stores."""

from __future__ import annotations

import os
from typing import Any

from multiturn.errors import MultiturnError
from multiturn.messages.message import Object
from multiturn.stores.protocol import SessionState, Store, StoredTurn
from multiturn.stores.record import Record, read, recorded, turn_id

# Texts that stores of the field are known to lose.
HARD_TEXTS = (
    "",
    "\x00",
    "a\x00b",
    "\ud800",
    "\udfff\ud800",
    "\ud83d\ude00",  # two halves, which are not the character they would make
    "\U0001f600",
    "\U0010ffff",
    "\u2028\u2029\x85\x0b\r\n",
    "e\u0301 \u00e9 \ufeff \u202e",
    "'; DROP TABLE turns; --",
    '{"blobs": []}',
    "x" * 100_000,
)
EMPTY = Record(b"{}", {})


def new_attempt() -> str:
    """Return the identity of a turn about to be tried."""
    return os.urandom(16).hex()


def turn_after(state: SessionState, attempt: str, contents: list[Object]) -> Any:
    """Return a turn that follows a session's head, and its blobs."""
    record = recorded({"contents": contents, "attempt": attempt})
    identity = turn_id(state.head, record.body)
    turn = StoredTurn(
        identity, state.head, state.turns, state.version + 1, record.body, (*record.blobs,)
    )
    return turn, record.blobs


def say(store: Store, state: SessionState, text: str) -> SessionState:
    """Add a turn of one text to a session."""
    attempt = new_attempt()
    state = store.begin(state, attempt, EMPTY)
    turn, blobs = turn_after(state, attempt, [{"role": "user", "parts": [{"text": text}]}])
    return store.commit(state, [turn], blobs)


def contents_of(store: Store, turn: StoredTurn) -> list[Object]:
    """Return what was said in a turn."""
    return read(turn.body, store.blobs)["contents"]  # type: ignore[no-any-return]


def texts(store: Store, name: str) -> list[str]:
    """Return the texts of a session, oldest first."""
    state = store.state(name)
    line = store.line(state.head) if state and state.head else []
    said = [contents_of(store, turn)[0] for turn in reversed(line) if not turn.is_erased]
    return [content["parts"][0]["text"] for content in said]


def error_of(work: Any) -> type[BaseException] | None:
    """Return the type of the error that work raises, None if it raises none."""
    try:
        work()
    except MultiturnError as error:
        return type(error)
    return None


def texts_after(store: Store, text: str) -> str:
    """Say something in "ada" and return the last text there."""
    say(store, store.open("ada"), text)
    return texts(store, "ada")[-1]
