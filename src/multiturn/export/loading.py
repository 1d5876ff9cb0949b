"""A conversation from a file, or from any other form of any format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiturn.errors import InvalidContent, UnknownName, UsageError
from multiturn.export.conversation import Conversation, journal_of
from multiturn.export.registry import read_as
from multiturn.export.report import Lost
from multiturn.export.source import Source, SourceLike

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.model import GenerativeModel
    from multiturn.stores.protocol import Store


def read(source: SourceLike, *, format: str | None = None) -> list[Conversation]:
    """Return the conversations in a source, without a model to go on with them.

    Args:
        source: The name of a file, its text or bytes, or what ``json.loads`` returned.  A
            ``str`` is a name unless it has several lines or begins as JSON or Markdown do.
        format: One of ``NAMES``; None finds it.

    Raises:
        InvalidContent: It cannot be read; the message names the format and the place.
        UnknownName: There is no such format.
    """
    looked_at = Source(source)
    try:
        return read_as(looked_at, format)
    except InvalidContent as error:
        file = looked_at.path
        if file is None or str(file) in str(error):
            raise
        raise InvalidContent(f"{file}: {error.path}", error.value, error.expected) from error


def load_chat(
    source: SourceLike | Conversation,
    model: GenerativeModel | str | None = None,
    *,
    session: str | None = None,
    store: Store | None = None,
    format: str | None = None,
    conversation: str | None = None,
    lost: list[Lost] | None = None,
) -> ChatSession:
    """Go on with a conversation that was exported, here or elsewhere.

    Args:
        source: As of ``read``, or what ``read`` returned.
        model: Whom to talk to, or its name; None is the embedded model.  One that is made
            here is told the system instruction that the conversation had.
        session: Name of a new session to put it into.
        store: Where that session rests; None, and no name, keep the conversation in memory.
        format: One of ``NAMES``; None finds it.
        conversation: Which, by its title, if the source holds several.
        lost: A list to which is added what could not be carried.

    Raises:
        InvalidContent: It cannot be read; the message names the format and the place.
        UnknownName: The source holds several conversations, and none or several with
            this title.
        SessionExists: The store has a session of this name.
    """
    from multiturn.chat import ChatSession
    from multiturn.model import GenerativeModel

    if (session is None) != (store is None):
        raise UsageError("a session needs a name and a store; give both or neither")
    if conversation is not None and not isinstance(conversation, str):
        raise InvalidContent("conversation", conversation, "a title, or None")
    if lost is not None and not isinstance(lost, list):
        raise InvalidContent("lost", lost, "a list, to which is added what is lost, or None")
    found = (
        source
        if isinstance(source, Conversation)
        else _one(read(source, format=format), conversation)
    )
    losses = list(found.lost)
    system = found.system_instruction
    if model is None or isinstance(model, str):
        model = GenerativeModel(model, system_instruction=system)
    elif system is not None and model.system_instruction != system:
        losses.append(Lost("$.system_instruction", "the model that was given has its own"))
    if lost is not None:
        lost += losses
    if store is not None and session is not None:
        from multiturn.export.restoring import restore
        from multiturn.stores.protocol import require_store

        require_store(store)
        restore(found, store, session)
        return ChatSession(model, session=session, store=store)
    chat = ChatSession(model)
    chat._head, chat._redo = found.head, found.redo
    chat._ends = {turn.id: turn for turn in found.turns}
    chat._journal = journal_of(found)
    return chat


def _one(found: list[Conversation], title: str | None) -> Conversation:
    """Return the conversation of a title, or the only one."""
    if title is None and len(found) == 1:
        return found[0]
    if not found:
        raise InvalidContent("source", found, "a conversation; there is none in it")
    titles = [one.title for one in found]
    named = [one for one in found if one.title == title]
    if len(named) != 1:
        reason = f"the source holds {len(found)} conversations; say which: conversation=…"
        if named:
            reason = f"{len(named)} have this title; take one of multiturn.export.read(source)"
        raise UnknownName(
            "conversation", title or "", titles, "" if title and not named else reason
        )
    return named[0]
