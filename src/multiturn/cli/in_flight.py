"""What a session's last process left undone, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.calls import calls_of
from multiturn.cli.visible import one_line
from multiturn.journal import JournalEntry

if TYPE_CHECKING:
    from multiturn.pending import PendingTurn


def in_flight(pending: PendingTurn) -> str:
    """Return what was under way when the last process ended, in a line or two."""
    said = f"“{one_line(pending.contents[0].text)}”"
    if pending.calls:
        calls = ", ".join(call.name for call in pending.calls)
        return f"waits for somebody's approval of {calls}: {said}"
    arrived = one_line(arrived_text(pending))
    what = f"; of the answer had arrived:\n  “{arrived}”" if arrived else "; no answer had arrived"
    return f"in flight when the last process ended: {said}{what}"


def can_go_on(pending: PendingTurn) -> bool:
    """Return whether it can go on without functions, which the command line has not."""
    return not calls_of(pending.contents[-1])


def arrived_text(pending: PendingTurn) -> str:
    """Return the text that had arrived of an answer."""
    return JournalEntry(*pending.contents, received=pending.received).partial_text


def how_to_go_on(session: str) -> str:
    """Return the command that goes on with a session, in words."""
    import shlex

    return f"multiturn chat --session {shlex.quote(session)} goes on with it"
