"""``multiturn chat`` in a terminal: a message, its answer, the next message."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multiturn import __version__
from multiturn.cli import commands
from multiturn.cli.attachments import attachment
from multiturn.cli.conversation import Conversation
from multiturn.cli.interrupt import interruptible, silent_keyboard
from multiturn.cli.options import MakeModel, Options
from multiturn.cli.prompt import editor
from multiturn.cli.screen import Screen
from multiturn.cli.show import show

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession


def talk(
    files: list[Path], options: Options, make_model: MakeModel, *, markdown: bool, debug: bool
) -> None:
    """Talk until the user leaves; errors are shown, and the session goes on.

    Raises:
        MultiturnError: The model does not exist, or a file cannot be sent.
    """
    attachments = [attachment(path) for path in files]
    conversation = Conversation(options, make_model)
    conversation.attachments = attachments
    screen = Screen(markdown=markdown, debug=debug)
    screen.say(f"multiturn {__version__}, talking to {conversation.chat.model.model_name}", "bold")
    screen.note("/help lists what else can be typed; Ctrl-D leaves.")
    if attachments:
        names = ", ".join(str(attached) for attached in attachments)
        screen.note(f"goes with your first message: {names}")
    lines = editor()
    while True:
        try:
            line = _line(lines, conversation)
            if line.strip():
                _obey(line, conversation, screen)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _line(lines: PromptSession[str], conversation: Conversation) -> str:
    number = conversation.branch.number
    return lines.prompt("> " if number == 1 else f"{number}> ")


def _obey(line: str, conversation: Conversation, screen: Screen) -> None:
    """Run a command or send a message; only leaving ends the session."""
    is_command = line.startswith("/")
    chat = conversation.chat
    turns_before = len(chat.turns)
    try:
        with silent_keyboard(), interruptible():
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
    if not is_command and len(chat.turns) == turns_before:
        screen.note("nothing was added to the conversation")


def _send(text: str, conversation: Conversation, screen: Screen) -> None:
    answer = screen.printer()
    try:
        answer.wait()
        response = conversation.chat.send_message(conversation.parts(text), stream=True)
        note = show(response, answer)
    finally:
        answer.close()
    conversation.attachments.clear()
    if note:
        screen.note(note)
