"""The list inside a message: a live view that writes as its field says."""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from multiturn.errors import FrozenContent

if TYPE_CHECKING:
    from multiturn.messages.fields import Field

T = TypeVar("T")


class Items(MutableSequence[T]):
    """A live view of a JSON list, whose items are read and written as their field says."""

    __slots__ = ("_field", "_frozen", "_list")

    def __init__(self, field: Field[T], list_: list[Any], frozen: bool) -> None:
        self._field, self._list, self._frozen = field, list_, frozen

    def _changeable(self) -> list[Any]:
        if self._frozen:
            raise FrozenContent(f"list of {self._field.name}")
        return self._list

    def _write(self, value: T, index: int) -> Any:
        return self._field.write(value, f"$.{self._field.name}[{index}]", "refuse")

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._field.read(value, self._frozen) for value in self._list[index]]
        return self._field.read(self._list[index], self._frozen)

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            self._changeable()[index] = [self._write(v, i) for i, v in enumerate(value)]
        else:
            self._changeable()[index] = self._write(value, index)

    def __delitem__(self, index: int | slice) -> None:
        del self._changeable()[index]

    def insert(self, index: int, value: T) -> None:
        self._changeable().insert(index, self._write(value, index))

    def __len__(self) -> int:
        return len(self._list)

    def __iter__(self) -> Iterator[T]:
        for value in self._list:
            yield self._field.read(value, self._frozen)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Items | list | tuple):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def __copy__(self) -> list[T]:
        return list(self)
