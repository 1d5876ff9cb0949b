"""What can be typed with a slash about sessions: conversations with a name, which last."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from multiturn.cli.answering import answer
from multiturn.cli.conversation import Conversation, turns_in_words
from multiturn.cli.in_flight import arrived_text, can_go_on, how_to_go_on, in_flight
from multiturn.cli.moments import ago
from multiturn.cli.screen import Screen
from multiturn.cli.turn_commands import show_turns
from multiturn.cli.visible import one_line
from multiturn.errors import UsageError

if TYPE_CHECKING:
    from multiturn.pending import PendingTurn


def introduce(conversation: Conversation, screen: Screen) -> None:
    """Say which session this is, what was said last, and what its last process left undone."""
    place, name = conversation.place, conversation.branch.session
    turns, pending = conversation.chat.turns, conversation.chat.pending
    if not turns and pending is None:
        near = get_close_matches(name, [n for n in place.names() if n != name], n=1)
        hint = f"; there is {near[0]} too, /session {near[0]} goes there" if near else ""
        screen.note(f"a new conversation, kept as {name} in {place}{hint}")
        return
    state = place.state(name)
    screen.note(f"{name}, {turns_in_words(len(turns))}, changed {ago(state.changed_at)}")
    if turns:
        show_turns(turns[-1:], screen)
    if pending is not None:
        screen.say(in_flight(pending), "bold")
        screen.note(_choices(pending))


def session(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/session [NAME]``."""
    if argument:
        conversation.open(argument)
        introduce(conversation, screen)
    elif conversation.branch.session:
        screen.note(f"you are in {conversation.branch.session}, kept in {conversation.place}")
    else:
        screen.note("this conversation is in memory only; /name NAME keeps it")


def sessions(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/sessions [PREFIX]``."""
    from multiturn.cli.session_list import listed, table

    rows = listed(conversation.place, argument)
    if not rows and argument:
        screen.note(f"no conversation has a name that begins with {argument!r}")
    elif not rows:
        screen.note("no conversation is kept yet; /name NAME keeps this one")
    for line in table(rows, screen.columns, here=conversation.branch.session):
        screen.say(line)


def name(conversation: Conversation, screen: Screen, argument: str) -> None:
    """``/name NAME``."""
    if not argument:
        raise UsageError("say how it is to be called, as in: /name planning")
    conversation.name(argument)
    screen.note(f"kept from now on in {conversation.place}; {how_to_go_on(argument)}")


def resume(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/resume``."""
    if not can_go_on(_pending(conversation)):
        raise UsageError(
            "this turn waits for functions, which only a program that has them can run: "
            "chat.resume() in Python; /drop lets it go"
        )
    answer(conversation, screen, lambda: conversation.chat.resume(stream=True))


def keep(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/keep``."""
    pending = _pending(conversation)
    if not arrived_text(pending):
        raise UsageError("no text of an answer had arrived, so that there is nothing to keep")
    show_turns([pending.keep()], screen)
    screen.note("kept as far as it came")


def drop(conversation: Conversation, screen: Screen, _: str) -> None:
    """``/drop``."""
    pending = _pending(conversation)
    said = one_line(pending.contents[0].text, 48)
    pending.drop()
    screen.note(f"let go of “{said}”; /journal still has it")


def _pending(conversation: Conversation) -> PendingTurn:
    pending = conversation.chat.pending
    if pending is None:
        raise UsageError("nothing was in flight: the last turn is whole, or was let go")
    return pending


def _choices(pending: PendingTurn) -> str:
    choices = ["/resume asks for the answer again"] if can_go_on(pending) else []
    choices += ["/keep keeps what had arrived"] if arrived_text(pending) else []
    return ", ".join([*choices, "/drop lets it go, and so does a new message"])
