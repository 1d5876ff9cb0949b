"""Shapes of objects with named members: dataclasses, TypedDicts, named tuples and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from multiturn.messages.message import Object, copy_json
from multiturn.schema.shape import (
    MISSING,
    Definitions,
    Mismatch,
    Refusal,
    Shape,
    with_annotations,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One member of an object.

    Attributes:
        name: In JSON.
        shape: Of its value.
        required: Whether it must be given.
        default: As JSON; MISSING if there is none that JSON can hold.
        description: For the model, "" for none.
        argument: Name in Python.
    """

    name: str
    shape: Shape
    required: bool = True
    default: Any = MISSING
    description: str = ""
    argument: str = ""

    def schema(self, definitions: Definitions) -> Object:
        """Return the schema of the member."""
        about: Object = {"description": self.description} if self.description else {}
        if self.default is not MISSING:
            about["default"] = copy_json(self.default)
        try:
            return with_annotations(self.shape.schema(definitions), about)
        except Refusal as refusal:
            raise refusal.inside(self.name) from None


class RecordShape(Shape):
    """An object with named members and no others.

    Args:
        name: Of the type.
        build: Makes the Python value from the members given; its ValueError and
            TypeError mean that they do not fit together.
        description: Of the type, for the model.
        hashable: Whether the values have a hash.
    """

    expected, json_types = "an object", (dict,)

    def __init__(
        self,
        name: str,
        build: Callable[..., Any] | None = None,
        description: str = "",
        hashable: bool = False,
    ) -> None:
        self.name = self.called = name
        self.hashable = hashable
        self.recursive = False
        self._build, self._description = build, description
        self._fields: dict[str, Field] = {}
        self._required: dict[str, Field] = {}
        self._readers: dict[str, tuple[str, type | None, Callable[[Any], Any], bool]] = {}

    def fill(self, fields: Iterable[Field]) -> None:
        """Say what the members are; apart from construction, as types may contain themselves."""
        for field in fields:
            if not isinstance(field.name, str):
                raise Refusal(f"a member is named {field.name!r}; names in JSON are strings")
            self._fields[field.name] = field
        self._required = {name: field for name, field in self._fields.items() if field.required}
        # Models say null for "not given"; a default is what that means.
        self._readers = {
            field.name: (
                field.argument or field.name,
                field.shape.read_as_is,
                field.shape.read,
                not field.required and not field.shape.takes_null(),
            )
            for field in self._fields.values()
        }

    def schema(self, definitions: Definitions) -> Object:
        if self.recursive:
            return definitions.reference(self, self.name, self._schema)
        return self._schema(definitions)

    def _schema(self, definitions: Definitions) -> Object:
        definitions.count()
        schema: Object = {"type": "object"}
        if self._description:
            schema["description"] = self._description
        schema["properties"] = {
            name: field.schema(definitions) for name, field in self._fields.items()
        }
        if self._required:
            schema["required"] = list(self._required)
        return {**schema, "additionalProperties": False}

    def read(self, value: Any) -> Any:
        if type(value) is not dict:
            raise Mismatch(value, self.expected)
        members = self.read_members(value)
        if self._build is None:
            return members
        try:
            return self._build(**members)
        except (ValueError, TypeError, AssertionError) as error:
            reason = f": {error}" if str(error) else ""
            raise Mismatch(value, f"a valid {self.name}{reason}") from None

    def read_members(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members that were given, by their names in Python."""
        members, readers, name = {}, self._readers, ""
        try:
            for name, member in value.items():
                argument, as_is, read, null_is_absent = readers[name]
                if type(member) is as_is:
                    members[argument] = member
                elif member is not None or not null_is_absent:
                    members[argument] = read(member)
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None
        except KeyError:
            if name in readers:
                raise
            raise self._unknown(name, value[name]) from None
        if len(value) < len(readers):  # else all are there
            for name, field in self._required.items():
                if name not in value:
                    raise Mismatch(MISSING, field.shape.expected).inside(name)
        return members

    def _unknown(self, name: str, value: object) -> Mismatch:
        known = ", ".join(self._fields) or "none"
        return Mismatch(value, f"no member of this name; {self.name} has: {known}").inside(name)


def describe_default(value: object, to_json: Callable[[object], Any]) -> Any:
    """Return a default as JSON, MISSING if JSON cannot hold it."""
    try:
        return to_json(value)
    except Exception:  # a default may be any object, whose own code may fail
        return MISSING
