"""A conversation between formats: all that a session holds, and nothing that runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from multiturn.errors import BackendError
from multiturn.history import Turn, head_from, path_of, turns_of
from multiturn.journal import JournalEntry, written
from multiturn.messages.content import Content
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.chat import ChatSession
    from multiturn.export.report import Lost


class Try(NamedTuple):
    """A turn that was tried and became none.

    Attributes:
        entry: The journal's entry.
        place: How many of the conversation's turns were there before it.
    """

    entry: JournalEntry
    place: int


class Conversation(NamedTuple):
    """All that a session holds.

    Attributes:
        turns: The whole tree, each turn after the one it follows.
        head: The turn that it points at, None if nothing was said.
        redo: The heads that rewinding left, the latest last.
        tries: What became no turn.
        system_instruction: What the model was told before everything else, None if nothing.
        model: The model's name, "" if it is not known.
        name: What the conversation is called, "" if it has no name.
        records: What a store keeps of a turn beside its contents, by the turn's identity.
        lost: What of its source it does not hold.
        damaged: The same, of turns and tries whose store has not what was said.
    """

    turns: tuple[Turn, ...] = ()
    head: Turn | None = None
    redo: tuple[Turn, ...] = ()
    tries: tuple[Try, ...] = ()
    system_instruction: Content | None = None
    model: str = ""
    name: str = ""
    records: Mapping[str, Object] = {}
    lost: tuple[Lost, ...] = ()
    damaged: tuple[Lost, ...] = ()

    @property
    def history(self) -> list[Content]:
        """What was said on the way to the head, oldest first."""
        return list(path_of(self.head))

    @property
    def title(self) -> str:
        """What tells it from others: its name, else the beginning of what was said first."""
        said = self.history[:1]
        return self.name or (" ".join(said[0].text.split())[:60] if said else "")


def line(
    contents: Iterable[Content],
    *,
    system: str | Content | None = None,
    model: str = "",
    name: str = "",
) -> Conversation:
    """Return a conversation without branches.

    Args:
        contents: Oldest first.
        system: What the model was told before everything else.
        model: The model's name.
        name: What the conversation is called.
    """
    head = head_from(contents)
    if isinstance(system, str):
        system = Content.view({"parts": [{"text": system}]}, frozen=True) if system else None
    return Conversation(
        tuple(turns_of(head)), head, system_instruction=system, model=model, name=name
    )


def conversation_of(chat: ChatSession) -> Conversation:
    """Return what a session holds now, without turns that are damaged."""
    from multiturn.errors import MultiturnError
    from multiturn.moves import left_by

    tree, stored = chat.tree, chat._stored
    turns = {turn.id: turn for turn in tree}
    redo = left_by(chat)
    for left in redo:
        turns.update((turn.id, turn) for turn in turns_of(left) if turn.id not in turns)
    if stored is not None:
        from multiturn.export.restoring import records_of

        sound = [turn.id for turn in turns.values() if turn.outcome != "damaged"]
        records = records_of(stored, sound)
    else:
        records = {one.id: record for one in turns.values() if (record := _record(one))}
    try:
        model = chat.model.model_name
    except MultiturnError:  # a model that cannot be asked is still one to talk of
        model = chat.model._name or ""
    whole = Conversation(
        tuple(turns.values()),
        tree.head,
        redo,
        _tries(chat.journal, list(turns)),
        chat.model.system_instruction,
        model,
        stored.name if stored is not None else "",
        records,
    )
    return _without_damaged(whole)


def _without_damaged(whole: Conversation) -> Conversation:
    """Return a conversation whose turns go on without the damaged ones, as without erased ones."""
    from multiturn.export.report import Lost

    kept: dict[str, Turn | None] = {}
    damaged: list[Lost] = []
    gone: list[int] = []
    for n, turn in enumerate(whole.turns):
        parent = kept[turn.parent.id] if turn.parent else None
        if turn.outcome == "damaged":
            kept[turn.id] = parent
            gone.append(n)
            damaged.append(Lost(f"$.turns[{n}]", f"turn {turn.id} is damaged: left out"))
        elif parent is turn.parent:
            kept[turn.id] = turn
        else:
            kept[turn.id] = Turn(parent, turn.contents, turn.id, turn.outcome, turn.told)
    tries: list[Try] = []
    for given, place in whole.tries:
        if given.outcome == "damaged":
            damaged.append(Lost("$.journal", "a try is damaged: left out"))
            continue
        entry, parent = copy(given), given.parent
        entry.parent = kept.get(parent.id, parent) if parent else None
        tries.append(Try(entry, place - sum(n < place for n in gone)))
    if not damaged:
        return whole
    turns = {turn.id: turn for turn in kept.values() if turn is not None}
    return whole._replace(
        turns=tuple(turns.values()),
        head=kept[whole.head.id] if whole.head else None,
        redo=tuple([one for left in whole.redo if (one := kept[left.id]) is not None]),
        tries=tuple(tries),
        damaged=tuple(damaged),
    )


def _record(turn: Turn) -> Object | None:
    """Return what is known of a turn beside its contents."""
    told = turn.told() if callable(turn.told) else written(turn.told)
    return {name: value for name, value in (told or {}).items() if name != "contents"}


def _tries(journal: Iterable[JournalEntry], order: Sequence[str]) -> tuple[Try, ...]:
    places = {turn_id: place for place, turn_id in enumerate(order, 1)}
    tries: list[Try] = []
    tried = {entry.turn.id for entry in journal if entry.turn is not None}
    # What was never tried was there from the beginning.
    place = next((i for i, turn_id in enumerate(order) if turn_id in tried), len(order))
    for entry in journal:
        if entry.turn is not None:
            place = max(place, places.get(entry.turn.id, place))
        else:
            tries.append(Try(entry, place))
    return tuple(tries)


def tried(entry: JournalEntry) -> Object:
    """Return what was said in a try and what came of it, in JSON; what is not there is left out."""
    members: Object = {"contents": [content.json_object for content in entry.contents]}
    if entry.results:
        members["results"] = {str(index): part for index, part in entry.results.items()}
    if entry.received is not None:
        members["received"] = entry.received
    error = entry.error
    if error is not None:
        told = str(error) if type(error) is BackendError else f"{type(error).__name__}: {error}"
        members["error"] = told
    return members


def journal_of(conversation: Conversation) -> list[JournalEntry]:
    """Return a journal from which tree and tries can be told; empty if a line says it all."""
    if not conversation.tries and _is_line(conversation):
        return []
    answered = [
        (place, JournalEntry(turn.contents[0], parent=turn.parent, turn=turn, outcome=turn.outcome))
        for place, turn in enumerate(conversation.turns)
    ]
    tries = [(one.place - 0.5, one.entry) for one in conversation.tries]
    return [entry for _, entry in sorted([*answered, *tries], key=lambda pair: pair[0])]


def _is_line(conversation: Conversation) -> bool:
    seen = {turn.id for end in (conversation.head, *conversation.redo) for turn in turns_of(end)}
    return all(turn.id in seen for turn in conversation.turns)
