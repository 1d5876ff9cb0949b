"""What ``Annotated`` adds to a type: a description, and limits of value, length and form.

Limits are recognised by their attributes, as ``annotated_types`` names them (``ge``,
``gt``, ``le``, ``lt``, ``multiple_of``, ``min_length``, ``max_length``), and ``pattern``
as pydantic does; neither package is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from multiturn.messages.message import Object
from multiturn.schema.shape import Definitions, Mismatch, Refusal, Shape, with_annotations
from multiturn.schema.unions import UnionShape

# Attribute -> the keyword of JSON Schema by the kind of value it limits.
_KEYWORDS: dict[str, dict[str, str]] = {
    "ge": {"number": "minimum"},
    "gt": {"number": "exclusiveMinimum"},
    "le": {"number": "maximum"},
    "lt": {"number": "exclusiveMaximum"},
    "multiple_of": {"number": "multipleOf"},
    "min_length": {"string": "minLength", "array": "minItems", "object": "minProperties"},
    "max_length": {"string": "maxLength", "array": "maxItems", "object": "maxProperties"},
    "pattern": {"string": "pattern"},
}


def _is_multiple(value: Any, factor: Any) -> bool:
    quotient = value / factor
    return bool(abs(quotient - round(quotient)) < 1e-9)


_CHECKS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "ge": (lambda value, limit: value >= limit, "of at least {}"),
    "gt": (lambda value, limit: value > limit, "of more than {}"),
    "le": (lambda value, limit: value <= limit, "of at most {}"),
    "lt": (lambda value, limit: value < limit, "of less than {}"),
    "multiple_of": (_is_multiple, "that is a multiple of {}"),
    "min_length": (lambda value, limit: len(value) >= limit, "with a length of at least {}"),
    "max_length": (lambda value, limit: len(value) <= limit, "with a length of at most {}"),
    "pattern": (lambda value, limit: re.search(limit, value), "that matches {}"),
}
_OPPOSITES = (("ge", "le"), ("gt", "lt"), ("min_length", "max_length"))


class AnnotatedShape(Shape):
    """A shape with a description of its place and limits.

    Args:
        inner: The shape.
        description: For the model, "" for none.
        limits: By the names of ``_KEYWORDS``.
    """

    def __init__(self, inner: Shape, description: str, limits: dict[str, Any]) -> None:
        self._inner, self._description = inner, description
        self._limits = [(*_CHECKS[name], limit) for name, limit in limits.items()]
        self._keywords = {
            _KEYWORDS[name][inner.kind]: limit
            for name, limit in limits.items()
            if inner.kind in _KEYWORDS[name] and isinstance(limit, int | float | str)
        }
        self.expected, self.json_types = inner.expected, inner.json_types
        self.rank, self.hashable = inner.rank, inner.hashable

    def schema(self, definitions: Definitions) -> Object:
        about: Object = {"description": self._description} if self._description else {}
        return with_annotations(self._inner.schema(definitions), {**self._keywords, **about})

    def read(self, value: Any) -> Any:
        read = self._inner.read(value)
        for holds, words, limit in self._limits:
            try:
                fits = holds(read, limit)
            except TypeError:
                continue  # a limit of another kind of value, as a length for an integer
            if not fits:
                raise Mismatch(value, f"{self.expected} {words.format(limit)}")
        return read

    def read_key(self, text: str) -> Any:
        return self._inner.read_key(text)

    def names(self) -> Object | None:
        return self._inner.names()

    def takes_null(self) -> bool:
        return self._inner.takes_null()


def annotated(inner: Shape, metadata: Iterable[Any]) -> Shape:
    """Return a shape with what the further arguments of ``Annotated`` say; unknown ones pass."""
    description = ""
    limits: dict[str, Any] = {}
    for item in _flattened(metadata):
        description = described(item) or description
        for name in _KEYWORDS:
            limit = getattr(item, name, None)
            if limit is not None and not callable(limit):
                limits[name] = limit.pattern if isinstance(limit, re.Pattern) else limit
    for low, high in _OPPOSITES:
        if low in limits and high in limits and limits[low] > limits[high]:
            raise Refusal(f"no value is both {_words(low, limits)} and {_words(high, limits)}")
    if limits and isinstance(inner, UnionShape):
        inner = UnionShape(
            AnnotatedShape(member, "", limits) if member.kind else member
            for member in inner.members
        )
        limits = {}
    return AnnotatedShape(inner, description, limits) if description or limits else inner


def _words(name: str, limits: dict[str, Any]) -> str:
    return _CHECKS[name][1].format(limits[name])


def described(item: Any) -> str:
    """Return the description that one argument of ``Annotated`` gives, "" if it gives none."""
    if isinstance(item, str):
        return item
    for name in ("description", "documentation"):
        text = getattr(item, name, None)
        if isinstance(text, str):
            return text
    return ""


def _flattened(metadata: Iterable[Any]) -> Iterator[Any]:
    """Yield each piece of metadata; groups, as a pydantic Field, give their own."""
    for item in metadata:
        if isinstance(item, re.Pattern):
            yield _Pattern(item.pattern)
        elif hasattr(item, "__is_annotated_types_grouped_metadata__"):
            yield from item
        else:
            yield item
            inner = getattr(item, "metadata", None)
            if isinstance(inner, list | tuple):
                yield from _flattened(inner)


class _Pattern:
    def __init__(self, pattern: str | bytes) -> None:
        self.pattern = pattern
