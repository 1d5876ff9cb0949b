"""A turn under way: what ties an exchange to its session's history and journal."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias, TypeVar

from multiturn.calls import Waiting
from multiturn.errors import ApprovalNeeded, InvalidContent, UsageError, without_traceback
from multiturn.exchange import Exchange
from multiturn.history import Outcome, Turn, path_of
from multiturn.journal import Asked, JournalEntry
from multiturn.messages.content import Content
from multiturn.messages.message import Object, copy_json
from multiturn.response import GenerateContentResponse
from multiturn.turn import AskModel, RunCalls, Steps, kept, turn

if TYPE_CHECKING:
    from multiturn.async_response import AsyncGenerateContentResponse
    from multiturn.chat import ChatSession
    from multiturn.model import GenerativeModel
    from multiturn.pending import PendingTurn
    from multiturn.request import Overrides, Request
    from multiturn.response import BaseGenerateContentResponse
    from multiturn.retry import RetryRule
    from multiturn.tools.calling import CallingOptions
    from multiturn.tools.toolbox import Toolbox

P = ParamSpec("P")
T = TypeVar("T")
Unfinished: TypeAlias = Literal["drop", "keep"]

# How long a call waits for another thread's open turn when it gives no time limit; the
# old SDK's deadline for a whole call.
_WAIT_SECONDS = 600.0


def checked_calling(options: CallingOptions) -> CallingOptions:
    """Return how functions are to be run, as it was given.

    Raises:
        InvalidContent: An option is not known, or has no known form.
    """
    if options:
        from multiturn.tools.calling import calling_of

        calling_of(options)
    return options


def by_a_thread(start: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return what begins a conversation as ``start`` does, in a thread if it rests in a store."""

    @wraps(start)
    async def start_async(*given: P.args, **named: P.kwargs) -> T:
        model, *arguments = given
        begin: Callable[..., T] = getattr(model, start.__name__)  # a subclass may have its own
        if named.get("store") is None:
            return begin(*arguments, **named)
        import asyncio

        return await asyncio.to_thread(begin, *arguments, **named)

    start_async.__name__, start_async.__qualname__ = (
        f"{name}_async" for name in (start.__name__, start.__qualname__)
    )
    start_async.__doc__ = f"Do as ``{start.__name__}``, without blocking the event loop."
    return start_async


class ModelOfChat:
    """The attribute ``model`` of a session: refuses what nobody can be asked by.

    It has no ``__get__``: what is read is what lies in the session itself.
    """

    def __set__(self, session: ChatSession, model: GenerativeModel) -> None:
        if not hasattr(model, "request"):
            name = repr(model) if isinstance(model, str) else ""
            raise InvalidContent("chat.model", model, f"genai.GenerativeModel({name})")
        vars(session)["model"] = model


def _require_one_answer(request: Request) -> None:
    count = request.generation_config.get("candidateCount") or 1
    if count > 1:
        place = "$.generation_config.candidate_count"
        raise InvalidContent(place, count, "1: a conversation takes one answer")


class OpenTurn(Exchange):
    """A turn under way: an exchange that ends in the session's history and journal."""

    __slots__ = (
        "_asked",
        "_asked_at",
        "_attempts",
        "_decisions",
        "_entry",
        "_made",
        "_overrides",
        "_pending",
        "_response",
        "_rounds",
        "_said",
        "_session",
        "_steps_back",
        "_stream",
        "_toolbox",
        "_turn",
        "_unseen",
        "wait_seconds",
    )

    def __init__(
        self,
        said: tuple[Content, ...],
        overrides: Overrides,
        stream: bool,
        pending: PendingTurn | None = None,
        steps_back: int = 0,
    ) -> None:
        self._said, self._overrides, self._stream = said, overrides, stream
        self._pending, self._decisions = pending, pending.decisions if pending else None
        self._unseen: set[int] = set(pending.unseen) if pending else set()
        self._steps_back = steps_back
        # The request, with the model and the turn for which it was made.
        self._made: tuple[GenerativeModel, Turn | None, Request, RetryRule] | None = None
        seconds = overrides.timeout_seconds
        self.wait_seconds = _WAIT_SECONDS if seconds is None else seconds
        self._session: ChatSession | None = None
        self._entry: JournalEntry | None = None
        self._turn: Turn | None = None
        self._toolbox: Toolbox | None = None
        self._response: weakref.ref[BaseGenerateContentResponse[Any]] | None = None
        self._rounds: tuple[Asked | Object, ...] = ()
        if pending is not None:
            self._rounds = tuple(pending.told.get("rounds", ()))
        self._asked: AskModel | None = None
        self._asked_at, self._attempts = 0.0, 1
        super().__init__()

    def prepare(self, session: ChatSession) -> None:
        """Check everything that can be checked before the session's turn has come."""
        self._request_after(session.turn_before(self._steps_back), session)

    async def prepare_async(self, session: ChatSession) -> None:
        """The same without blocking the event loop; memory does not block."""
        self.prepare(session)

    def _request_after(
        self, parent: Turn | None, session: ChatSession
    ) -> tuple[Request, RetryRule]:
        """Return what is asked, made anew if the session has moved on since the last time."""
        made = self._made
        if made is None or made[0] is not session.model or made[1] is not parent:
            model, overrides = session.model, self._overrides
            contents = path_of(parent, self._said)
            request = model.request(contents, overrides, stream=self._stream)
            _require_one_answer(request)
            made = self._made = model, parent, request, model.retry_for(overrides)
        return made[2:]

    def ask(self, session: ChatSession) -> GenerateContentResponse:
        """Wait until the session is free, ask, and return the reply or its beginning."""
        if self._pending is None:
            self.prepare(session)
        try:
            session._gate.enter(self, session._busy, self.wait_seconds)
            chunks = self.run(self.begin(session), session.model.backend)
            return GenerateContentResponse.begin(self, chunks, stream=self._stream)
        except BaseException as error:
            self.abandon("the call was interrupted", error)
            raise

    async def ask_async(self, session: ChatSession) -> AsyncGenerateContentResponse:
        """The same without blocking the event loop."""
        from multiturn.async_response import AsyncGenerateContentResponse

        if self._pending is None:
            await self.prepare_async(session)
        try:
            await session._gate.enter_async(self, session._busy, self.wait_seconds)
            chunks = self.run_async(await self.begin_async(session), session.model.backend)
            return await AsyncGenerateContentResponse.begin(self, chunks, stream=self._stream)
        except BaseException as error:
            self.abandon("the call was interrupted", error)
            raise

    def begin(self, session: ChatSession) -> Steps:
        """Note the try in the journal and return the steps of the turn."""
        if self._pending is not None:
            self._require_waiting(session, self._pending)
            self.earlier_usages = list(self._pending.usages)
        if self._steps_back:
            from multiturn.moves import leave

            leave(session)
        parent = session.turn_before(self._steps_back)
        request, retry = self._request_after(parent, session)
        self._made = None
        rules = None
        if session.enable_automatic_function_calling and request.tools:
            from multiturn.tools.toolbox import toolbox_for

            tools = session.model.tools_for(self._overrides)
            self._toolbox = toolbox_for(tools, session.calling, session, self._unseen)
            rules = self._toolbox.rules(request.tools)
        known = self._pending.results if self._pending else {}
        steps = turn(request, self._said, retry, rules, self._decisions, known)
        self._session = session
        entry = JournalEntry(parent=parent, results=known)
        entry.contents = self._said
        self._entry = entry
        session._journal.append(entry)
        session._pending = None
        return steps

    async def begin_async(self, session: ChatSession) -> Steps:
        """The same without blocking the event loop; memory does not block."""
        return self.begin(session)

    def _require_waiting(self, session: ChatSession, pending: PendingTurn) -> None:
        """Refuse to go on with a turn that another call has gone on with meanwhile."""
        if pending is not session._pending and session._stored is None:
            raise UsageError(
                "that turn does not wait any more: it was resumed, or dropped by another message"
            )

    def shown_as(self, response: Any) -> None:
        """Make the reply that the user gets the session's last."""
        assert self._session is not None
        self._response = self._session._arriving = weakref.ref(response)

    def asked(self, step: AskModel) -> Callable[[Object], None]:
        """Take note of what is asked, and when; asked again, it is the same round."""
        if self.reply.chunks:
            self.earlier_usages = self.usages
        if self._asked is not None:
            self._attempts += 1
        self._asked, self.reply = step, step.reply
        step.reply.clock = monotonic
        self._asked_at = monotonic()
        return step.reply.add

    def _end_round(self) -> None:
        """Keep what is told of a round, if one was asked for."""
        self._rounds, self._asked, self._attempts = self._told_rounds(), None, 1

    def _told_rounds(self) -> tuple[Asked | Object, ...]:
        """Return what is told of each round, the one that is under way included."""
        if self._asked is None:
            return self._rounds
        request, reply = self._asked
        whole = reply.whole()
        candidates = whole.get("candidates")
        asked = Asked(
            request.model,
            request.stream,
            request.generation_config,
            request.tools,
            whole.get("modelVersion"),
            whole.get("responseId"),
            whole.get("usageMetadata"),
            whole.get("promptFeedback"),
            candidates[0].get("finishReason") if candidates else None,
            self._attempts,
            self._asked_at,
            reply.first_at,
            monotonic(),
            time(),
        )
        return (*self._rounds, asked)

    def _told(self) -> Object:
        """Return what is known of the turn beside its contents, to be written down."""
        from multiturn.provenance import told_object

        return told_object(self._told_rounds())

    def run_calls(self, step: RunCalls) -> list[Object] | Waiting:
        """Run functions, in this thread unless they have a time limit."""
        assert self._toolbox is not None
        assert self._entry is not None
        from multiturn.tools.caller import CalledBy
        from multiturn.tools.run_calls import run_calls

        note = self._entry.results.__setitem__
        with CalledBy(self):
            return run_calls(step, self._toolbox, self.cancel, note)

    async def run_calls_async(self, step: RunCalls) -> list[Object] | Waiting:
        """Run functions, those that are not async in a thread."""
        assert self._toolbox is not None
        assert self._entry is not None
        from multiturn.tools.caller import CalledBy
        from multiturn.tools.run_calls_async import run_calls_async

        note = self._entry.results.__setitem__
        with CalledBy(self):
            return await run_calls_async(step, self._toolbox, self.cancel, note)

    def note(self, contents: tuple[Content, ...]) -> None:
        """Note how far the turn has come."""
        assert self._entry is not None
        self._end_round()
        if self._entry.contents != contents:
            self._entry.contents, self._entry.results = contents, {}
            self._unseen.clear()

    def pause(self, contents: tuple[Content, ...], waiting: Waiting) -> None:
        """Keep the turn for ``chat.resume()`` and tell the caller."""
        self._wait(contents, waiting)
        raise ApprovalNeeded(waiting.calls)

    def _wait(self, contents: tuple[Content, ...], waiting: Waiting) -> None:
        assert self._session is not None
        assert self._entry is not None
        from multiturn.pending import PendingTurn

        pending = PendingTurn(contents, waiting.calls, self._overrides)
        pending.verdicts, pending.unseen = dict(waiting.verdicts), frozenset(self._unseen)
        pending.results, pending.usages = dict(self._entry.results), self.usages
        pending.received = self._furthest(contents, self._entry.received)
        pending.steps_back = self._steps_back
        pending.outcome = "paused" if waiting.calls else "interrupted"
        pending.told = self._told()
        self._session._pending = pending

    def save(self, contents: tuple[Content, ...]) -> None:
        """Move the session's head to a new turn."""
        assert self._session is not None
        assert self._entry is not None
        if self.outcome != "open":
            return
        self._end_round()
        self._turn = Turn(self._entry.parent, contents, told=self._rounds)
        self._session._head, self._session._redo = self._turn, ()

    def _leave(self, outcome: Outcome) -> None:
        """Keep a turn that did not end, if that is wanted, or let it wait for ``resume()``."""
        session, entry = self._session, self._entry
        assert session is not None
        assert entry is not None
        contents = None
        if session._unfinished == "keep" and not entry.results:
            contents = kept(entry.contents, entry.received)
        if contents is not None:
            self._add(contents, outcome)
        elif entry.results or len(entry.contents) > 1 or self._pending is not None:
            # Functions have begun, or were paid for; or it had waited before.
            self._wait(entry.contents, Waiting((), self._decided(entry.contents)))

    def _decided(self, contents: tuple[Content, ...]) -> Mapping[int, bool | str]:
        """Return what a person has decided on the calls that the contents end with."""
        pending, decisions = self._pending, self._decisions
        return decisions if decisions and pending and pending.contents == contents else {}

    def _furthest(self, contents: tuple[Content, ...], received: Object | None) -> Object | None:
        """Return what had arrived here, or in the attempt before this one if that was more."""
        pending = self._pending
        if pending is None or pending.received is None or pending.contents != contents:
            return received
        both = [pending.received, *([] if received is None else [received])]
        return max(both, key=lambda one: len(JournalEntry(*contents, received=one).partial_text))

    def _add(self, contents: tuple[Content, ...], outcome: Outcome) -> None:
        """Add a partial turn to the history; may be called anywhere, even by the collector."""
        assert self._session is not None
        assert self._entry is not None
        self._turn = Turn(self._entry.parent, contents, outcome=outcome, told=self._entry.told)
        self._session._head, self._session._redo = self._turn, ()

    def settle(self, outcome: Outcome, error: BaseException | None = None) -> None:
        """Close the journal's entry and let the next turn in."""
        if self.outcome != "open":
            return
        session, entry = self._session, self._entry
        if session is None or entry is None:
            super().settle(outcome, error)
            return
        if self._turn is not None and vars(session).get("_head", self._turn) is self._turn:
            # Committed, if only where the head is read next: the entry says what the history says.
            outcome, error = self._turn.outcome, entry.error
        else:
            entry.received = copy_json(self.reply.whole()) if self.reply.chunks else None
            entry.error, self._turn = without_traceback(error), None
            self._end_round()
            # Rounds of the try that it goes on with are written down, without their end.
            entry.told = self._told() if self._pending else self._rounds
            if outcome != "paused":
                self._leave(outcome)
        entry.turn, entry.outcome = self._turn, outcome
        response = self._response() if self._response else None
        if response is not None and session._arriving is self._response:
            session._last, session._arriving = response, None
        super().settle(outcome, error)
