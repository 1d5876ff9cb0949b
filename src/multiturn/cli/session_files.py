"""``multiturn sessions export`` and ``import``: conversations out of the store, and into it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.cli.conversation import turns_in_words
from multiturn.cli.place import Place
from multiturn.cli.visible import one_line, visible
from multiturn.errors import InvalidContent, UnknownName, UsageError

if TYPE_CHECKING:
    from multiturn.export import Conversation, Lost

# By the ending of the file, if no format is named.
_ENDINGS = {".md": "markdown", ".jsonl": "jsonl"}
_DEFAULT = "multiturn"
_A_DATABASE = "llm"
_MOST_LINES = 10


def export_session(
    place: Place, name: str, format: str | None, file: Path | None, *, overwrite: bool
) -> None:
    """Write a conversation to a file, or to standard output, and tell what is lost.

    Raises:
        UnknownName: There is no such session, or no such format.
        UsageError: The file exists, or the output cannot be shown.
    """
    from multiturn.export import export
    from multiturn.export.writing import require_room

    place.state(name)
    if format is None:
        format = _ENDINGS.get(file.suffix.lower(), _DEFAULT) if file else _DEFAULT
    if file is not None:
        file = file.expanduser()
        may_exist = overwrite or format == _A_DATABASE
        require_room(file, overwrite=may_exist, advice="add --overwrite")
    elif format == _A_DATABASE and sys.stdout.isatty():
        raise UsageError(f"the format {format} is a database; say where, as: -o logs.db")
    written = export(_whole(place, name), format, file, overwrite=overwrite)
    if file is not None:
        print(visible(f"wrote {name} to {file}, as {format}"))
    elif sys.stdout.isatty():
        print(visible(written.text.rstrip("\n")))
    else:
        sys.stdout.buffer.write(written.data)
    _tell_lost(f"not in {format}", written.lost)


def import_sessions(
    place: Place, file: str, format: str | None, title: str | None, new_name: str | None
) -> None:
    """Put the conversations in a file into the store, and tell what is lost.

    Args:
        place: Where the store is.
        file: A path, or ``-`` for standard input.
        format: None finds it.
        title: Which conversation; None takes all of them.
        new_name: What it is to be called; None takes its name or title.

    Raises:
        UsageError: The file cannot be read, holds no such conversation, or several when
            one name was given.
        InvalidContent: It cannot be read as a conversation, or nothing was said in it.
        SessionExists: ``new_name`` is taken.
    """
    from multiturn.export import NAMES, read
    from multiturn.export.restoring import restore

    source = _piped() if file == "-" else _readable(Path(file).expanduser())
    try:
        found = _chosen(read(source, format=format), title)
    except InvalidContent as error:
        if error.path != "source":
            raise
        raise UsageError(
            f"{file} is no conversation in any of the formats {', '.join(NAMES)}; if it is one "
            "of them, --format says what is wrong with it"
        ) from error
    if not any(one.turns or one.tries for one in found):
        raise InvalidContent("the source", file, "a conversation in which something was said")
    if new_name is not None and len(found) > 1:
        raise UsageError(
            f"there are {len(found)} conversations in {file}, so that one name does not do; "
            f"choose one with --conversation: {_titles(found)}"
        )
    stem = "imported" if file == "-" else Path(file).stem
    for one in found:
        name = new_name if new_name is not None else _free(one.title or stem, place.names())
        restore(one, place.store(), name)
        print(visible(f"{name}: {turns_in_words(len(one.turns))}"))
        _tell_lost(f"not in {name}", one.lost)
        if one.system_instruction is not None:
            said = one_line(one.system_instruction.text)
            _tell(f"what the model was told first is not kept; give it again: --system “{said}”")


def _whole(place: Place, name: str) -> Conversation:
    """Return all that a session holds, with the model that answered last."""
    from multiturn.export.conversation import conversation_of
    from multiturn.model import GenerativeModel

    chat = GenerativeModel().start_chat(session=name, store=place.store())
    whole = conversation_of(chat)
    record = whole.records.get(whole.head.id, {}) if whole.head else {}
    rounds = record.get("rounds") or [{}]
    return whole._replace(model=rounds[-1].get("model", ""))


def _readable(file: Path) -> Path:
    if not file.is_file():
        state = "is no file" if file.exists() else "does not exist"
        raise UsageError(f"{file} {state}; give what multiturn sessions export wrote, or the like")
    return file


def _piped() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped in; give the name of a file")
    return sys.stdin.buffer.read()


def _chosen(found: Sequence[Conversation], title: str | None) -> list[Conversation]:
    if title is None:
        if not found:
            raise UsageError("there is no conversation in it")
        return [*found]
    chosen = [one for one in found if one.title == title]
    if not chosen:
        raise UnknownName("conversation", title, [one.title for one in found])
    return chosen


def _titles(found: Sequence[Conversation]) -> str:
    shown = [repr(one_line(one.title, 40)) for one in found[:_MOST_LINES]]
    return ", ".join(shown) + (", …" if len(found) > _MOST_LINES else "")


def _free(wanted: str, taken: Collection[str]) -> str:
    """Return a name that no session has."""
    wanted, number = one_line(wanted, 100), 1
    while (name := wanted if number == 1 else f"{wanted} ({number})") in taken:
        number += 1
    return name


def _tell_lost(what: str, lost: Sequence[Lost]) -> None:
    for one in lost[:_MOST_LINES]:
        _tell(f"{what}: {one}")
    if len(lost) > _MOST_LINES:
        _tell(f"{what}: {len(lost) - _MOST_LINES} things more")


def _tell(text: str) -> None:
    print(f"multiturn: {visible(text)}", file=sys.stderr)
