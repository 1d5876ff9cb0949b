"""``multiturn chat`` in a terminal: a message, its answer, the next message."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn import __version__
from multiturn.cli import commands
from multiturn.cli.answering import answer
from multiturn.cli.attachments import attachment
from multiturn.cli.conversation import Conversation
from multiturn.cli.in_flight import how_to_go_on
from multiturn.cli.interrupt import (
    ctrl_c_as_signal,
    interruptible,
    restored_terminal,
    silent_keyboard,
)
from multiturn.cli.prompt import editor, take_ctrl_c
from multiturn.cli.screen import Screen
from multiturn.cli.session_commands import introduce
from multiturn.errors import MultiturnError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession


def talk(conversation: Conversation, files: list[Path], *, markdown: bool, debug: bool) -> None:
    """Talk until the user leaves; errors are shown, and the conversation goes on.

    Raises:
        MultiturnError: A file cannot be sent, or the store cannot be read.
    """
    try:
        conversation.attachments += [attachment(path) for path in files]
        screen = Screen(markdown=markdown, debug=debug)
        with restored_terminal():
            _greet(conversation, screen)
            # Between answers too: else Ctrl-C would there be neither a key nor a stop.
            with silent_keyboard():
                _converse(conversation, screen)
        if conversation.branch.session and conversation.chat.turns:
            screen.note(how_to_go_on(conversation.branch.session))
    finally:
        conversation.leave()


def _greet(conversation: Conversation, screen: Screen) -> None:
    screen.say(f"multiturn {__version__}, talking to {conversation.talks_to}", "bold")
    keeps = "" if conversation.branch.session else ", /name NAME keeps this conversation"
    screen.note(f"/help lists what else can be typed{keeps}; Ctrl-D leaves.")
    if conversation.attachments:
        names = ", ".join(str(attached) for attached in conversation.attachments)
        screen.note(f"goes with your first message: {names}")
    if conversation.branch.session:
        introduce(conversation, screen)


def _converse(conversation: Conversation, screen: Screen) -> None:
    lines = editor(conversation.place.names)
    while True:
        try:
            line = _line(lines, conversation)
            if line.strip():
                _obey(line, lines, conversation, screen)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _line(lines: PromptSession[str], conversation: Conversation) -> str:
    number, session = conversation.branch.number, conversation.branch.session
    return lines.prompt(f"{session or (number if number > 1 else '')}> ")


def _obey(line: str, lines: PromptSession[str], conversation: Conversation, screen: Screen) -> None:
    """Run a command or send a message; only leaving ends the session."""
    is_command = line.startswith("/")
    before = _count(conversation)
    try:
        with interruptible(), ctrl_c_as_signal():
            if take_ctrl_c(lines):
                raise KeyboardInterrupt
            if is_command:
                commands.run(line.rstrip(), conversation, screen)
            else:
                _send(line.strip(), conversation, screen)
        return
    except EOFError:
        raise
    except KeyboardInterrupt:
        screen.note("stopped")
    except Exception as error:
        screen.problem(error)
    if not is_command and before == _count(conversation):
        screen.note("nothing was added to the conversation")


def _count(conversation: Conversation) -> int | float:
    """Return how many turns there are; a number that equals none if the store cannot tell."""
    with suppress(MultiturnError):
        return len(conversation.chat.turns)
    return math.nan


def _send(text: str, conversation: Conversation, screen: Screen) -> None:
    chat, parts = conversation.chat, conversation.parts(text)
    answer(conversation, screen, lambda: chat.send_message(parts, stream=True))
    conversation.attachments.clear()
