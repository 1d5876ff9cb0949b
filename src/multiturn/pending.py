"""A turn that waits for a person to approve the functions that the model wants to call."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from multiturn.calls import Call
from multiturn.content import Content
from multiturn.errors import UsageError
from multiturn.message import Object

if TYPE_CHECKING:
    from multiturn.model import Overrides


class PendingTurn:
    """What waits: read ``calls``, decide on each, and go on with ``chat.resume()``.

    Attributes:
        calls: All calls of the model's last content, in order; none has run.
        contents: The turn so far, from the user's message to those calls; frozen.
        results: By index of a call, the result of a function that had returned when the
            process ended; it is not run again.
        received: What had arrived of an answer then, as in ``JournalEntry``.
    """

    results: Mapping[int, Object] = MappingProxyType({})
    received: Object | None = None

    def __init__(
        self, contents: tuple[Content, ...], calls: tuple[Call, ...], overrides: Overrides
    ) -> None:
        self.contents, self.calls, self.overrides = contents, calls, overrides
        self._decisions: dict[int, bool | str] = {}

    def approve(self, *calls: Call) -> None:
        """Let these calls run; all of them if none is given."""
        self._decisions.update(dict.fromkeys((c.index for c in calls or self.calls), True))

    def refuse(self, *calls: Call, reason: str = "") -> None:
        """Do not run these calls, all of them if none is given; the model is told why."""
        decision = reason or False
        self._decisions.update(dict.fromkeys((c.index for c in calls or self.calls), decision))

    @property
    def decisions(self) -> dict[int, bool | str]:
        """By index of a call: True to run it, False or a reason not to.

        Raises:
            UsageError: A call is not decided on.
        """
        open_calls = [c.name for c in self.calls if c.index not in self._decisions]
        if open_calls:
            raise UsageError(
                f"no decision on {', '.join(open_calls)}; call chat.pending.approve() or "
                "chat.pending.refuse() first"
            )
        return dict(self._decisions)

    def __repr__(self) -> str:
        shown = ", ".join(f"{c.name}({c.args})" for c in self.calls)
        return f"<PendingTurn {shown or repr(self.contents[0].text[:40])}>"
