"""What can be typed with a slash instead of a message."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from multiturn.cli import session_commands as session
from multiturn.cli import turn_commands as turn
from multiturn.cli.attachments import attachment
from multiturn.cli.conversation import Conversation, turns_in_words
from multiturn.cli.failure import explained
from multiturn.cli.screen import Screen
from multiturn.cli.transcript import text_of
from multiturn.cli.visible import one_line
from multiturn.errors import UsageError

Run: TypeAlias = Callable[[Conversation, Screen, str], None]


class Command(NamedTuple):
    """One command.

    Attributes:
        name: With its slash.
        arguments: What may follow, as ``[N]``.
        does: What it does, in a few words.
        run: Called with what followed.
        completes: What its argument is: "path", "model", "session" or "".
    """

    name: str
    arguments: str
    does: str
    run: Run
    completes: str = ""


def run(line: str, conversation: Conversation, screen: Screen) -> None:
    """Do what a line that begins with a slash says.

    Raises:
        UsageError: There is no such command, or it was called wrongly.
        EOFError: The user leaves.
    """
    name, *rest = line.split(None, 1)
    argument = rest[0].strip() if rest else ""
    command = COMMANDS.get(name)
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "/help lists the commands."
        raise UsageError(
            f"there is no command {one_line(name)}; {hint} "
            "A message that begins with a slash is written with a space before it."
        )
    if argument and not command.arguments:
        raise UsageError(
            f"nothing can follow {name}; to do it: {name}. "
            "A message that begins with a slash is written with a space before it."
        )
    command.run(conversation, screen, argument)


def _help(_: Conversation, screen: Screen, __: str) -> None:
    width = max(len(f"{c.name} {c.arguments}") for c in COMMANDS.values())
    for c in COMMANDS.values():
        screen.say(f"  {f'{c.name} {c.arguments}':{width}}  {c.does}")
    screen.note(
        "Enter sends. Alt-Enter, or a backslash at the end of a line, begins a new line.\n"
        "Ctrl-C stops an answer or clears the line. Ctrl-D leaves."
    )


def _system(conversation: Conversation, screen: Screen, argument: str) -> None:
    if argument:
        conversation.choose(system=None if argument == "off" else argument)
        screen.note("from the next message on; the conversation is kept")
        return
    system = conversation.chat.model.system_instruction
    screen.note("no system instruction" if system is None else text_of(system))


def _model(conversation: Conversation, screen: Screen, argument: str) -> None:
    if argument:
        conversation.choose(model=argument)
    screen.note(f"talking to {conversation.talks_to}; the conversation is kept")


def _saving(*, overwrite: bool) -> Run:
    def save_transcript(conversation: Conversation, screen: Screen, argument: str) -> None:
        if not argument:
            raise UsageError("say where, as in: /save talk.md")
        from multiturn.export import export
        from multiturn.export.writing import save

        path = Path(argument).expanduser()
        written = export(conversation.chat, "markdown")
        save(written.data, path, overwrite=overwrite, advice=f"type /save! {argument}")
        screen.note(f"saved {turns_in_words(len(conversation.chat.turns))} to {argument}")

    return save_transcript


def _file(conversation: Conversation, screen: Screen, argument: str) -> None:
    if argument == "off":
        conversation.attachments.clear()
    elif argument:
        conversation.attachments.append(attachment(Path(argument)))
    names = ", ".join(str(attached) for attached in conversation.attachments)
    screen.note(f"goes with your next message: {names or 'nothing'}")


def _journal(conversation: Conversation, screen: Screen, _: str) -> None:
    if not conversation.chat.journal:
        screen.note("nothing has been tried yet")
    for number, entry in enumerate(conversation.chat.journal, 1):
        screen.say(f"{number:3}  {entry.outcome:11}  {one_line(entry.content.text)}")
        if entry.error is not None and entry.outcome in ("failed", "blocked", "stopped"):
            screen.note(f"{'':18}{one_line(explained(entry.error))}")


def _clear(conversation: Conversation, screen: Screen, _: str) -> None:
    before = conversation.branch
    conversation.begin_anew()
    screen.note(f"a new conversation; /fork {before.number} returns to the one before")


def _exit(_: Conversation, __: Screen, ___: str) -> None:
    raise EOFError


COMMANDS = {
    command.name: command
    for command in (
        Command("/help", "", "this list", _help),
        Command("/history", "", "the conversation so far", turn.history),
        Command("/rewind", "[N]", "take off the last turn, or the last N", turn.rewind),
        Command("/redo", "", "go forward to where /rewind was", turn.redo),
        Command("/retry", "", "ask again what failed, or for the last answer", turn.retry),
        Command("/edit", "TEXT", "say the last message differently", turn.edit),
        Command("/tree", "", "all that was said, also what was taken off", turn.tree),
        Command("/goto", "TURN", "go to a turn of /tree, by its digits", turn.go_to),
        Command("/fork", "[NAME|back|N|list]", "go on in a copy; return; go to N", turn.fork),
        Command("/name", "NAME", "keep this conversation, or rename it", session.name),
        Command("/session", "[NAME]", "go to a kept conversation", session.session, "session"),
        Command("/sessions", "[PREFIX]", "the conversations that are kept", session.sessions),
        Command("/resume", "", "ask again for what was in flight", session.resume),
        Command("/keep", "", "keep what had arrived of it", session.keep),
        Command("/drop", "", "let go of what was in flight", session.drop),
        Command("/system", "[TEXT|off]", "show or set what the model is told first", _system),
        Command("/model", "[NAME]", "show or change whom you talk to", _model, "model"),
        Command("/file", "[PATH|off]", "attach a file to the next message", _file, "path"),
        Command("/save", "FILE", "write a transcript to a file", _saving(overwrite=False), "path"),
        Command("/save!", "FILE", "the same over an old file", _saving(overwrite=True), "path"),
        Command("/journal", "", "every message that was tried, and how it ended", _journal),
        Command("/clear", "", "begin a new conversation", _clear),
        Command("/exit", "", "leave", _exit),
    )
}
