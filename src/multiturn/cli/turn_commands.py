"""What can be typed with a slash about turns: back, forth, aside, once more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from multiturn.cli.answering import answer
from multiturn.cli.conversation import Conversation, turns_in_words
from multiturn.cli.screen import Screen
from multiturn.cli.transcript import said_in
from multiturn.cli.visible import one_line
from multiturn.errors import UsageError
from multiturn.to_content import to_content

if TYPE_CHECKING:
    from multiturn.history import Turn

# How a message may have ended that nothing was answered to.
_FAILED = ("failed", "blocked", "stopped", "cancelled", "abandoned", "interrupted")


def rewind(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/rewind [N]``."""
    count = _number(argument, otherwise=1)
    try:
        said, _ = conversation.chat.rewind(count)
    except IndexError as error:
        raise UsageError(str(error)) from None
    left = turns_in_words(len(conversation.chat.turns))
    screen.note(
        f"took off {turns_in_words(count)}, from “{one_line(said.text, 48)}” on; {left} left, "
        "/redo returns"
    )


def redo(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/redo``."""
    conversation.chat.redo()
    turns = conversation.chat.turns
    last = one_line(turns[-1].contents[0].text, 48)
    screen.note(f"{turns_in_words(len(turns))} again, the last is “{last}”")


def retry(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/retry``: the message that failed just now, else the last one that was answered."""
    chat = conversation.chat
    turns = chat.turns
    head = turns[-1] if turns else None
    last = chat.journal[-1] if chat.journal else None
    failed = last if last is not None and last.outcome in _FAILED else None
    if failed is not None and _is_same(failed.parent, head):
        content, ask = failed.content, chat.send_message
    elif failed is not None and head is not None and _is_same(failed.parent, head.parent):
        content, ask = failed.content, chat.edit  # it was to take the last turn's place
    elif head is not None and head.contents[0].role != "model":
        content, ask = head.contents[0], chat.edit
    else:
        raise UsageError("there is nothing to ask again; a message is asked by typing it")
    screen.note(f"asking again: “{one_line(content.text, 48)}”")
    answer(conversation, screen, lambda: ask(content, stream=True))
    sent = list(content.parts)
    conversation.attachments[:] = [
        attached
        for attached in conversation.attachments
        if to_content(attached.part).parts[0] not in sent
    ]


def _is_same(turn: Turn | None, other: Turn | None) -> bool:
    return turn is other or (turn is not None and other is not None and turn.id == other.id)


def edit(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/edit TEXT``."""
    if not argument:
        raise UsageError("say the message anew, as in: /edit Name an animal.")
    parts = conversation.parts(argument)
    answer(conversation, screen, lambda: conversation.chat.edit(parts, stream=True))
    conversation.attachments.clear()


def go_to(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/goto TURN``."""
    try:
        conversation.chat.go_to(argument)
    except (IndexError, TypeError):
        raise UsageError("say which turn, by its digits in /tree, as in: /goto 3f2c9a1e") from None
    last = one_line(conversation.chat.turns[-1].contents[0].text, 48)
    screen.note(f"the last message is “{last}” now; /redo returns")


def tree(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/tree``."""
    screen.say(str(conversation.chat.tree) or "nothing has been said yet")


def fork(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/fork [NAME|back|N|list]``."""
    before = conversation.branch
    if argument == "list":
        for branch in conversation.branches.values():
            screen.say(f"{'*' if branch == conversation.branch else ' '} {branch.title}")
        return
    if argument == "back":
        if before.origin is None:
            raise UsageError(f"conversation {before.number} is no fork; /fork list shows all")
        conversation.switch(before.origin)
    elif argument.isdecimal():
        conversation.switch(_number(argument))
    else:
        conversation.fork(argument)
    how = "/fork back returns" if conversation.branch.origin else "/fork list shows all"
    screen.note(f"you are in {conversation.branch.title}; {how}")


def history(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/history``."""
    if not conversation.chat.history:
        screen.note("nothing has been said yet")
    show_turns(conversation.chat.turns, screen)


def show_turns(turns: Iterable[Turn], screen: Screen) -> None:
    """Show what was said, each under who said it."""
    for turn in turns:
        for who, text in said_in(turn):
            screen.say(who, "bold")
            screen.text(text)


def _number(argument: str, otherwise: int | None = None) -> int:
    if not argument and otherwise is not None:
        return otherwise
    if not argument.isdecimal() or int(argument) < 1:
        raise UsageError(f"{one_line(argument)!r} is not a number from 1 on")
    return int(argument)
