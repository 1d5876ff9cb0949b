"""Our own format: the whole session as JSON, without loss.

An object with these members, those that are empty left out:

    format      "multiturn.conversation"
    version     1
    name, model, system_instruction
    turns       each after the one it follows: {id, parent, outcome, contents, record};
                outcome is left out if it is "answered", record is what is known beside
    head        id of a turn
    redo        ids of the turns that rewinding left, the latest last
    tries       what became no turn, in order: {place, parent, outcome, contents, results,
                received, error, record}; place is how many of ``turns`` were there before it
    between     see below

Contents are those of the Gemini API, as they were received; bytes are base64.  JSON cannot
say that half of a surrogate pair is followed by the other half, since that is how it writes
a whole one.  Where that occurs, ``between`` is a word that stands between the halves and
nowhere else.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from multiturn.errors import BackendError, InvalidContent
from multiturn.export.conversation import Conversation, Try, tried
from multiturn.export.json_text import dumps
from multiturn.export.report import Report, a_list, a_text, an_object
from multiturn.export.source import Source
from multiturn.history import Outcome, Turn
from multiturn.journal import JournalEntry, known_of
from multiturn.messages.content import Content, Part
from multiturn.messages.fields import Nested
from multiturn.messages.message import Object
from multiturn.stores.record import recorded, turn_id

FORMAT = "multiturn.conversation"
VERSION = 1
_NESTED = frozenset(field.wire for field in Part.fields.values() if isinstance(field, Nested))
_HASH = re.compile("[0-9a-f]{64}")
_HALVES = re.compile("([\ud800-\udbff])([\udc00-\udfff])")


def recognises(source: Source) -> bool:
    """Whether a source is in this format."""
    return isinstance(source.value, dict) and source.value.get("format") == FORMAT


# -- writing -------------------------------------------------------------------------------


def write(conversation: Conversation) -> bytes:
    """Return the whole session as JSON in UTF-8."""
    members: Object = {"format": FORMAT, "version": VERSION}
    members["name"], members["model"] = conversation.name, conversation.model
    if conversation.system_instruction is not None:
        members["system_instruction"] = conversation.system_instruction.json_object
    members["turns"] = [_turn(turn, conversation) for turn in conversation.turns]
    members["head"] = conversation.head.id if conversation.head else None
    members["redo"] = [turn.id for turn in conversation.redo]
    members["tries"] = [_try(one) for one in conversation.tries]
    members = {name: value for name, value in members.items() if value not in ("", None, [])}
    apart = _Apart("")
    if apart.is_needed(members):
        text = repr(members)
        apart.word = next(word for i in range(len(text)) if (word := f"<{i}>") not in text)
        members = {**apart.put_in(members), "between": apart.word}
    return dumps(members, indent=1).encode()


def _turn(turn: Turn, conversation: Conversation) -> Object:
    made: Object = {"id": turn.id, "parent": turn.parent.id if turn.parent else None}
    if turn.is_partial:
        made["outcome"] = turn.outcome
    made["contents"] = [content.json_object for content in turn.contents]
    record = conversation.records.get(turn.id)
    return {**made, "record": record} if record else made


def _try(one: Try) -> Object:
    entry = one.entry
    members: Object = {
        "place": one.place,
        "parent": entry.parent.id if entry.parent else None,
        "outcome": "interrupted" if entry.outcome == "open" else entry.outcome,
        **tried(entry),
        "record": known_of(entry),
    }
    return {name: value for name, value in members.items() if value not in (None, {})}


class _Apart:
    """Keeps the halves of what is no pair apart, by a word between them."""

    def __init__(self, word: str) -> None:
        self.word = word

    def is_needed(self, value: Any) -> bool:
        if isinstance(value, str):
            return _HALVES.search(value) is not None
        if isinstance(value, dict):
            return any(self.is_needed(k) or self.is_needed(v) for k, v in value.items())
        return isinstance(value, list) and any(self.is_needed(member) for member in value)

    def put_in(self, value: Any) -> Any:
        return _mapped(value, lambda text: _HALVES.sub(rf"\1{self.word}\2", text))

    def take_out(self, value: Any) -> Any:
        return _mapped(value, lambda text: text.replace(self.word, ""))


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(k): _mapped(v, change) for k, v in value.items()}
    return [_mapped(member, change) for member in value] if isinstance(value, list) else value


# -- reading -------------------------------------------------------------------------------


def read(source: Source, report: Report) -> list[Conversation]:
    """Return the conversation; every turn that says what its identity is of keeps it."""
    members = an_object(source.value, "$")
    version = members.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise InvalidContent(
            "$.version", version, f"at most {VERSION}; a later multiturn wrote this: upgrade"
        )
    word = members.get("between")
    if word:
        members = _Apart(a_text(word, "$.between")).take_out(members)
    turns: dict[str, Turn] = {}
    records: dict[str, Object] = {}
    for i, given in enumerate(a_list(members.get("turns", []), "$.turns")):
        place = f"$.turns[{i}]"
        turn = _read_turn(an_object(given, place), place, turns, report)
        turns[given["id"]] = turn
        if given.get("record") is not None:
            records[turn.id] = given["record"]
    system = members.get("system_instruction")
    left = enumerate(a_list(members.get("redo", []), "$.redo"))
    return [
        Conversation(
            tuple(turns.values()),
            _found(members.get("head"), turns, "$.head"),
            tuple(one for i, t in left if (one := _found(t, turns, f"$.redo[{i}]"))),
            _read_tries(a_list(members.get("tries", []), "$.tries"), turns),
            None if system is None else content_from(system, "$.system_instruction"),
            a_text(members.get("model", ""), "$.model"),
            a_text(members.get("name", ""), "$.name"),
            records,
        )
    ]


def content_from(given: Any, place: str) -> Content:
    """Return a content as it stands in JSON, whatever a server put into it."""
    object_ = an_object(given, place)
    a_text(object_.get("role", ""), f"{place}.role")
    for i, part in enumerate(a_list(object_.get("parts", []), f"{place}.parts")):
        an_object(part, f"{place}.parts[{i}]")
        if part.get("text") is not None:
            a_text(part["text"], f"{place}.parts[{i}].text")
        for name in part.keys() & _NESTED:
            if part[name] is not None:
                an_object(part[name], f"{place}.parts[{i}].{name}")
    return Content.view(object_).frozen()


def _contents(given: Any, place: str) -> list[Content]:
    listed = a_list(given, place)
    if not listed:
        raise InvalidContent(place, listed, "at least one content")
    return [content_from(one, f"{place}[{i}]") for i, one in enumerate(listed)]


def _read_turn(given: Object, place: str, turns: dict[str, Turn], report: Report) -> Turn:
    identity: str | None = a_text(given.get("id"), f"{place}.id")
    if not identity or identity in turns:
        raise InvalidContent(f"{place}.id", identity, "an identity that no other turn has")
    parent = _found(given.get("parent"), turns, f"{place}.parent")
    contents = _contents(given.get("contents"), f"{place}.contents")
    outcome, told = _outcome(given.get("outcome", "answered"), place), given.get("record")
    if told is not None:
        an_object(told, f"{place}.record")
    if not _is_hash(identity, given):
        report.lose(f"{place}.id", "not the hash of what the turn says; it gets a new identity")
        identity = None
    elif parent is not None and parent.id != given["parent"]:
        identity = None  # the hash is of the turn before it too
    return Turn(parent, contents, identity, outcome, told)


def _is_hash(identity: str, given: Object) -> bool:
    """Whether a turn of a store says what its identity is the hash of; True of any other."""
    record, parent = given.get("record") or {}, given.get("parent")
    if "attempt" not in record or not all(map(_HASH.fullmatch, (identity, parent or identity))):
        return True
    return identity == turn_id(parent, recorded({"contents": given["contents"], **record}).body)


def _outcome(outcome: Any, place: str) -> Outcome:
    if outcome not in get_args(Outcome):
        raise InvalidContent(f"{place}.outcome", outcome, " or ".join(get_args(Outcome)))
    return outcome  # type: ignore[no-any-return]


def _found(turn_id: Any, turns: dict[str, Turn], place: str) -> Turn | None:
    if turn_id is None:
        return None
    turn = turns.get(turn_id) if isinstance(turn_id, str) else None
    if turn is None:
        raise InvalidContent(place, turn_id, "the id of a turn that stands before")
    return turn


def _read_tries(given: list[Any], turns: dict[str, Turn]) -> tuple[Try, ...]:
    tries: list[Try] = []
    numbers = {turn.id: number for number, turn in enumerate(turns.values(), 1)}
    for i, one in enumerate(given):
        path = f"$.tries[{i}]"
        members = an_object(one, path)
        error, received = members.get("error"), members.get("received")
        place, told = members.get("place", len(turns)), members.get("record")
        if type(place) is not int or not 0 <= place <= len(turns):
            raise InvalidContent(f"{path}.place", place, f"a number of turns up to {len(turns)}")
        parent = _found(members.get("parent"), turns, f"{path}.parent")
        if parent is not None and place < numbers[parent.id]:
            raise InvalidContent(f"{path}.place", place, "a place behind the turn that it follows")
        entry = JournalEntry(
            *_contents(members.get("contents"), f"{path}.contents"),
            parent=parent,
            outcome=_outcome(members.get("outcome"), path),
            error=None if error is None else BackendError(a_text(error, f"{path}.error")),
            received=None if received is None else an_object(received, f"{path}.received"),
            results=_results(an_object(members.get("results", {}), f"{path}.results"), path),
            told=None if told is None else an_object(told, f"{path}.record"),
        )
        tries.append(Try(entry, place))
    return tuple(sorted(tries, key=lambda one: one.place))


def _results(given: Object, path: str) -> dict[int, Object | None]:
    results: dict[int, Object | None] = {}
    for index, part in given.items():
        place = f"{path}.results.{index}"
        if not index.isdecimal():
            raise InvalidContent(place, index, "the number of a call")
        results[int(index)] = None if part is None else an_object(part, place)
    return results
