"""What an interactive session talks in: a conversation with its forks and what is attached."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from multiturn.cli.attachments import Attachment, Part
from multiturn.cli.options import MakeModel, Options, ready
from multiturn.errors import UsageError

if TYPE_CHECKING:
    from multiturn.chat import ChatSession


class Branch(NamedTuple):
    """One of the conversations.

    Attributes:
        number: Counted from 1 in the order in which they began.
        chat: The conversation itself.
        options: How its model was made.
        origin: Number of the conversation that it was forked from, None if none.
    """

    number: int
    chat: ChatSession
    options: Options
    origin: int | None = None

    @property
    def title(self) -> str:
        """What to call it, as ``conversation 2, a fork of 1, 3 turns``."""
        fork = f", a fork of {self.origin}" if self.origin else ""
        return f"conversation {self.number}{fork}, {turns_in_words(len(self.chat.turns))}"


class Conversation:
    """The conversation that goes on, and the others that can be gone back to.

    Attributes:
        branches: All of them, by number.
        branch: The one that goes on.
        attachments: What goes along with the next message.
    """

    def __init__(self, options: Options, make_model: MakeModel) -> None:
        self._make_model = make_model
        self.branches: dict[int, Branch] = {}
        self.branch = self._added(ready(make_model(options)).start_chat(), options)
        self.attachments: list[Attachment] = []

    @property
    def chat(self) -> ChatSession:
        """The conversation that goes on."""
        return self.branch.chat

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
        self.branch = self.branches[self.branch.number] = self.branch._replace(options=options)

    def fork(self) -> None:
        """Go on in a copy."""
        self.branch = self._added(self.chat.fork(), self.branch.options, self.branch.number)

    def begin_anew(self) -> None:
        """Go on in an empty conversation with the same model."""
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

    def _added(self, chat: ChatSession, options: Options, origin: int | None = None) -> Branch:
        number = len(self.branches) + 1
        self.branches[number] = Branch(number, chat, options, origin)
        return self.branches[number]


def turns_in_words(count: int) -> str:
    """Return ``1 turn`` or ``2 turns``."""
    return f"{count} turn" if count == 1 else f"{count} turns"
