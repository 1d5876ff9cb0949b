"""What an export has lost: found by reading it back, not by each format's own account.

Contents are matched part by part, in order.  A content is carried if all its parts came
back, unchanged, as one content of the same role; of any other it is said what became of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from multiturn.errors import shown
from multiturn.export.conversation import Conversation
from multiturn.export.report import Lost
from multiturn.history import turns_of
from multiturn.messages.content import Content
from multiturn.messages.message import Object

# How far a part is searched among those that came back, when some are missing between.
_WINDOW = 12


class _Piece(NamedTuple):
    """One part, or a content that has none; ``number`` is its content's, ``n`` its own."""

    number: int
    n: int
    role: str
    part: Object | None

    @property
    def place(self) -> str:
        return f"$.history[{self.number}].parts[{self.n}]"


def lost_between(before: Conversation, after: Conversation) -> Iterator[Lost]:
    """Give what was in a conversation and is not in what was read back."""
    yield from _lost_contents(before.history, after.history)
    old, new = before.system_instruction, after.system_instruction
    if old is not None and (new is None or _parts(old) != _parts(new)):
        now = "no place for it" if new is None else f"comes back as {shown(new.text)}"
        yield Lost("$.system_instruction", now)
    aside = len(before.turns) - len(turns_of(before.head))
    if aside and len(after.turns) != len(before.turns):
        yield Lost("$.tree", f"{aside} turn(s) off the line to the head")
    marked = Counter(turn.outcome for turn in after.turns)
    for n, turn in enumerate(before.turns):
        if turn.is_partial and not marked[turn.outcome]:
            yield Lost(f"$.turns[{n}].outcome", f"{turn.outcome}: not marked as unfinished")
        marked[turn.outcome] -= marked[turn.outcome] > 0
    if len(before.tries) != len(after.tries):
        yield Lost("$.journal", f"{len(before.tries)} tries that became no turn")


def _parts(content: Content) -> list[Any]:
    return content.json_object.get("parts") or []


def _lost_contents(before: Sequence[Content], after: Sequence[Content]) -> Iterator[Lost]:
    old, new = _pieces(before), _pieces(after)
    counterparts: dict[int, list[_Piece]] = {}  # by index of content
    changed: set[int] = set()
    for piece, found in _matched(old, new):
        if found is None:
            changed.add(piece.number)
            yield _left_out(piece)
            continue
        counterparts.setdefault(piece.number, []).append(found)
        differing = list(_differences(piece, found))
        changed |= {piece.number} if differing else set()
        yield from differing
    added = len(after) - len({piece.number for found in counterparts.values() for piece in found})
    if added:
        yield Lost("$.history", f"comes back with {added} content(s) that were not said")
    sizes: dict[int, int] = {}
    for piece in new:
        sizes[piece.number] = sizes.get(piece.number, 0) + 1
    for index, content in enumerate(before):
        found_pieces = counterparts.get(index, [])
        places = {piece.number for piece in found_pieces}
        if len(places) > 1:
            yield Lost(f"$.history[{index}]", "comes back as several contents")
        elif places and sizes[next(iter(places))] != len(found_pieces):
            yield Lost(f"$.history[{index}]", "comes back in one content with what stands beside")
        elif places and index not in changed:
            yield from _members(content, after[next(iter(places))], f"$.history[{index}]")


def _pieces(contents: Sequence[Content]) -> list[_Piece]:
    pieces = []
    for index, content in enumerate(contents):
        role = "model" if content.role == "model" else "user"
        parts = content.json_object.get("parts") or [None]
        pieces += [_Piece(index, n, role, part) for n, part in enumerate(parts)]
    return pieces


def _matched(
    old: Sequence[_Piece], new: Sequence[_Piece]
) -> Iterator[tuple[_Piece, _Piece | None]]:
    """Give each part with the one that it came back as, in order; None if it did not."""
    at = 0
    for i, piece in enumerate(old):
        near = new[at : at + _WINDOW]
        step = next((n for n, found in enumerate(near) if _is_same(piece, found)), None)
        if step is None and near:
            # Whatever stands here instead, unless a later one has come back as this.
            is_taken = any(_is_same(later, near[0]) for later in old[i + 1 : i + _WINDOW])
            step = None if is_taken or near[0].role != piece.role else 0
        if step is None:
            yield piece, None
        else:
            yield piece, near[step]
            at += step + 1


def _is_same(piece: _Piece, found: _Piece) -> bool:
    """Whether two parts say the same, whatever stands beside it."""
    if piece.role != found.role or _kind(piece.part) != _kind(found.part):
        return False
    if piece.part is None or found.part is None:
        return piece.part is found.part
    kind = _kind(piece.part)
    one, other = piece.part.get(kind), found.part.get(kind)
    if isinstance(one, dict) and isinstance(other, dict) and kind.startswith("function"):
        return bool(one.get("name") == other.get("name"))
    return bool(one == other)


def _kind(part: Object | None) -> str:
    """Return the member that says what a part is."""
    if part is None:
        return ""
    if "text" in part:
        return "text"
    return next((name for name in part if not name.startswith("thought")), "")


def _left_out(piece: _Piece) -> Lost:
    if piece.part is None:
        return Lost(f"$.history[{piece.number}]", "a content without parts: left out")
    thought = "a thought" if piece.part.get("thought") else _kind(piece.part) or "the part"
    return Lost(piece.place, f"{thought}: left out")


def _differences(piece: _Piece, found: _Piece) -> Iterator[Lost]:
    if piece.part is None or found.part is None:
        if piece.part is not found.part:
            yield Lost(piece.place, f"comes back as {_short(found.part or {})}")
        return
    if _kind(piece.part) != _kind(found.part):
        yield Lost(piece.place, f"{_kind(piece.part)}: comes back as {_short(found.part)}")
        return
    for name in {**piece.part, **found.part}:
        if name not in found.part:
            yield Lost(f"{piece.place}.{name}", "left out")
        elif piece.part.get(name, ...) != found.part[name]:
            yield Lost(f"{piece.place}.{name}", f"comes back as {_short(found.part[name])}")


def _members(content: Content, found: Content, place: str) -> Iterator[Lost]:
    """Give what stood beside the parts of a content and does not any more."""
    old, new = content.json_object, found.json_object
    for name in {**old, **new}:
        if name != "parts" and old.get(name) != new.get(name):
            now = f"comes back as {new[name]!r}" if name in new else "left out"
            yield Lost(f"{place}.{name}", now)
    if "parts" not in old and new.get("parts") is not None:
        yield Lost(place, "comes back with an empty list of parts")


def _short(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        value = value["text"]
    return shown(value)
