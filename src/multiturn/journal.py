"""The journal: every turn that was ever tried, with how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from multiturn.errors import picklable
from multiturn.history import Outcome, Told, Turn
from multiturn.messages.content import Content
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.provenance import Provenance


class Asked(NamedTuple):
    """What is kept of one answer in memory; ``provenance.py`` makes a Round of it.

    It holds neither what was said nor what was answered, which the turn has.

    Attributes:
        model, stream, generation_config, tools: Of the request.
        model_version, response_id, usage, prompt_feedback, finish_reason: Of the wire's
            GenerateContentResponse, None where it does not say.
        attempts: How often it was asked for.
        asked_at, first_at, ended_at: As ``time.monotonic()`` counts; ``first_at`` is 0
            if nothing arrived.
        at: When it ended, in seconds since 1970.
    """

    model: str
    stream: bool
    generation_config: Object
    tools: Sequence[Object]
    model_version: str | None
    response_id: str | None
    usage: Object | None
    prompt_feedback: Object | None
    finish_reason: str | None
    attempts: int
    asked_at: float
    first_at: float
    ended_at: float
    at: float


# Of a record, what is no part of the entry itself.
_KNOWN = ("at", "rounds")


def written(told: Told) -> Object | None:
    """Return what pickle takes along of a turn; what only its store knows stays there."""
    if callable(told):
        return None
    if isinstance(told, tuple):
        from multiturn.provenance import told_object

        return told_object(told) if told else None
    return told


def known_of(entry: JournalEntry) -> Object:
    """Return who was asked in a try and when, to be written down; {} if nobody was asked."""
    told = written(entry.told) or {}
    return {name: told[name] for name in _KNOWN if name in told} if told.get("rounds") else {}


class JournalEntry:
    """One try; nothing a user typed is lost, whatever became of it.

    Attributes:
        contents: The turn as far as it came: what the user said, calls and their
            results; what arrived of the last answer is in ``received``.
        results: Of the calls that ``contents`` ends with, by index, those that have
            begun: the part that answers each, None if its end is not known; empty once
            ``contents`` ends with the results.
        parent: The turn it followed, None at the beginning.
        turn: The turn it became, None if it did not become one; of an unfinished one
            that was kept, the partial turn.
        outcome: "open" while it is under way; "answered", "failed", "blocked" (the
            prompt was refused), "stopped" (a bad finish reason), "cancelled",
            "paused" (calls waited for approval), "abandoned" (left half-read) or
            "interrupted" (Ctrl-C, exit).
        error: What ended it, as a copy without its traceback; None if answered.
        received: What had arrived, as the wire's GenerateContentResponse.
        told: What is known of it beside, once it has ended.
    """

    __slots__ = (
        "contents",
        "error",
        "outcome",
        "parent",
        "received",
        "results",
        "told",
        "turn",
    )

    def __init__(
        self,
        *contents: Content,
        parent: Turn | None = None,
        turn: Turn | None = None,
        outcome: Outcome = "open",
        error: BaseException | None = None,
        received: Object | None = None,
        results: Mapping[int, Object | None] | None = None,
        told: Told = None,
    ) -> None:
        self.contents = contents
        self.results: dict[int, Object | None] = dict(results or {})
        self.parent, self.turn = parent, turn
        self.outcome: Outcome = outcome
        self.error, self.received = error, received
        self.told: Told = told

    @property
    def about(self) -> Provenance | None:
        """Who was asked and answered, how fast and at what cost; None if nobody was asked yet."""
        if self.turn is not None:
            return self.turn.about
        from multiturn.provenance import provenance_of

        return provenance_of(self.told, self.outcome)

    @property
    def content(self) -> Content:
        """What the user said; frozen."""
        return self.contents[0]

    @property
    def partial_text(self) -> str:
        """The text that had arrived, "" if none."""
        candidates = (self.received or {}).get("candidates") or [{}]
        return Content.view(candidates[0].get("content") or {}, frozen=True).text

    def __repr__(self) -> str:
        return f"<JournalEntry {self.outcome} {self.content.text[:40]!r}>"

    def pickled(self) -> Object:
        """Return what pickle takes along: turns by their identity, foreign errors by name."""
        return {
            "parent": self.parent.id if self.parent else None,
            "turn": self.turn.id if self.turn else None,
            "outcome": "interrupted" if self.outcome == "open" else self.outcome,
            "error": picklable(self.error),
            "received": self.received,
            "contents": self.contents,
            "results": dict(self.results),
            "told": written(self.told),
        }

    @classmethod
    def unpickled(cls, members: Object, turns: dict[str, Turn]) -> JournalEntry:
        """Make an entry again; a turn that is not given is None."""
        found: Object = {name: turns.get(members[name]) for name in ("parent", "turn")}
        members = dict(members)
        contents = (content.frozen() for content in members.pop("contents"))
        return cls(*contents, **{**members, **found})
