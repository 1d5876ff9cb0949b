"""``multiturn sessions list``, ``show``, ``tree`` and ``search``: looks at what is kept."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from multiturn.cli.conversation import turns_in_words
from multiturn.cli.in_flight import how_to_go_on, in_flight
from multiturn.cli.moments import ago, at
from multiturn.cli.place import Place
from multiturn.cli.show import printer
from multiturn.cli.transcript import transcript
from multiturn.cli.visible import one_line, visible
from multiturn.errors import InvalidContent, NoSuchTurn, UsageError
from multiturn.history import Turn, turns_of
from multiturn.messages.content import Content
from multiturn.tree import LEAST_DIGITS, Tree

if TYPE_CHECKING:
    from multiturn.stored_session import StoredSession
    from multiturn.stores.protocol import Found, Store

# Where nobody sees how wide it is.
_PIPE_COLUMNS = 120
_LEAST_WORDS = 20
_UNFINISHED = "(unfinished) "


class Row(NamedTuple):
    """A session in a list.

    Attributes:
        name: What it is called.
        turns: How many it has.
        changed_at: In seconds since 1970.
        begins: The first words said in it.
        unfinished: Whether a turn of it waits: its process ended, or a person must approve.
    """

    name: str
    turns: int
    changed_at: float
    begins: str
    unfinished: bool = False


def show_list(place: Place, prefix: str, *, as_json: bool) -> None:
    """Print the sessions, the one changed last at the top."""
    rows = listed(place, prefix)
    if as_json:
        _print_json([{**row._asdict(), "changed_at": at(row.changed_at)} for row in rows])
        return
    if not rows:
        what = f"with names that begin with {prefix!r} " if prefix else ""
        _tell(
            f"no conversations {what}are kept in {place}; begin one: multiturn chat --session NAME"
        )
    for line in table(rows, _columns()):
        print(line)


def listed(place: Place, prefix: str = "") -> list[Row]:
    """Return the sessions whose names begin so, the one changed last first."""
    if not place.exists:
        return []
    from multiturn.stored_pending import last_attempt
    from multiturn.stored_session import StoredSession

    store, rows = place.store(), []
    for state in store.sessions(prefix):
        waits = last_attempt(StoredSession(store, state, {})) is not None
        begins = _begins(store, state.head)
        rows.append(Row(state.name, state.turns, state.changed_at, begins, waits))
    return sorted(rows, key=lambda row: row.changed_at, reverse=True)


def _begins(store: Store, head: str | None) -> str:
    """Return the first words of the conversation that ends with a turn."""
    from multiturn.stores.verify import said_in

    kept = [turn for turn in store.line(head) if not turn.is_erased] if head else []
    if not kept:
        return ""
    for said in said_in(kept[-1:], store.blobs).values():
        return one_line(Content.view(said["contents"][0], frozen=True).text)
    return "(damaged)"


def table(rows: list[Row], columns: int, here: str = "") -> list[str]:
    """Return the lines that show sessions; the one of this name is marked."""
    if not rows:
        return []
    cells = [(visible(r.name), turns_in_words(r.turns), ago(r.changed_at)) for r in rows]
    widths = [max(len(cell[i]) for cell in cells) for i in range(3)]
    room = max(_LEAST_WORDS, columns - sum(widths) - (8 if here else 6))
    lines = []
    for row, cell in zip(rows, cells, strict=True):
        mark = "" if not here else "* " if row.name == here else "  "
        name, turns, changed = (f"{text:{width}}" for text, width in zip(cell, widths, strict=True))
        begins = one_line(f"{_UNFINISHED if row.unfinished else ''}{row.begins}", room)
        lines.append(f"{mark}{name}  {turns}  {changed}  {begins}".rstrip())
    return lines


def show_session(place: Place, name: str, *, as_json: bool) -> None:
    """Print a conversation: as Markdown in a terminal, else as it is written."""
    state = place.state(name)
    session = stored(place, name)
    turns, pending = turns_of(session.head()), session.pending()
    if as_json:
        damaged = [turn.id for turn in turns if turn.outcome == "damaged"]
        sound = [turn for turn in turns if turn.id not in damaged]
        history = [content.json_object for turn in sound for content in turn.contents]
        head = {"name": name, "turns": len(turns), "changed_at": at(state.changed_at)}
        head |= {"damaged": damaged} if damaged else {}
        _print_json({**head, "unfinished": pending is not None, "history": history})
        return
    shown = printer(markdown=True)
    shown.add(transcript(name, turns))
    shown.close()
    if pending is not None:
        _tell(in_flight(pending))
        _tell(how_to_go_on(name))


def show_tree(place: Place, name: str) -> None:
    """Print all turns of a session, those too that were rewound, edited or retried."""
    place.state(name)
    print(visible(str(_tree(place, name))) or "nothing has been said yet")


def _tree(place: Place, name: str) -> Tree:
    session = stored(place, name)
    return Tree(session.tree(), session.head())


def turn_of(place: Place, name: str, digits: str) -> Turn:
    """Return the turn of a session whose identity begins so.

    Raises:
        UsageError: There is none, or there are several.
    """
    place.state(name, likeness=0.8)
    try:
        return _tree(place, name).find(digits)
    except (NoSuchTurn, InvalidContent):
        raise UsageError(
            f"not one turn of {name} is {digits[:64]!r}; give at least {LEAST_DIGITS} digits, "
            f"as multiturn sessions tree {name}{place.option} shows them"
        ) from None


def search(place: Place, words: str, prefix: str, limit: int, *, as_json: bool) -> None:
    """Print the messages in which all words occur, newest first."""
    if not words.strip():
        raise UsageError("say which words to search for, as in: multiturn sessions search blue")
    found = place.store().search(words, prefix, limit + 1) if place.exists else []
    has_more, found = len(found) > limit, found[:limit]
    if as_json:
        _print_json([{**hit._asdict(), "at": at(hit.at) if hit.at else None} for hit in found])
        return
    if not found:
        _tell(f"nothing that was said in {place} holds all of: {words}")
    for hit in found:
        who = "Model" if hit.role == "model" else "You"
        when = f", {ago(hit.at)}" if hit.at else ""
        print(visible(f"{hit.session}: {who}{when}"))
        print(f"  {_with_hits(hit)}")
    if has_more:
        _tell(f"there are more; --limit {2 * limit} shows up to {2 * limit}")


def stored(place: Place, name: str) -> StoredSession:
    """Return a session to read, without a model."""
    from multiturn.stored_session import StoredSession

    return StoredSession(place.store(), place.state(name), {})


def _with_hits(hit: Found) -> str:
    """Return an excerpt, in a terminal with what was found in bold."""
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    shown, end = [], 0
    for start, stop in hit.hits:
        shown += [visible(hit.excerpt[end:start]), bold, visible(hit.excerpt[start:stop]), plain]
        end = stop
    return "".join((*shown, visible(hit.excerpt[end:])))


def _columns() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_COLUMNS


def _print_json(value: Any) -> None:
    # ASCII: escapes carry what an output cannot, lone surrogates too.
    print(json.dumps(value, indent=2))


def _tell(text: str) -> None:
    print(f"multiturn: {visible(text)}", file=sys.stderr)
