"""Asks in a conversation and shows the answer as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from multiturn.cli.conversation import Conversation
from multiturn.cli.screen import Screen
from multiturn.cli.show import show

if TYPE_CHECKING:
    from multiturn.response import GenerateContentResponse


def answer(
    conversation: Conversation, screen: Screen, ask: Callable[[], GenerateContentResponse]
) -> None:
    """Show the reply to what ``ask`` says, and what a reader should know besides.

    Raises:
        MultiturnError: The reply did not become whole.
        KeyboardInterrupt: It was stopped.
    """
    before = _identities(conversation)
    shown = screen.printer()
    try:
        if conversation.is_busy:
            screen.note("another process is being answered in this session; Ctrl-C stops waiting")
        shown.wait()
        note = show(ask(), shown)
    finally:
        shown.close()
    if note:
        screen.note(note)
    if conversation.branch.session and set(_identities(conversation)[:-1]) - set(before):
        screen.note("before that, something was said here by another process; /history shows it")


def _identities(conversation: Conversation) -> list[str]:
    return [turn.id for turn in conversation.chat.turns]
