"""What an interactive session talks in: a conversation with its forks and what is attached."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from multiturn.cli.attachments import Attachment, Part
from multiturn.cli.options import MakeModel, Options, ready
from multiturn.cli.place import Place
from multiturn.errors import UsageError

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.stores.protocol import Store


class Branch(NamedTuple):
    """One of the conversations.

    Attributes:
        number: Counted from 1 in the order in which they began.
        chat: The conversation itself.
        options: How its model was made.
        origin: Number of the conversation that it was forked from, None if none.
        session: Its name in the store, "" if it is in memory only.
    """

    number: int
    chat: ChatSession
    options: Options
    origin: int | None = None
    session: str = ""

    @property
    def title(self) -> str:
        """What to call it, as ``conversation 2, a fork of 1, 3 turns``."""
        name = f" ({self.session})" if self.session else ""
        fork = f", a fork of {self.origin}" if self.origin else ""
        turns = turns_in_words(len(self.chat.turns))
        return f"conversation {self.number}{name}{fork}, {turns}"


class Conversation:
    """The conversation that goes on, and the others that can be gone back to.

    Args:
        options: How the first model is made.
        make_model: Makes models.
        place: Where conversations with a name are kept.
        session: Name of the first conversation, opened or begun; None keeps it in memory.

    Attributes:
        place: As given.
        branches: Every conversation by its number.
        branch: The one that goes on.
        attachments: What goes along with the next message.

    Raises:
        MultiturnError: There is no such model.
    """

    def __init__(
        self, options: Options, make_model: MakeModel, place: Place, session: str | None = None
    ) -> None:
        self._make_model = make_model
        self.place = place
        self.branches: dict[int, Branch] = {}
        self.attachments: list[Attachment] = []
        model = ready(make_model(options))
        # Begun here by name; those in which nothing is said go when the user leaves.
        self._begun: list[str] = []
        store = None if session is None else self._store_for(session)
        chat = model.start_chat(session=session, store=store)
        self.branch = self._added(chat, options, session=session or "")

    @property
    def chat(self) -> ChatSession:
        """The conversation that goes on."""
        return self.branch.chat

    @property
    def talks_to(self) -> str:
        """The model's name, as --model takes it: with its provider, if it has one."""
        from multiturn.backends.openai.providers import PROVIDERS

        model = self.chat.model
        provider = model.backend.name
        return f"{provider}/{model.model_name}" if provider in PROVIDERS else model.model_name

    @property
    def is_busy(self) -> bool:
        """Whether another process has a turn under way in this session."""
        session = self.branch.session
        return bool(session) and is_busy(self.place.store(), session)

    def parts(self, text: str) -> list[Part]:
        """Return what is sent for a text: it and what is attached."""
        return [text, *(attached.part for attached in self.attachments)]

    def choose(self, **changes: str | None) -> None:
        """Go on with another model or other options; the history is kept.

        Raises:
            MultiturnError: There is no such model; nothing has changed.
        """
        options = dataclasses.replace(self.branch.options, **changes)  # type: ignore[arg-type]
        self.chat.model = ready(self._make_model(options))
        self._replace(self.branch._replace(options=options))

    def fork(self, session: str = "") -> None:
        """Go on in a copy; with a name, it is kept in the store.

        Raises:
            UsageError: The name is taken, or this conversation is in memory only.
        """
        if session and not self.branch.session:
            raise UsageError(
                "this conversation is in memory only, so that its fork cannot have a name; "
                "/name NAME keeps it first"
            )
        if session and self.place.store().state(self.branch.session) is None:
            raise UsageError(
                f"session {self.branch.session!r} was deleted meanwhile, so that no fork of it can "
                f"be kept; /name {session} keeps this conversation itself"
            )
        chat = self.chat.fork(session or None)
        self.branch = self._added(chat, self.branch.options, self.branch.number, session)

    def begin_anew(self) -> None:
        """Go on in an empty conversation in memory, with the same model."""
        self.branch = self._added(self.chat.model.start_chat(), self.branch.options)

    def switch(self, number: int | None) -> None:
        """Go on in another conversation.

        Raises:
            UsageError: There is none of that number.
        """
        if number not in self.branches:
            known = ", ".join(str(known) for known in self.branches)
            raise UsageError(f"there is no conversation {number}; there are: {known}")
        self.branch = self.branches[number]

    def open(self, session: str) -> None:
        """Go on in the session of this name, which is begun if there is none."""
        known = [branch for branch in self.branches.values() if branch.session == session]
        if known and self.place.store().state(session) is not None:
            self.branch = known[0]
            return
        store, model = self._store_for(session), self.chat.model
        chat = model.start_chat(session=session, store=store)
        self.branch = self._added(chat, self.branch.options, session=session)

    def name(self, session: str) -> None:
        """Give this conversation a name, another one if it has one; from then on it is kept.

        Of a session that was deleted meanwhile, the turns are kept.

        Raises:
            SessionExists: The name is taken; nothing has changed.
        """
        from multiturn.export.conversation import Conversation as Said
        from multiturn.export.conversation import conversation_of
        from multiturn.export.restoring import restore
        from multiturn.stores.errors import SessionExists

        store = self.place.store()
        if session != self.branch.session:
            self._forget_unsaid(session)
        if store.state(session) is not None:
            raise SessionExists(session, store=str(self.place))
        if not self.branch.session:
            restore(conversation_of(self.chat), store, session)
        elif store.state(self.branch.session) is not None:
            store.rename(self.branch.session, session)
        else:
            turns = self.chat.turns
            restore(Said(tuple(turns), turns[-1] if turns else None), store, session)
        chat = self.chat.model.start_chat(session=session, store=store)
        self._replace(self.branch._replace(chat=chat, session=session))

    def leave(self) -> None:
        """Delete the sessions that were begun here and in which nothing was ever said."""
        for session in [*self._begun]:
            self._forget_unsaid(session)

    def _forget_unsaid(self, session: str) -> None:
        """Delete a session if it was begun here and nothing was ever said in it."""
        if session not in self._begun:
            return
        self._begun.remove(session)
        state = self.place.store().state(session)
        if state is not None and not state.version:
            self.place.store().delete(session)
            self.branches = {n: b for n, b in self.branches.items() if b.session != session}

    def _store_for(self, session: str) -> Store:
        store = self.place.store()
        if store.state(session) is None:
            self._begun.append(session)
        return store

    def _added(
        self, chat: ChatSession, options: Options, origin: int | None = None, session: str = ""
    ) -> Branch:
        number = max(self.branches, default=0) + 1
        self.branches[number] = Branch(number, chat, options, origin, session)
        return self.branches[number]

    def _replace(self, branch: Branch) -> None:
        self.branch = self.branches[branch.number] = branch


def is_busy(store: Store, session: str) -> bool:
    """Return whether a living process has a turn under way in a session."""
    state = store.state(session)
    attempts = store.attempts(session) if state is not None and state.attempt else []
    return any(attempt.is_alive for attempt in attempts)


def turns_in_words(count: int) -> str:
    """Return ``1 turn`` or ``2 turns``."""
    return f"{count} turn" if count == 1 else f"{count} turns"
