"""The turns of a session as a tree: what was said, and what might have been."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from multiturn.errors import InvalidContent, NoSuchTurn
from multiturn.history import Turn, turns_of

if TYPE_CHECKING:
    from multiturn.chat import ChatSession

_SHOWN_CHARACTERS = 50
# A beginning of an identity that is shorter may soon be that of another turn too.
LEAST_DIGITS = 8


class Tree:
    """All turns of a session; ``print(chat.tree)`` draws them.

    Attributes:
        turns: Every turn once, each after the one it follows.
        head: The turn that the session points at, None before the first.
    """

    def __init__(self, turns: Iterable[Turn], head: Turn | None) -> None:
        found: dict[str, Turn] = {}
        for turn in turns:
            if turn.id not in found:
                found.update((t.id, t) for t in _unknown(turn, found))
        self.turns, self.head = tuple(found.values()), head
        self._children: dict[str | None, list[Turn]] = {}
        for turn in self.turns:
            self._children.setdefault(turn.parent.id if turn.parent else None, []).append(turn)

    @property
    def roots(self) -> tuple[Turn, ...]:
        """The turns that follow none."""
        return tuple(self._children.get(None, ()))

    def children(self, turn: Turn) -> tuple[Turn, ...]:
        """Return the turns that follow a turn, oldest first."""
        return tuple(self._children.get(turn.id, ()))

    def find(self, turn: Turn | str) -> Turn:
        """Return a turn of the tree: that one, or the only one whose id begins so.

        Raises:
            NoSuchTurn: There is none, or there are several.
            InvalidContent: It is no turn, and has less than 8 digits.
        """
        digits = turn.id if isinstance(turn, Turn) else turn
        if not isinstance(digits, str) or len(digits) < LEAST_DIGITS:
            expected = f"a turn of chat.tree, its id, or at least {LEAST_DIGITS} digits of that"
            raise InvalidContent("turn", turn, expected)
        found = [one for one in self if one.id.startswith(digits.lower())]
        if len(found) != 1:
            what = f"{len(found)} turns begin with" if found else "the tree has no turn"
            told = f"{what} {digits[:64]!r}; print(chat.tree) shows all"
            raise NoSuchTurn(told, count_of(self.head))
        return found[0]

    def __len__(self) -> int:
        return len(self.turns)

    def __iter__(self) -> Iterator[Turn]:
        return iter(self.turns)

    def __str__(self) -> str:
        line = {turn.id for turn in turns_of(self.head)}
        shown, last = [], self.head.id if self.head else ""
        waiting = [(turn, 0) for turn in reversed(self.roots)]
        while waiting:
            turn, indent = waiting.pop()
            text = " ".join(turn.contents[0].text.split())[:_SHOWN_CHARACTERS]
            text = "(damaged)" if turn.outcome == "damaged" else text
            mark = "*" if turn.id == last else "|" if turn.id in line else "-"
            shown.append(f"{'  ' * indent}{mark} {turn.id[:8]} {text}")
            children = self.children(turn)
            # The line to the head stays where it is; what branches off is moved in.
            ordered = sorted(children, key=lambda child: child.id in line)
            deeper = [child for child in ordered if child is not ordered[-1]]
            waiting.append((ordered[-1], indent)) if ordered else None
            waiting.extend((child, indent + 1) for child in reversed(deeper))
        return "\n".join(shown)

    def __repr__(self) -> str:
        return f"<Tree of {len(self)} turns>"


def tree_of(chat: ChatSession) -> Tree:
    """Return the tree of a conversation; that its caller sees it is not noted."""
    if chat._stored is not None:
        turns, head = chat._stored.tree(), chat._now
        # Known anew, where another process has erased something before it.
        return Tree(turns, chat._stored.turn(head.id) if head else None)
    head = chat._head
    return Tree([*chat._ends.values(), *turns_of(head)], head)


def count_of(head: Turn | None) -> int:
    """Return how many turns there are up to one, itself included."""
    return head.number + 1 if head else 0


def _unknown(turn: Turn, known: dict[str, Turn]) -> list[Turn]:
    """Return a turn and those before it that are not known yet, oldest first."""
    found: list[Turn] = []
    step: Turn | None = turn
    while step is not None and step.id not in known:
        found.append(step)
        step = step.parent
    return found[::-1]
