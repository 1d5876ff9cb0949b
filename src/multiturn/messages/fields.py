"""The kinds of members that a message has: how each is read from JSON and written to it."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Self, TypeVar, cast, overload

from multiturn.errors import InvalidContent
from multiturn.messages.enums import OpenEnum
from multiturn.messages.items import Items
from multiturn.messages.message import Message, Object, Unknown, copy_json, plain_json

T = TypeVar("T")
M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=OpenEnum)


class Field(Generic[T]):
    """One member of a message; a descriptor.

    Args:
        oneof: Name of the group of alternatives of which only one is set.
        presence: Whether unset and set-to-the-default differ.
    """

    kind = "a value"

    def __init__(self, *, oneof: str | None = None, presence: bool = False) -> None:
        self.name = ""
        self.wire = ""
        self.oneof = oneof
        self.has_presence = presence or oneof is not None
        self._siblings: tuple[str, ...] | None = None
        self._owner: type[Message] = Message

    def __set_name__(self, owner: type[Message], name: str) -> None:
        self.name, self._owner = name, owner
        first, *rest = name.rstrip("_").split("_")
        self.wire = first + "".join(word.capitalize() for word in rest)

    @overload
    def __get__(self, message: None, owner: type[Message]) -> Self: ...
    @overload
    def __get__(self, message: Message, owner: type[Message]) -> T: ...
    def __get__(self, message: Message | None, owner: type[Message]) -> Self | T:
        if message is None:
            return self
        value = message._json.get(self.wire)
        return self.absent(message) if value is None else self.read(value, message._frozen)

    def __set__(self, message: Message, value: T | None) -> None:
        if value is None:
            self.__delete__(message)
            return
        object_ = message.changeable()
        written = self.write(value, f"$.{self.name}", "refuse")
        self.clear_siblings(object_)
        object_[self.wire] = written

    def __delete__(self, message: Message) -> None:
        message.changeable().pop(self.wire, None)

    def clear_siblings(self, object_: Object) -> None:
        """Unset the other members of this field's group of alternatives."""
        if self.oneof is None:
            return
        if self._siblings is None:
            others = [f for f in self._owner.fields.values() if f is not self]
            self._siblings = tuple([f.wire for f in others if f.oneof == self.oneof])
        for wire in self._siblings:
            object_.pop(wire, None)

    def is_set(self, object_: Object) -> bool:
        """Return whether the member is set; a default counts only with presence."""
        value = object_.get(self.wire)
        return value is not None and (self.has_presence or bool(self.canonical(value)))

    def absent(self, message: Message) -> T:
        """Return what reading an unset member gives."""
        raise NotImplementedError

    def read(self, value: Any, frozen: bool) -> T:
        """Translate from JSON; what does not fit the field is given as it came."""
        return cast(T, value)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        """Translate to JSON or raise InvalidContent with the path."""
        raise NotImplementedError

    def canonical(self, value: Any) -> Any:
        """Return the one JSON spelling of a value, for comparison."""
        return value

    def plain(self, value: Any, integers: bool, python_names: bool, defaults: bool) -> Any:
        """Translate for ``to_dict``."""
        return copy_json(value)

    def plain_default(self, integers: bool) -> Any:
        """Return what ``to_dict`` shows for an unset member."""
        return None


class _Scalar(Field[T]):
    """A member that holds one immutable value."""

    types: tuple[type, ...]
    default: T

    def absent(self, message: Message) -> T:
        return self.default

    def plain_default(self, integers: bool) -> Any:
        return self.default

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if not isinstance(value, self.types) or (type(value) is bool and bool not in self.types):
            raise InvalidContent(path, value, self.kind)
        return value


class String(_Scalar[str]):
    """Text."""

    kind, types, default = "a string", (str,), ""

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, OpenEnum):
            return value.name
        return super().write(value, path, unknown)


class Flag(_Scalar[bool]):
    """True or False."""

    kind, types, default = "True or False", (bool,), False


class Integer(_Scalar[int]):
    """An integer; the wire may write 64-bit ones as strings."""

    kind, types, default = "an integer", (int,), 0

    def read(self, value: Any, frozen: bool) -> int:
        try:
            return int(value)
        except (TypeError, ValueError):
            return cast(int, value)

    def canonical(self, value: Any) -> Any:
        return self.read(value, True)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.removeprefix("-").isdecimal():
            return int(value)
        return super().write(value, path, unknown)


class Integer64(Integer):
    """An integer that may need 64 bits; ``to_dict`` shows it as text, as JSON has it."""

    def plain(self, value: Any, integers: bool, python_names: bool, defaults: bool) -> Any:
        return str(value)

    def plain_default(self, integers: bool) -> Any:
        return "0"


class Float(_Scalar[float]):
    """A finite number."""

    kind, types, default = "a finite number", (int, float), 0.0

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidContent(path, value, self.kind)
        return super().write(value, path, unknown)


class Bytes(Field[bytes]):
    """Bytes; base64 in JSON, of either alphabet, padded or not, kept as it came."""

    def absent(self, message: Message) -> bytes:
        return b""

    def read(self, value: Any, frozen: bool) -> bytes:
        try:
            return binascii.a2b_base64(_padded(value))
        except (AttributeError, binascii.Error, ValueError):
            return cast(bytes, value)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, bytes | bytearray | memoryview):
            return binascii.b2a_base64(value, newline=False).decode("ascii")
        try:
            binascii.a2b_base64(_padded(value), strict_mode=True)
        except (AttributeError, ValueError):
            raise InvalidContent(path, value, "bytes, or base64 text") from None
        return value

    def canonical(self, value: Any) -> Any:
        return self.read(value, True)

    def plain_default(self, integers: bool) -> Any:
        return ""


def _padded(text: str) -> str:
    return text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)


class EnumField(Field[E]):
    """A value of an open enumeration; its name in JSON, or a number that has no name."""

    def __init__(self, enum: type[E], *, oneof: str | None = None, presence: bool = False) -> None:
        super().__init__(oneof=oneof, presence=presence)
        self.enum = enum

    def absent(self, message: Message) -> E:
        return self.enum(0)

    def read(self, value: Any, frozen: bool) -> E:
        try:
            return self.enum(value)
        except ValueError:
            return cast(E, value)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        try:
            return self.enum(value).wire
        except ValueError:
            raise InvalidContent(path, value, f"a {self.enum.__name__} or its name") from None

    def canonical(self, value: Any) -> Any:
        return self.read(value, True)

    def plain(self, value: Any, integers: bool, python_names: bool, defaults: bool) -> Any:
        member = self.read(value, True)
        return int(member) if integers and getattr(member, "is_known", False) else value

    def plain_default(self, integers: bool) -> Any:
        return 0 if integers else self.enum(0).name


class Nested(Field[M]):
    """Another message; reading an unset one gives an empty message."""

    def __init__(
        self,
        message: type[M] | Callable[[], type[M]],
        *,
        oneof: str | None = None,
    ) -> None:
        super().__init__(oneof=oneof, presence=True)
        self._message = message

    @property
    def message(self) -> type[M]:
        """The type of the message; given as a function when it is not yet defined."""
        if not isinstance(self._message, type):
            self._message = self._message()
        return cast("type[M]", self._message)

    def absent(self, message: Message) -> M:
        return self.message.view({}, frozen=True)

    def read(self, value: Any, frozen: bool) -> M:
        return self.message.view(value, frozen) if isinstance(value, dict) else cast(M, value)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, self.message):
            return copy_json(value._json)
        if not isinstance(value, Mapping):
            raise InvalidContent(path, value, f"a {self.message.__name__} or a dict of its members")
        return self.message.object_from(value, path, unknown)

    def canonical(self, value: Any) -> Any:
        return self.message.canonical(value) if isinstance(value, dict) else value

    def plain(self, value: Any, integers: bool, python_names: bool, defaults: bool) -> Any:
        if not isinstance(value, dict):
            return value
        return self.message.to_dict(
            self.message.view(value),
            use_integers_for_enums=integers,
            preserving_proto_field_name=python_names,
            including_default_value_fields=defaults,
        )


class Struct(Field[dict[str, Any]]):
    """Any JSON object; numbers keep their type, a frozen one is handed out as a copy."""

    def __init__(self) -> None:
        super().__init__(presence=True)

    def absent(self, message: Message) -> dict[str, Any]:
        return {}

    def read(self, value: Any, frozen: bool) -> dict[str, Any]:
        return cast("dict[str, Any]", copy_json(value) if frozen else value)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if not isinstance(value, Mapping):
            raise InvalidContent(path, value, "a dict that JSON can hold")
        return plain_json(value, path)


class JsonValue(Field[Any]):
    """Any JSON value at all."""

    def __init__(self) -> None:
        super().__init__(presence=True)

    def absent(self, message: Message) -> Any:
        return None

    def read(self, value: Any, frozen: bool) -> Any:
        return copy_json(value) if frozen else value

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        return plain_json(value, path)


class Repeated(Field[Items[T]]):
    """A list of values of one kind."""

    def __init__(self, item: Field[T], *, presence: bool = False) -> None:
        super().__init__(presence=presence)
        self.item = item

    def __set_name__(self, owner: type[Message], name: str) -> None:
        super().__set_name__(owner, name)
        self.item.name, self.item.wire = name, self.wire

    def absent(self, message: Message) -> Items[T]:
        if message._frozen:
            return Items(self.item, [], True)
        # Stored, so that ``content.parts.append(part)`` reaches the content.
        return Items(self.item, message._json.setdefault(self.wire, []), False)

    def is_set(self, object_: Object) -> bool:
        return bool(object_.get(self.wire))  # an empty list may be there from being looked at

    def read(self, value: Any, frozen: bool) -> Items[T]:
        return Items(self.item, value if isinstance(value, list) else [value], frozen)

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if isinstance(value, str | bytes | Mapping | Message) or not isinstance(value, Iterable):
            raise InvalidContent(path, value, "a list")
        return [self.item.write(v, f"{path}[{i}]", unknown) for i, v in enumerate(value)]

    def canonical(self, value: Any) -> Any:
        return [self.item.canonical(v) for v in value] if isinstance(value, list) else value

    def plain(self, value: Any, integers: bool, python_names: bool, defaults: bool) -> Any:
        if not isinstance(value, list):
            return value
        return [self.item.plain(v, integers, python_names, defaults) for v in value]

    def plain_default(self, integers: bool) -> Any:
        return []


class MapOf(Field[dict[str, T]]):
    """A dict from names to values of one kind; handed out as a new dict of views."""

    def __init__(self, item: Field[T], *, presence: bool = False) -> None:
        super().__init__(presence=presence)
        self.item = item

    def absent(self, message: Message) -> dict[str, T]:
        return {}

    def read(self, value: Any, frozen: bool) -> dict[str, T]:
        return cast("dict[str, T]", _mapped(value, lambda v: self.item.read(v, frozen)))

    def write(self, value: Any, path: str, unknown: Unknown) -> Any:
        if not isinstance(value, Mapping):
            raise InvalidContent(path, value, "a dict")
        return {
            str(name): self.item.write(member, f"{path}.{name}", unknown)
            for name, member in value.items()
        }

    def canonical(self, value: Any) -> Any:
        return _mapped(value, self.item.canonical)

    def plain(self, value: Any, integers: bool, python_names: bool, defaults: bool) -> Any:
        return _mapped(value, lambda v: self.item.plain(v, integers, python_names, defaults))

    def plain_default(self, integers: bool) -> Any:
        return {}


def _mapped(value: Any, convert: Callable[[Any], Any]) -> Any:
    return {k: convert(v) for k, v in value.items()} if isinstance(value, dict) else value
