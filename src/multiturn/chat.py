"""ChatSession: one conversation, one turn at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, Unpack
from weakref import ReferenceType

from multiturn.checks import one_of
from multiturn.config import GenerationConfigLike
from multiturn.errors import UsageError, safe_repr
from multiturn.gate import Busy, Gate
from multiturn.history import Turn, head_from, turns_of
from multiturn.journal import JournalEntry
from multiturn.messages.content import Content
from multiturn.messages.message import Object
from multiturn.open_turn import ModelOfChat, OpenTurn, Unfinished, checked_calling
from multiturn.request import Overrides
from multiturn.response import BaseGenerateContentResponse, GenerateContentResponse
from multiturn.to_content import ContentLike, ContentsLike, to_content, to_contents

if TYPE_CHECKING:
    from multiturn.async_response import AsyncGenerateContentResponse
    from multiturn.export import Export, FilePath
    from multiturn.model import GenerativeModel
    from multiturn.options import RequestOptionsLike
    from multiturn.pending import PendingTurn
    from multiturn.safety import SafetySettingsLike
    from multiturn.stored_session import StoredSession
    from multiturn.stores.protocol import Store
    from multiturn.tools.calling import CallingOptions
    from multiturn.tree import Tree


class ChatSession:
    """An ongoing conversation with a model.

    A turn is added whole or not at all: one that failed, was blocked, cancelled or left
    half-read leaves ``history`` as it was, and the next ``send_message`` just works.
    With ``unfinished="keep"`` it is kept with what had arrived of the answer, marked.
    One session may be used by many threads and tasks; their turns follow one another.
    Reading an attribute never changes anything.

    Args:
        model: Whom to talk to; may be replaced between turns.
        history: What was said before, oldest first; copied.
        enable_automatic_function_calling: Run the functions that the model calls.
        busy: "wait" for the open turn of another thread, task or process, or "raise"
            SessionBusy.
        unfinished: "drop" a turn that breaks off, by whatever cause, or "keep" it if
            text of the answer had arrived: ``turn.is_partial`` says so, and the next
            request carries it.  What broke it off is raised in both cases.
        session: Name of the session in the store; opened there, or begun.
        store: Where the conversation rests; None keeps it in memory.
        request_options: Of every message, over the model's and under the message's own.
        **calling: How functions are run, as in ``CallingOptions``.

    Attributes:
        model: Whom the next message goes to.
        enable_automatic_function_calling: As given.
        calling: How functions are run; may be changed between turns.
    """

    __multiturn_injected__ = True  # a function gets its session by an annotation
    model: GenerativeModel = ModelOfChat()  # type: ignore[assignment]

    def __init__(
        self,
        model: GenerativeModel,
        history: Iterable[Content | Mapping[str, Any]] | ContentsLike = None,
        enable_automatic_function_calling: bool = False,
        *,
        busy: Busy = "wait",
        unfinished: Unfinished = "drop",
        session: str | None = None,
        store: Store | None = None,
        request_options: RequestOptionsLike = None,
        **calling: Unpack[CallingOptions],
    ) -> None:
        self.model = model
        self._request_options = Overrides(request_options=request_options).guarded()
        self.enable_automatic_function_calling = enable_automatic_function_calling
        self._busy: Busy = one_of("busy", busy, ("wait", "raise"))
        self._unfinished: Unfinished = one_of("unfinished", unfinished, ("drop", "keep"))
        self._stored: StoredSession | None = None
        contents = to_contents(history, path="$.history", role="user")
        if session is None and store is None:
            self._head = head_from(contents)
        else:
            from multiturn.stored_session import open_session

            self._stored = open_session(store, session, contents)
            if unfinished == "keep":
                self._stored.keep_what_died()
        self._redo: tuple[Turn, ...] = ()
        # Where it was when it was led elsewhere, in that order: all else lies before these.
        self._ends: dict[str, Turn] = {}
        self._last: BaseGenerateContentResponse[Any] | None = None
        # Weak, so that a reply which nobody reads any more vanishes and frees the session.
        self._arriving: ReferenceType[BaseGenerateContentResponse[Any]] | None = None
        self._journal: list[JournalEntry] = []
        self._gate = Gate()
        self._pending: PendingTurn | None = None
        self.calling = checked_calling(calling)

    # -- talking -------------------------------------------------------------------------

    def send_message(
        self,
        content: ContentLike,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
        stream: bool = False,
        tools: Any = None,
        tool_config: Any = None,
        request_options: RequestOptionsLike = None,
    ) -> GenerateContentResponse:
        """Say something, and return the model's reply.

        Args:
            content: A string, a part, an image, a content, a dict of one of these, or a
                list that mixes parts.
            generation_config, safety_settings: Merged over the model's, for this message.
            stream: Give the reply as soon as its first chunk is there; the turn is added
                to the history when it has been iterated to its end.
            tools, tool_config: Instead of the model's, for this message.
            request_options: Time limit and retries for this message.

        Raises:
            UsageError: Nothing was sent; the message names the argument.
            SessionBusy: Another turn is open and this call may not wait for it.
            BackendError: The model could not be asked.
            BlockedPromptException, StopCandidateException, BrokenResponseError: It did
                not give a whole answer.

        With ``stream=True`` the last four are raised from the iteration.
        """
        overrides = Overrides(
            generation_config, safety_settings, tools, tool_config, request_options
        )
        return self._opened(content, overrides, stream).ask(self)

    async def send_message_async(
        self,
        content: ContentLike,
        *,
        generation_config: GenerationConfigLike = None,
        safety_settings: SafetySettingsLike = None,
        stream: bool = False,
        tools: Any = None,
        tool_config: Any = None,
        request_options: RequestOptionsLike = None,
    ) -> AsyncGenerateContentResponse:
        """Do as ``send_message``, without blocking the event loop."""
        overrides = Overrides(
            generation_config, safety_settings, tools, tool_config, request_options
        )
        return await self._opened(content, overrides, stream).ask_async(self)

    @property
    def pending(self) -> PendingTurn | None:
        """The turn that can go on with ``resume()``, None if there is none.

        Its calls wait for approval, or it broke off after functions had begun or when gone
        on with; in a stored session also by the end of its process.  Going on with it runs
        no function again; its ``keep()`` adds it to the history as far as it came, its
        ``drop()`` forgets it, as do another ``send_message``, ``rewind`` and a new ``history``.
        """
        found = self._pending
        if found is None and self._stored is not None:
            found = self._stored.pending()
        if found is not None:
            found.session = self
        return found

    def resume(self, *, stream: bool = False) -> GenerateContentResponse:
        """Go on with the turn that waits or broke off, as was decided on ``chat.pending``.

        Raises:
            UsageError: No turn waits, or a call is not decided on.
        """
        return self._resumed(self.pending, stream).ask(self)

    async def resume_async(self, *, stream: bool = False) -> AsyncGenerateContentResponse:
        """Do as ``resume``, without blocking the event loop."""
        pending = await self._read_async(lambda: self.pending)
        return await self._resumed(pending, stream).ask_async(self)

    def _opened(
        self, content: ContentLike, overrides: Overrides, stream: bool, steps_back: int = 0
    ) -> OpenTurn:
        said = to_content(content, role="user", path="$.content")
        message = Content.view(said.json_object, frozen=True)  # it was made anew
        overrides = overrides.over(self._request_options)
        return self._new_turn((message,), overrides, stream, None, steps_back)

    def _resumed(self, pending: PendingTurn | None, stream: bool) -> OpenTurn:
        if pending is None:
            raise UsageError("nothing to resume: no turn waits; send_message begins one")
        overrides = pending.overrides_in(self)
        return self._new_turn(pending.contents, overrides, stream, pending, pending.steps_back)

    def _new_turn(self, *given: Any) -> OpenTurn:
        return OpenTurn(*given) if self._stored is None else self._stored.open_turn(*given)

    # -- what was said -------------------------------------------------------------------

    @property
    def history(self) -> list[Content]:
        """The conversation so far, oldest first: a list of frozen contents.

        Changing the list (``append``, ``pop``, ``del`` …) changes the conversation, and
        setting it replaces the conversation; contents are copied.
        """
        from multiturn.history_list import History

        return History(self)

    @history.setter
    def history(self, contents: Iterable[Content | Mapping[str, Any]] | ContentsLike) -> None:
        from multiturn.history_list import put
        from multiturn.moves import unmoved_head

        given = to_contents(contents, path="$.history", role="user")
        with self._gate.held():
            put(self, given, unmoved_head(self))

    @property
    def last(self) -> BaseGenerateContentResponse[Any] | None:
        """The reply received last, None if there is none; may hold part of one and its error."""
        return (self._arriving() if self._arriving else None) or self._last

    @cached_property
    def _head(self) -> Turn | None:
        """The turn that the session points at; that of a stored one is read when needed."""
        return self._stored.head() if self._stored is not None else None

    @property
    def _now(self) -> Turn | None:
        """The same, without what was erased from the store since it was read."""
        if self._stored is not None:
            self._stored.forget_erased(self)
        return self._head

    @property
    def turns(self) -> list[Turn]:
        """The conversation so far as turns, oldest first."""
        if self._stored is not None:
            self._stored.is_seen = True
        return turns_of(self._now)

    @property
    def journal(self) -> tuple[JournalEntry, ...]:
        """Every turn ever tried in this session, oldest first, with how it ended."""
        return tuple(self._journal) if self._stored is None else self._stored.journal()

    @property
    def tree(self) -> Tree:
        """Every turn of the session, those too that were rewound, edited or retried.

        A stored fork has those that it had from the other session while it goes on from them.
        """
        from multiturn.tree import tree_of

        tree = tree_of(self)
        if self._stored is not None:
            self._stored.is_seen = True
        return tree

    def rewind(self, n: int = 1) -> tuple[Content, Content]:
        """Take the last turns off the history.

        Args:
            n: How many, at least 1.

        Returns:
            What the user said in the first of them and what the model said at the end;
            an empty content stands for one that is missing.

        Raises:
            NoSuchTurn: The history has fewer turns.
        """
        from multiturn.moves import rewind

        return rewind(self, n)

    def redo(self) -> None:
        """Go forward again to where the last ``rewind`` or ``go_to`` was called.

        Raises:
            NoSuchTurn: Neither was called since the last turn.
        """
        from multiturn.moves import redo

        redo(self)

    def go_to(self, turn: Turn | str) -> None:
        """Go to any turn of the tree, or to the one whose id begins so; ``redo`` returns.

        Raises:
            NoSuchTurn: The tree has none, or several that begin so.
        """
        from multiturn.moves import go_to

        go_to(self, turn)

    def edit(
        self, content: ContentLike, *, stream: bool = False, **options: Any
    ) -> GenerateContentResponse:
        """Say the last message differently; what was said and answered stays in the tree.

        Options are those of ``send_message``.  If the model cannot answer, nothing changes.
        """
        return self._opened(content, Overrides.given(options), stream, 1).ask(self)

    async def edit_async(
        self, content: ContentLike, *, stream: bool = False, **options: Any
    ) -> AsyncGenerateContentResponse:
        """Do as ``edit``, without blocking the event loop."""
        return await self._opened(content, Overrides.given(options), stream, 1).ask_async(self)

    def retry(self, *, stream: bool = False, **options: Any) -> GenerateContentResponse:
        """Ask for the last answer again; both stay in the tree."""
        from multiturn.moves import last_message

        return self.edit(last_message(self), stream=stream, **options)

    async def retry_async(
        self, *, stream: bool = False, **options: Any
    ) -> AsyncGenerateContentResponse:
        """Do as ``retry``, without blocking the event loop."""
        from multiturn.moves import last_message

        self._gate.let_go()
        await self._read_async(lambda: self._now)
        return await self.edit_async(last_message(self), stream=stream, **options)

    async def _read_async(self, read: Callable[[], Any]) -> Any:
        return read() if self._stored is None else await self._stored.read_async(read)

    def turn_before(self, n: int) -> Turn | None:
        """Return the turn that lies n turns before the last, None before the first."""
        turn = self._head
        for _ in range(n):
            if turn is None:
                break
            turn = turn.parent
        return turn

    # -- other conversations -------------------------------------------------------------

    def fork(self, session: str | None = None) -> Self:
        """Return another conversation that goes on from here, without an open turn.

        It costs the same at any length; what is said in one is not seen in the other.

        Args:
            session: Name of the fork in the same store; None keeps it in memory only.
        """
        from multiturn.copies import fork_of

        return fork_of(self, session)

    def to_json(self) -> str:
        """Return the whole session as JSON, without loss; ``multiturn.load_chat`` reads it."""
        return self.export("multiturn").text

    def export(
        self, format: str, path: FilePath | None = None, *, overwrite: bool = False
    ) -> Export:
        """Write the conversation in one of the formats of ``multiturn.export``, as ``export``."""
        from multiturn.export import export

        return export(self, format, path, overwrite=overwrite)

    def __deepcopy__(self, memo: object = None) -> Self:
        return self.fork()

    __copy__ = __deepcopy__

    def __getstate__(self) -> Object:
        from multiturn.copies import state_of

        return state_of(self)

    def __setstate__(self, state: Object) -> None:
        from multiturn.copies import restore

        restore(self, state)

    def __repr__(self) -> str:
        model = safe_repr(self.model).replace("\n", "\n    ")
        said = [content for turn in self.turns for content in turn.contents]
        history = "".join(f"\n        {content!r}," for content in said)
        open_turn = "" if self._gate.holder is None else "\n    # a turn is open"
        session = f"\n    session={self._stored.name!r}," if self._stored is not None else ""
        told = f"\n    model={model},{session}\n    history=[{history}\n    ],{open_turn}\n"
        return f"ChatSession({told})"
