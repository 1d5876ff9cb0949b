"""What was said: a tree of immutable turns, of which a session points at one.

A turn knows its parent, so that rewinding is reading one attribute and forking is
copying one reference.  The contents along a branch also lie, in order, in a list that
its turns share, together with their encoded bytes: what was said once is encoded once,
and a request costs no more than one copy of memory however long the conversation is.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    overload,
)

from multiturn.messages.content import Content
from multiturn.messages.message import Object

if TYPE_CHECKING:
    from multiturn.provenance import Provenance

# How a turn ended, as told in ``JournalEntry``.
Outcome: TypeAlias = Literal[
    "open", "answered", "failed", "blocked", "stopped", "paused", "cancelled", "abandoned",
    "interrupted", "damaged",
]  # fmt: skip
# What is known of a turn beside its contents: rounds, as they were or written down in an
# object, or what reads such an object.
Told: TypeAlias = "tuple[Any, ...] | Object | Callable[[], Object | None] | None"
S = TypeVar("S")
_Ahead: TypeAlias = "tuple[int, Sequence[Content], Sequence[bytes], Sequence[S]]"
_NOTHING_AHEAD: _Ahead[Any] = 0, (), (), ()

# A request with fewer bytes is sent as one copy.
_COPIED_BYTES = 32_768

_branches: weakref.WeakSet[Branch] = weakref.WeakSet()


class Fold(Protocol[S]):
    """An encoding in which a content's bytes depend on what was said before it.

    Pure, hashable, and equal to every other fold that gives the same bytes.
    """

    @property
    def start(self) -> S:
        """The state before the first content; states never change."""
        ...

    def step(self, state: S, content: Content, index: int) -> tuple[bytes, S]:
        """Return what a content adds to the bytes so far, and the state behind it.

        Args:
            state: The state before the content.
            content: Frozen.
            index: How many contents precede it.
        """
        ...


class _Folded(Generic[S]):
    """What a branch keeps of one fold.

    Attributes:
        buffer: The bytes of all contents so far.
        ends: Where each content ends in it.
        states: The state behind each content.
        ahead: What was sent behind them, from which index on, and what each gave: most
            often it becomes the next turn, and is not encoded again.
    """

    __slots__ = ("ahead", "buffer", "ends", "states")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ends: list[int] = []
        self.states: list[S] = []
        self.ahead: _Ahead[S] = _NOTHING_AHEAD


class Branch:
    """The contents along one branch, oldest first; grows at its end only."""

    __slots__ = ("__weakref__", "contents", "folds", "free_ends", "lock")

    def __init__(self, contents: Iterable[Content] = ()) -> None:
        self.contents = list(contents)
        # Where it may grow: its end, and nothing while a turn is put there.
        self.free_ends = {len(self.contents)}
        self.folds: dict[Fold[Any], _Folded[Any]] = {}
        self.lock = threading.Lock()
        _branches.add(self)


class Turn:
    """Everything from a user's message to the answer that ends it; never changes.

    Attributes:
        parent: The turn before, None for the first.
        contents: The user's message, calls and results if there were any, the answer;
            frozen, oldest first, at least one.
        id: Hexadecimal digits: 64 if it is stored, the hash of all that it says and of
            the turn before; else 32, random.
        number: How many turns precede it on its branch.
        outcome: "answered"; or how a turn ended that was kept unfinished; "damaged" if it is
            not what was stored, and has one content without parts.
        damaged: The damaged one of the turns up to here, the first if there are several, None
            if there is none; where there is one, nobody is sent what was said.
        told: What is recorded of it beside its contents, or what reads that; None if
            nothing is.
    """

    __slots__ = (
        "_branch", "_end", "contents", "damaged", "id", "number", "outcome", "parent", "told",
    )  # fmt: skip

    def __init__(
        self,
        parent: Turn | None,
        contents: Sequence[Content],
        turn_id: str | None = None,
        outcome: Outcome = "answered",
        told: Told = None,
    ) -> None:
        self.parent = parent
        self.contents = tuple([content.frozen() for content in contents])
        self.id = turn_id or os.urandom(16).hex()
        self.number: int = parent.number + 1 if parent else 0
        self.outcome: Outcome = outcome
        self.told: Told = told
        self.damaged: Turn | None = parent.damaged if parent else None
        if outcome == "damaged" and self.damaged is None:
            self.damaged = self
        self._branch, self._end = _grow(parent, self.contents)

    @property
    def is_partial(self) -> bool:
        """Whether the answer is only what had arrived of it when the turn broke off."""
        return self.outcome != "answered"

    @property
    def about(self) -> Provenance | None:
        """Who answered, how fast and at what cost; None if nobody was asked for it.

        Of a stored turn it is read when it is looked at.
        """
        from multiturn.provenance import provenance_of

        return provenance_of(self.told, self.outcome)

    @property
    def path(self) -> Path:
        """All contents from the first turn to this one; raises TurnDamaged if one is damaged."""
        return path_of(self)

    def __repr__(self) -> str:
        first = self.contents[0].text
        mark = f" {self.outcome}" if self.is_partial else ""
        return f"<Turn {self.number} {self.id[:8]}{mark} {first[:40]!r}>"


def _grow(parent: Turn | None, contents: tuple[Content, ...]) -> tuple[Branch, int]:
    """Put contents behind the parent's: on its branch if that ends there, else on a new one."""
    if parent is None:
        return Branch(contents), len(contents)
    branch, end = parent._branch, parent._end
    try:
        # Without the lock: the collector may add a turn while this thread holds it.
        branch.free_ends.remove(end)
    except KeyError:
        return Branch((*branch.contents[:end], *contents)), end + len(contents)
    branch.contents.extend(contents)
    end += len(contents)
    branch.free_ends.add(end)
    return branch, end


class Path(Sequence[Content]):
    """The contents that a request sends: a branch up to some turn, then new ones."""

    __slots__ = ("_branch", "_end", "_more")

    def __init__(self, branch: Branch, end: int, more: tuple[Content, ...] = ()) -> None:
        self._branch, self._end, self._more = branch, end, more

    @property
    def more(self) -> tuple[Content, ...]:
        """The contents behind the branch: those of the turn under way."""
        return self._more

    def plus(self, *contents: Content) -> Path:
        """Return this path with contents behind it; they are not copied."""
        return Path(self._branch, self._end, (*self._more, *contents))

    def folded(self, fold: Fold[S]) -> tuple[list[bytes | memoryview], S]:
        """Return what a fold makes of all contents, in pieces, and the state behind them.

        A long piece is no copy: as long as it is held, whoever goes on with the branch
        works on one.

        Args:
            fold: Steps once over each content of a branch, ever.
        """
        end = self._end
        if not end:
            pieces, states = _stepped(fold, fold.start, self._more, 0)
            return [*pieces], states[-1] if states else fold.start
        with self._branch.lock:
            known = self._grown(fold)
            size = known.ends[end - 1]
            whole = memoryview(known.buffer)[:size]
            said = whole if size > _COPIED_BYTES else whole.tobytes()
            pieces, states = _stepped(fold, known.states[end - 1], self._more, end, known.ahead)
            if len(known.ends) == end:
                known.ahead = end, self._more, pieces, states
        return [said, *pieces], states[-1] if states else known.states[end - 1]

    def _grown(self, fold: Fold[S]) -> _Folded[S]:
        """Return what the branch keeps of a fold, up to here; the caller holds its lock."""
        branch = self._branch
        known: _Folded[S] | None = branch.folds.get(fold)
        if known is None:
            known = branch.folds[fold] = _Folded()
        index, ends, states = len(known.ends), known.ends, known.states
        if index >= self._end:
            return known
        del states[index:]  # what an interrupted call left
        state = states[-1] if states else fold.start
        size = ends[-1] if ends else 0
        pieces, behind = _stepped(
            fold, state, branch.contents[index : self._end], index, known.ahead
        )
        known.buffer = _longer(known.buffer, size, b"".join(pieces))
        states += behind
        for piece in pieces:
            size += len(piece)
            ends.append(size)
        return known

    @overload
    def __getitem__(self, index: int) -> Content: ...
    @overload
    def __getitem__(self, index: slice) -> list[Content]: ...
    def __getitem__(self, index: int | slice) -> Content | list[Content]:
        if isinstance(index, slice):
            return list(self)[index]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"content {index} of {len(self)}")
        if position < self._end:
            return self._branch.contents[position]
        return self._more[position - self._end]

    def __len__(self) -> int:
        return self._end + len(self._more)

    def __reduce__(self) -> tuple[Callable[[Iterable[Content]], Path], tuple[list[Content]]]:
        return _loose_path, (list(self),)

    def __iter__(self) -> Iterator[Content]:
        return iter((*self._branch.contents[: self._end], *self._more))


_EMPTY = Path(Branch(), 0)


def _stepped(
    fold: Fold[S],
    state: S,
    contents: Sequence[Content],
    index: int,
    ahead: _Ahead[S] = _NOTHING_AHEAD,
) -> tuple[list[bytes], list[S]]:
    """Return what contents add, and the state behind each; over what was ahead we stepped then."""
    pieces: list[bytes] = []
    states: list[S] = []
    if ahead[0] == index:
        for content, known, piece, behind in zip(contents, *ahead[1:], strict=False):
            if content is not known:
                break
            pieces.append(piece)
            states.append(behind)
    for content in contents[len(pieces) :]:
        piece, state = fold.step(states[-1] if states else state, content, index + len(pieces))
        pieces.append(piece)
        states.append(state)
    return pieces, states


def _longer(buffer: bytearray, size: int, piece: bytes) -> bytearray:
    """Put a piece behind the first bytes of a buffer; one that is being sent stays as it is."""
    try:
        buffer[size:] = piece
    except BufferError:
        return buffer[:size] + piece
    return buffer


def empty_path() -> Path:
    """Return the path of a conversation in which nothing was said."""
    return _EMPTY


def _loose_path(contents: Iterable[Content]) -> Path:
    return empty_path().plus(*(content.frozen() for content in contents))


def path_of(head: Turn | None, more: tuple[Content, ...] = ()) -> Path:
    """Return all contents up to a turn, none for None, and others behind them.

    Raises:
        TurnDamaged: One of the turns is not what was stored.
    """
    if head is not None and head.damaged is not None:
        from multiturn.stores.errors import TurnDamaged

        raise TurnDamaged(head.damaged.id)
    return Path(head._branch, head._end, more) if head else Path(_EMPTY._branch, 0, more)


def turns_of(head: Turn | None) -> list[Turn]:
    """Return the turns from the first to ``head``, oldest first."""
    turns = []
    while head is not None:
        turns.append(head)
        head = head.parent
    return turns[::-1]


def head_from(contents: Iterable[Content], known: Turn | None = None) -> Turn | None:
    """Return the last of the turns that contents make, or None if there are none.

    A turn begins with each content that a user says; results of calls and the model's
    contents belong to the turn before them.

    Args:
        contents: Oldest first.
        known: The last of turns that are taken as they are, from the first on, as far as
            they say the same.
    """
    listed = list(contents)
    head, end = _kept(listed, known)
    group: list[Content] = []
    for content in listed[end:]:
        if group and opens_turn(content):
            head, group = Turn(head, group), []
        group.append(content)
    return Turn(head, group) if group else head


def _kept(contents: list[Content], known: Turn | None) -> tuple[Turn | None, int]:
    """Return the last of the known turns with which contents begin, and where it ends."""
    head, end = None, 0
    for turn in turns_of(known):
        next_end = end + len(turn.contents)
        if tuple(contents[end:next_end]) != turn.contents:
            break
        head, end = turn, next_end
    if head is not None and end < len(contents) and not opens_turn(contents[end]):
        return head.parent, end - len(head.contents)  # what follows belongs to it
    return head, end


def said_and_answered(first: Turn, last: Turn) -> tuple[Content, Content]:
    """Return what a user said in the first turn and a model in the last; empty if they did not."""
    said, answered = first.contents[0], last.contents[-1]
    return (
        said if said.role != "model" else Content(role="user"),
        answered if answered.role == "model" else Content(role="model"),
    )


def opens_turn(content: Content) -> bool:
    """Return whether a content is something a user says, not a result of a call."""
    if content.role in ("model", "function"):
        return False
    parts = content.json_object.get("parts") or []
    return not (parts and all("functionResponse" in part for part in parts))


def _unlock_after_fork() -> None:
    """Free every branch in a forked child: whoever was at work on it stayed in the parent."""
    for branch in list(_branches):
        branch.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_after_fork)
