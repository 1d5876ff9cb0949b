"""What a shape is: one Python annotation, as JSON Schema and as a reader of JSON values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from multiturn.messages.message import Object

# A type written out into more schemas than this is refused: no provider takes it
# (OpenAI's limit of properties), and types that multiply would fill the memory.
MAX_SCHEMAS = 5_000


class Refusal(Exception):
    """An annotation or a schema cannot be said; becomes a SchemaError at the boundary.

    Attributes:
        reason: Why, in words.
        path: Names from the outermost parameter inwards.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []

    def inside(self, name: str) -> Refusal:
        """Say that it happened within a member of this name."""
        self.path.insert(0, name)
        return self

    @property
    def parameter(self) -> str | None:
        """The place as ``order.lines[]``, None for the whole."""
        return (
            "".join(
                name if i == 0 or name.startswith("[") else f".{name}"
                for i, name in enumerate(self.path)
            )
            or None
        )


class Mismatch(Exception):
    """A JSON value does not fit a shape; grows its path on the way out."""

    def __init__(self, value: object, expected: str) -> None:
        super().__init__(expected)
        self.value, self.expected = value, expected
        self._inwards: list[str | int] = []

    def inside(self, step: str | int) -> Mismatch:
        """Say that the value stands in this member or at this index."""
        self._inwards.append(step)
        return self

    @property
    def path(self) -> str:
        """Where the value stands, as ``$.lines[2].price``."""
        steps = reversed(self._inwards)
        return "$" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)


class _Missing:
    """Stands for a value that was not given."""

    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


class Definitions:
    """The schemas of recursive types, each written once; belongs to one schema."""

    def __init__(self) -> None:
        self.schemas: dict[str, Object] = {}
        self._names: dict[Shape, str] = {}
        self._count = 0

    def count(self) -> None:
        """Note that one more schema is written."""
        self._count += 1
        if self._count > MAX_SCHEMAS:
            raise Refusal(
                f"it is more than {MAX_SCHEMAS} schemas when written out; nest fewer types"
            )

    def reference(self, shape: Shape, name: str, write: Callable[[Definitions], Object]) -> Object:
        """Return a reference to a shape's schema, which is written if it is not yet."""
        if shape not in self._names:
            unique, number = name, 1
            while unique in self.schemas:
                number += 1
                unique = f"{name}_{number}"
            self._names[shape] = unique
            self.schemas[unique] = {}
            self.schemas[unique] = write(self)
        return {"$ref": f"#/$defs/{self._names[shape]}"}


class Shape:
    """One annotation; immutable once it is built, so safe to share between threads.

    Attributes:
        expected: What a value must be, in words, for messages.
        called: The name of its type, "" if it has none.
        json_types: Types of JSON values that fit without conversion, for unions.
        rank: Order in which the members of a union are tried; lower is more specific.
        hashable: Whether what it reads can be an item of a set or a key.
        kind: The JSON type that limits of length and size are said of.
        read_as_is: The type of JSON values that ``read`` gives back as they are, None if
            it looks at all of them.
    """

    expected: str = "a value"
    called: str = ""
    json_types: tuple[type, ...] = ()
    rank: int = 2
    hashable: bool = True
    kind: ClassVar[str] = ""
    read_as_is: ClassVar[type | None] = None

    def schema(self, definitions: Definitions) -> Object:
        """Return the JSON Schema, made anew."""
        raise NotImplementedError

    def read(self, value: Any) -> Any:
        """Return the Python value of a JSON value; raise Mismatch if it does not fit."""
        raise NotImplementedError

    def read_key(self, text: str) -> Any:
        """Return the Python value of a member's name."""
        return self.read(text)

    def names(self) -> Object | None:
        """Return what JSON Schema says of a member's name that is a key; None if none can be."""
        return None

    def takes_null(self) -> bool:
        """Return whether null is a value of it."""
        return False


def with_annotations(schema: Object, annotations: Object) -> Object:
    """Return a schema with a description or default of its place.

    A reference stands alone, so it is wrapped: the Gemini API and OpenAI's strict mode
    take no member beside ``$ref``.
    """
    if not annotations:
        return schema
    if "$ref" in schema:
        return {"anyOf": [schema], **annotations}
    return {**schema, **annotations}
