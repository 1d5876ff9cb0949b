"""A turn that can go on: its calls wait for a person's approval, or it broke off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from multiturn.calls import Call
from multiturn.errors import UsageError
from multiturn.messages.content import Content
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.request import Overrides


class PendingTurn:
    """Read ``calls``, decide on each, and go on with ``chat.resume()``.

    A turn that broke off after functions had begun has no calls to decide on: going on
    with it asks the model again, and runs no function a second time.

    Attributes:
        calls: The calls that wait for approval, in order; none has run.
        contents: The turn so far, from the user's message on; frozen.
        results: Of the calls that ``contents`` ends with, by index, those that had begun
            when the turn broke off: the part that answers each, None if its end is not
            known; they are not run again.
        received: What had arrived of an answer then, as in ``JournalEntry``.
        usages: The wire's UsageMetadata of each round so far.
    """

    results: Mapping[int, Object | None] = MappingProxyType({})
    received: Object | None = None
    usages: Sequence[Object] = ()

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

    def __setstate__(self, state: Object) -> None:
        self.__dict__.update(state)
        self.contents = tuple(content.frozen() for content in self.contents)

    def __repr__(self) -> str:
        shown = ", ".join(f"{c.name}({c.args})" for c in self.calls)
        return f"<PendingTurn {shown or repr(self.contents[0].text[:40])}>"
