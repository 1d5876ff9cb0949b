"""A turn that is not finished: its calls wait for a person's approval, or it broke off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from multiturn.calls import Call, calls_of
from multiturn.errors import UsageError
from multiturn.history import Outcome, Turn, empty_path
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.request import Overrides
from multiturn.turn import kept

if TYPE_CHECKING:
    from multiturn.chat import ChatSession


class PendingTurn:
    """Go on with it by ``chat.resume()``, or ``keep()`` it as it is, or ``drop()`` it.

    If ``calls`` wait for approval, decide on each before it goes on.  A turn that broke
    off has none to decide on: going on with it asks the model again, and runs no function
    a second time.

    Attributes:
        calls: The calls that wait for a person's decision, in order; none of them has run.
        verdicts: By index of other calls, what was decided on them before: True to run it,
            False or a reason not to.  Nobody is asked about them again.
        contents: The turn so far, from the user's message on; frozen.
        results: Of the calls that ``contents`` ends with, by index, those that had begun
            when the turn broke off: the part that answers each, None if its end is not
            known; they are not run again.
        unseen: Indexes of those whose result the hook ``after_call`` has not seen yet.
        received: What had arrived of an answer then, as in ``JournalEntry``.
        usages: The wire's UsageMetadata of each round so far.
        outcome: How it ended, as in ``JournalEntry``.
        steps_back: How many turns before the last it begins: 1 if it was an edit.
        told: What is known of it beside its contents.
        version: Of its session in a store, for as long as it waits there.
        session: Whose it is.
    """

    verdicts: Mapping[int, bool | str] = MappingProxyType({})
    results: Mapping[int, Object | None] = MappingProxyType({})
    unseen: Set[int] = frozenset()
    received: Object | None = None
    usages: Sequence[Object] = ()
    outcome: Outcome = "interrupted"
    steps_back = 0
    version = 0
    told: Mapping[str, Any] = MappingProxyType({})
    session: ChatSession | None = None

    def __init__(
        self, contents: tuple[Content, ...], calls: tuple[Call, ...], overrides: Overrides
    ) -> None:
        self.contents, self.calls, self.overrides = contents, calls, overrides
        self._decisions: dict[int, bool | str] = {}

    def approve(self, *calls: Call) -> None:
        """Let these calls run; if none is given, all that are not decided on yet."""
        self._decide(calls, True)

    def refuse(self, *calls: Call, reason: str = "") -> None:
        """Do not run these calls, or all that are not decided on yet; the model is told why."""
        self._decide(calls, reason or False)

    @property
    def others(self) -> tuple[Call, ...]:
        """The calls beside ``calls``, in order: nobody is asked about them when it goes on."""
        waiting = {call.index for call in self.calls}
        beside = calls_of(self.contents[-1]) if self.calls else ()
        return tuple(call for call in beside if call.index not in waiting)

    def _decide(self, calls: tuple[Call, ...], decision: bool | str) -> None:
        decided = self._decisions if not calls else {}
        chosen = (call.index for call in calls or self.calls if call.index not in decided)
        self._decisions.update(dict.fromkeys([*chosen], decision))

    def overrides_in(self, session: ChatSession) -> Overrides:
        """Return what the message said instead of its model, to go on with it in a session.

        Raises:
            UsageError: It brought functions along, was read from a store, and the model
                has no such functions; or functions are to be run, and the session runs none.
        """
        overrides = self.overrides
        if self is not session._pending:
            from multiturn.recorded_overrides import require_functions

            require_functions(self.told.get("overrides", {}), session.model.tools_for(Overrides()))
            overrides = overrides.over(session._request_options)
        calls = calls_of(self.contents[-1])
        asked = session.model.request(empty_path(), overrides)
        if calls and not (session.enable_automatic_function_calling and asked.tools):
            names = ", ".join(f"{call.name}()" for call in calls)
            raise UsageError(
                f"the turn waits for {names}, and this session runs no functions: open it with "
                "GenerativeModel(tools=[…]).start_chat(enable_automatic_function_calling=True, "
                "…), or forget the turn with chat.pending.drop()"
            )
        return overrides

    @property
    def decisions(self) -> dict[int, bool | str]:
        """By index of a call: True to run it, False or a reason not to; what is missing may run.

        Raises:
            UsageError: A call that waits is not decided on.
        """
        open_calls = [c.name for c in self.calls if c.index not in self._decisions]
        if open_calls:
            raise UsageError(
                f"no decision on {', '.join(open_calls)}; call chat.pending.approve() or "
                "chat.pending.refuse() first"
            )
        return {**self.verdicts, **self._decisions}

    def keep(self) -> Turn:
        """Add the turn to the history as far as it came, and return it.

        It is marked as partial and ends with the model's words; calls that had no
        results are left out, and going on with it is not possible any more.

        Raises:
            UsageError: No text of an answer had arrived, or it does not wait any more.
            Conflict: Another process has gone on with it, or moved the session.
        """
        session = self._waiting()
        contents = kept(self.contents, self.received)
        if contents is None:
            raise UsageError(
                "no text of an answer had arrived, so that there is nothing to keep; go on with "
                "chat.resume(), or forget the turn with chat.pending.drop()"
            )
        with session._gate.held():
            self._waiting()
            if session._stored is not None:
                session._head = session._stored.keep(self, contents)
            else:
                session._head = self._added(session, contents)
            session._redo, session._pending = (), None
            return session._head

    def _added(self, session: ChatSession, contents: tuple[Content, ...]) -> Turn:
        parent, told = session.turn_before(self.steps_back), dict(self.told)
        turn = Turn(parent, contents, outcome=self.outcome, told=told)
        for entry in reversed(session._journal):
            if entry.turn is None and entry.contents == self.contents:
                entry.turn = turn
                break
        return turn

    def drop(self) -> None:
        """Forget the turn; the journal still has it.

        Raises:
            UsageError: It does not wait any more.
        """
        session = self._waiting()
        with session._gate.held():
            self._waiting()
            if session._stored is not None:
                session._stored.drop_pending()
            session._pending = None

    def _waiting(self) -> ChatSession:
        """Return the session, in which this turn still waits."""
        if self.session is None or self.session.pending is not self:
            raise UsageError(
                "that turn does not wait any more: it was resumed, kept, or dropped by another "
                "message"
            )
        return self.session

    def __getstate__(self) -> Object:
        return {name: value for name, value in vars(self).items() if name != "session"}

    def __setstate__(self, state: Object) -> None:
        self.__dict__.update(state)
        self.contents = tuple(content.frozen() for content in self.contents)

    def __repr__(self) -> str:
        shown = ", ".join(f"{c.name}({c.args})" for c in self.calls)
        return f"<PendingTurn {shown or repr(self.contents[0].text[:40])}>"
