"""The history as a list: what is changed in it, is changed in the conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeAlias, TypeVar

from multiturn.errors import InvalidContent
from multiturn.history import Turn, head_from, path_of
from multiturn.messages.content import Content
from multiturn.moves import leave, unmoved_head
from multiturn.to_content import strict_to_content

if TYPE_CHECKING:
    from multiturn.chat import ChatSession

T = TypeVar("T")
Said: TypeAlias = "Content | Mapping[str, Any]"


class History(list[Content]):
    """What was said, oldest first, as it was when it was read; its contents are frozen.

    Changing the list changes the conversation, whole or not at all, as setting
    ``chat.history`` does.  What was said since the list was read is there first, as it
    would be in the one list that google-generativeai has.  Slices, copies and pickles are
    plain lists.
    """

    __slots__ = ("_chat",)

    def __init__(self, chat: ChatSession) -> None:
        if chat._stored is not None:
            chat._stored.is_seen = True
        super().__init__(path_of(chat._now))
        self._chat = chat

    def _changed(self, change: Callable[[list[Any]], T]) -> T:
        chat = self._chat
        with chat._gate.held():
            head = unmoved_head(chat)
            contents: list[Any] = list(path_of(head))
            outcome = change(contents)
            put(chat, [_checked(content, i) for i, content in enumerate(contents)], head)
            super().__setitem__(slice(None), path_of(chat._head))
        return outcome

    def append(self, content: Said) -> None:
        """Add a content to the conversation."""
        self._changed(lambda contents: contents.append(content))

    def extend(self, contents: Iterable[Said]) -> None:
        """Add contents to the conversation."""
        given = list(contents)
        self._changed(lambda known: known.extend(given))

    def insert(self, index: SupportsIndex, content: Said) -> None:
        """Put a content before another."""
        self._changed(lambda contents: contents.insert(index, content))

    def pop(self, index: SupportsIndex = -1) -> Content:
        """Take a content out, the last by default, and return it."""
        return self._changed(lambda contents: contents.pop(index))  # type: ignore[no-any-return]

    def remove(self, content: Said) -> None:
        """Take the first content out that equals this one."""
        wanted = strict_to_content(content, path="$.history")
        self._changed(lambda contents: contents.remove(wanted))

    def clear(self) -> None:
        """Begin the conversation anew."""
        self._changed(lambda contents: contents.clear())

    def reverse(self) -> None:
        """Turn the order round."""
        self._changed(lambda contents: contents.reverse())

    def sort(self, *, key: Callable[[Content], Any] | None = None, reverse: bool = False) -> None:
        """Sort the contents by what ``key`` returns of each, as ``list.sort``."""
        if key is None:
            raise InvalidContent("key", key, "a function of a content: contents have no order")
        self._changed(lambda contents: contents.sort(key=key, reverse=reverse))

    def __setitem__(self, index: Any, value: Any) -> None:
        given = list(value) if isinstance(index, slice) else value
        self._changed(lambda contents: contents.__setitem__(index, given))

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        self._changed(lambda contents: contents.__delitem__(index))

    def __iadd__(self, contents: Iterable[Said]) -> Self:  # type: ignore[override,misc]
        self.extend(contents)
        return self

    def __imul__(self, count: SupportsIndex) -> Self:
        self._changed(lambda contents: contents.__imul__(count))
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def put(chat: ChatSession, contents: list[Content], head: Turn | None) -> None:
    """Put contents in the place of a conversation; for whoever holds its gate.

    Turns that stay, from the first on, stay themselves.

    Args:
        chat: Whose they become.
        contents: Oldest first, frozen or copies.
        head: What ``unmoved_head`` returned a moment ago.
    """
    if chat._stored is None:
        if contents[: len(said := path_of(head))] != list(said):
            leave(chat)  # else what was said only grows
        chat._head = head_from(contents, head)
    else:
        del chat._head  # whatever comes of it, it is read anew
        chat._head = chat._stored.replace(contents, head)
    chat._redo, chat._last, chat._arriving, chat._pending = (), None, None, None


def _checked(content: Any, index: int) -> Content:
    """Return a content that may be said; one of a history is taken as it is."""
    if isinstance(content, Content) and content.frozen() is content:
        return content
    return strict_to_content(content, path=f"$.history[{index}]")
