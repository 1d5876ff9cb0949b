"""Shapes that are one of several, and names for shapes that contain themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from multiturn.errors import shown
from multiturn.messages.message import Object
from multiturn.schema.scalars import ANY, NULL
from multiturn.schema.shape import Definitions, Mismatch, Refusal, Shape


class UnionShape(Shape):
    """One of several shapes.

    A value is read by the first member that takes it without conversion, the more
    specific ones before ``str``; then by the first that takes it at all.
    """

    def __init__(self, members: Iterable[Shape]) -> None:
        self.members = tuple(dict.fromkeys(members))
        self._tried = sorted(self.members, key=lambda member: member.rank)
        self.expected = " or ".join(dict.fromkeys(member.expected for member in self.members))
        self.json_types = tuple({kind for member in self.members for kind in member.json_types})
        self.rank = max(member.rank for member in self.members)
        self.hashable = all(member.hashable for member in self.members)

    def schema(self, definitions: Definitions) -> Object:
        definitions.count()
        branches: list[Object] = []
        for member in self.members:
            schema = member.schema(definitions)
            nested = schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
            branches += [branch for branch in nested if branch not in branches]
        if {} in branches:
            return {}
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def read(self, value: Any) -> Any:
        fitting = [member for member in self._tried if type(value) in member.json_types]
        failures = []
        for member in fitting:
            try:
                return member.read(value)
            except Mismatch as mismatch:
                failures.append(mismatch)
        for member in self._tried:
            if member not in fitting:
                try:
                    return member.read(value)
                except Mismatch:
                    pass
        if len(failures) == 1:
            raise failures[0]
        raise Mismatch(value, self._expected_after(dict(zip(fitting, failures, strict=True))))

    def _expected_after(self, failures: dict[Shape, Mismatch]) -> str:
        """Return what was expected, with what each member that could be meant found amiss."""
        reasons = [
            f"{member.called or member.expected} ({reason})"
            for member, mismatch in failures.items()
            if (reason := _reason(mismatch)) != member.expected
        ]
        return f"{self.expected}: {' or '.join(reasons)}" if reasons else self.expected

    def read_key(self, text: str) -> Any:
        for member in self._tried:
            try:
                return member.read_key(text)
            except Mismatch:
                pass
        raise Mismatch(text, self.expected)

    def names(self) -> Object | None:
        of_members = [member.names() for member in self.members]
        if None in of_members:
            return None
        return of_members[0] if all(names == of_members[0] for names in of_members) else {}

    def takes_null(self) -> bool:
        return any(member.takes_null() for member in self.members)


def _reason(mismatch: Mismatch) -> str:
    """Return what did not fit, as seen from the value that was to be read."""
    place = mismatch.path.removeprefix("$").removeprefix(".")
    found = f"{place} is {shown(mismatch.value)}, expected " if place else ""
    return f"{found}{mismatch.expected}"


def union_of(members: Iterable[Shape]) -> Shape:
    """Return the shape that is one of these."""
    shapes = list(dict.fromkeys(members))
    return shapes[0] if len(shapes) == 1 else UnionShape(shapes)


def _is_or_may_be(shape: Shape, name: Shape) -> bool:
    if isinstance(shape, UnionShape):
        return any(_is_or_may_be(member, name) for member in shape.members)
    return shape is name


class NamedShape(Shape):
    """A name for a shape, which may contain the name; the shape is given later.

    Attributes:
        recursive: Whether the shape contains the name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._target: Shape = ANY
        self.recursive = False

    def name(self, target: Shape) -> None:
        """Say what the name stands for.

        Raises:
            Refusal: For itself, so that nothing ends it.
        """
        if _is_or_may_be(target, self):
            raise Refusal(
                f"{self._name} is defined as itself; only within a list, a dict or a class may "
                "a type contain itself"
            )
        self._target = target
        self.expected, self.rank = target.expected, target.rank
        self.json_types, self.hashable = target.json_types, target.hashable

    @property
    def result(self) -> Shape:
        """The shape itself where the name is not needed."""
        return self if self.recursive else self._target

    def schema(self, definitions: Definitions) -> Object:
        if self.recursive:
            return definitions.reference(self, self._name, self._target.schema)
        return self._target.schema(definitions)

    def read(self, value: Any) -> Any:
        return self._target.read(value)

    def read_key(self, text: str) -> Any:
        return self._target.read_key(text)

    def names(self) -> Object | None:
        return None if self.recursive else self._target.names()

    def takes_null(self) -> bool:
        return self._target is NULL or self._target.takes_null()
