"""A message: a typed view of the JSON object that travels.

The JSON object is the only state.  Reading an attribute translates one member of it,
writing one translates back, so that nothing a server sent is lost on the way through
memory: members that no field describes stay where they were.  Fields are declared with
the classes of ``fields.py``.

A message that belongs to a history is frozen: it and everything read from it refuse to
be written to.  The interface (construction from a dict or keywords, ``"text" in part``,
``to_dict`` and its kin on the type) is that of the ``protos`` of google.generativeai
0.8.6.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from multiturn.errors import FrozenContent, InvalidContent, UnknownName
from multiturn.messages.enums import OpenEnum

if TYPE_CHECKING:
    from multiturn.messages.fields import Field

# A JSON object as json.loads returns it.
Object = dict[str, Any]
Unknown = Literal["refuse", "drop", "keep"]
# Deeper nesting is refused: json's C parser and encoder recurse, and so do servers'.
MAX_DEPTH = 200
_ATOMS = frozenset({str, int, float, bool, type(None)})


def copy_json(value: Any) -> Any:
    """Return a deep copy of a JSON value (6 times faster than ``copy.deepcopy``)."""
    # A shallow copy whose containers are replaced: most members are none.
    if isinstance(value, dict):
        members = {**value}
        for key, member in members.items():
            if type(member) not in _ATOMS:
                members[key] = copy_json(member)
        return members
    if isinstance(value, list):
        return [member if type(member) in _ATOMS else copy_json(member) for member in value]
    return value


class MessageType(type):
    """Gives every message class empty slots, so that a misspelt attribute is an error."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> MessageType:
        body.setdefault("__slots__", ())
        return super().__new__(mcs, name, bases, body)


class Message(metaclass=MessageType):
    """A view of one JSON object; not thread-safe while it is written to.

    Args:
        mapping: Members as a dict or another message of the same type; copied.
        ignore_unknown_fields: Drop members that the type does not have, instead of refusing.
        **members: The same as keywords; they win.

    Raises:
        UnknownName: A member is not one of the type's.
        InvalidContent: A value does not fit its field; ``path`` says where it stands.
    """

    __slots__ = ("_frozen", "_json")
    fields: ClassVar[dict[str, Field[Any]]] = {}
    _by_any_name: ClassVar[dict[str, Field[Any]]] = {}
    _by_wire_name: ClassVar[dict[str, Field[Any]]] = {}

    _json: Object
    _frozen: bool

    def __init__(
        self,
        mapping: Mapping[str, Any] | Message | None = None,
        *,
        ignore_unknown_fields: bool = False,
        **members: Any,
    ) -> None:
        self._frozen = False
        self._json = {}
        if isinstance(mapping, type(self)):
            self._json = copy_json(mapping._json)
            mapping = None
        elif mapping is not None and not isinstance(mapping, Mapping):
            raise InvalidContent("$", mapping, f"a {type(self).__name__} or a dict of its members")
        given = {**(mapping or {}), **members}
        unknown: Unknown = "drop" if ignore_unknown_fields else "refuse"
        self._json.update(self.object_from(given, "$", unknown))

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: field for name, field in vars(cls).items() if hasattr(field, "has_presence")}
        cls.fields = {**cls.fields, **own}
        cls._by_wire_name = {field.wire: field for field in cls.fields.values()}
        cls._by_any_name = dict(cls._by_wire_name)
        for name, field in cls.fields.items():
            cls._by_any_name[name] = cls._by_any_name[name.rstrip("_")] = field

    @classmethod
    def view(cls, object_: Object, frozen: bool = False) -> Self:
        """Look at a JSON object in the wire's names without copying or checking it."""
        message = cls.__new__(cls)
        message._json = object_
        message._frozen = frozen
        return message

    @classmethod
    def object_from(cls, given: Mapping[str, Any], path: str, unknown: Unknown) -> Object:
        """Translate members by any of their names into the wire's JSON object, made anew.

        Args:
            given: Values as a person writes them; None means not given.
            path: Where this message stands, for error messages.
            unknown: What to do with a member that no field describes.
        """
        out: Object = {}
        for name, value in given.items():
            field = cls._by_any_name.get(name)
            if field is not None:
                if value is not None:
                    field.clear_siblings(out)
                    out[field.wire] = field.write(value, f"{path}.{name}", unknown)
            elif unknown == "refuse":
                place = "" if path == "$" else f" at {path}"
                raise UnknownName(f"member of {cls.__name__}{place}", str(name), cls.fields)
            elif unknown == "keep":
                out[str(name)] = copy_json(value)
        return out

    # -- the conversation's own use ---------------------------------------------------

    @property
    def json_object(self) -> Object:
        """The JSON object itself, in the wire's names; not a copy, treat it as read-only."""
        return self._json

    def frozen(self) -> Self:
        """Return a frozen copy, or the message itself if it is frozen."""
        return self if self._frozen else self.view(copy_json(self._json), frozen=True)

    def changeable(self) -> Object:
        """Return the JSON object for writing; refuse if frozen."""
        if self._frozen:
            raise FrozenContent(type(self).__name__)
        return self._json

    # -- Python's protocols -----------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        field = self._by_any_name.get(name)
        if field is None:
            raise UnknownName(f"member of {type(self).__name__}", str(name), self.fields)
        return field.is_set(self._json)

    def __bool__(self) -> bool:
        return any(self._json.values())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._json == other._json or self.canonical(self._json) == self.canonical(
            other._json
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._members().items())
        return f"{type(self).__name__}({shown})"

    def __copy__(self) -> Self:
        return self.view(copy_json(self._json))

    def __deepcopy__(self, memo: object) -> Self:
        return self.view(copy_json(self._json))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._json)

    def __setstate__(self, state: object) -> None:
        """Take in what the old SDK pickled by this name, which ``multiturn.dropin`` leads here."""
        from multiturn.old_pickles import members_of

        self.__init__(members_of(type(self).__name__, state))  # type: ignore[misc]

    def _members(self) -> Object:
        """What is set, by the names of Python, unknown members last and as they came."""
        by_wire = self._by_wire_name
        known = {
            field.name: field.read(value, True)
            for wire, value in self._json.items()
            if (field := by_wire.get(wire)) is not None
        }
        return known | {wire: value for wire, value in self._json.items() if wire not in by_wire}

    @classmethod
    def canonical(cls, object_: Object) -> Object:
        """Return the one form that all spellings of the same message share."""
        out: Object = {}
        for wire, value in object_.items():
            field = cls._by_wire_name.get(wire)
            if field is None:
                out[wire] = value
            elif field.is_set(object_):
                out[wire] = field.canonical(value)
        return out

    # -- the interface of protos ------------------------------------------------------

    @classmethod
    def pb(cls, message: Self, *, coerce: bool = False) -> Self:
        """Return the message itself, which is its own wire form."""
        return cls(message) if coerce and not isinstance(message, cls) else message

    @property
    def _pb(self) -> Self:
        return self

    def WhichOneof(self, group: str) -> str | None:
        """Return the name of the member that is set in a group of alternatives, or None."""
        for name, field in self.fields.items():
            if field.oneof == group and field.wire in self._json:
                return name
        return None

    def HasField(self, name: str) -> bool:
        """Return whether a member is set."""
        return name in self

    @classmethod
    def to_dict(
        cls,
        message: Self,
        *,
        use_integers_for_enums: bool = True,
        preserving_proto_field_name: bool = True,
        including_default_value_fields: bool = True,
    ) -> Object:
        """Return plain Python data, made anew.

        Args:
            message: What to convert.
            use_integers_for_enums: Known enum values as numbers; False gives their names.
            preserving_proto_field_name: Names as in Python; False gives the wire's.
            including_default_value_fields: Show unset numbers, strings and lists too.
        """
        out: Object = {}
        for name, field in cls.fields.items():
            key = name if preserving_proto_field_name else field.wire
            if field.is_set(message._json) or (
                not field.has_presence and field.wire in message._json
            ):
                out[key] = field.plain(
                    message._json[field.wire],
                    use_integers_for_enums,
                    preserving_proto_field_name,
                    including_default_value_fields,
                )
            elif including_default_value_fields and not field.has_presence:
                out[key] = field.plain_default(use_integers_for_enums)
        unknown = {k: copy_json(v) for k, v in message._json.items() if k not in cls._by_wire_name}
        return out | unknown

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], *, ignore_unknown_fields: bool = False) -> Self:
        """Build a message from ``to_dict``'s result; members without a field are kept."""
        return cls.view(cls.object_from(given, "$", "drop" if ignore_unknown_fields else "keep"))

    @classmethod
    def to_json(
        cls,
        message: Self,
        *,
        use_integers_for_enums: bool = True,
        including_default_value_fields: bool = True,
        preserving_proto_field_name: bool = False,
        sort_keys: bool = False,
        indent: int | None = 2,
    ) -> str:
        """Return ``to_dict`` as JSON text."""
        plain = cls.to_dict(
            message,
            use_integers_for_enums=use_integers_for_enums,
            preserving_proto_field_name=preserving_proto_field_name,
            including_default_value_fields=including_default_value_fields,
        )
        import json

        return json.dumps(plain, sort_keys=sort_keys, indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes, *, ignore_unknown_fields: bool = False) -> Self:
        """Build a message from JSON text."""
        import json

        return cls.from_dict(json.loads(text), ignore_unknown_fields=ignore_unknown_fields)

    def __dir__(self) -> Iterator[str]:
        yield from self.fields
        yield from object.__dir__(self)


def _restore(message_type: type[Message], object_: Object) -> Message:
    return message_type.view(object_)


def plain_json(value: Any, path: str, depth: int = 0) -> Any:
    """Return a value as JSON, made anew, or raise InvalidContent with the path.

    Accepts what JSON has, tuples, sets and other iterables as lists, enumerations by
    name, messages as their object.
    """
    if depth > MAX_DEPTH:
        raise InvalidContent(path, value, f"nesting of at most {MAX_DEPTH} levels, without cycles")
    if value is None or isinstance(value, str | bool) or type(value) is int:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidContent(path, value, "a finite number; JSON has no NaN or infinity")
        return value
    if isinstance(value, Message):
        return copy_json(value._json)
    if isinstance(value, OpenEnum):
        return value.wire
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {str(k): plain_json(v, f"{path}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [plain_json(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value)]
    raise InvalidContent(path, value, "a value that JSON can hold")
