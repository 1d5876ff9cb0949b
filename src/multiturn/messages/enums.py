"""Enumerations that stay open: a value added by a server next year is kept as it came."""

from __future__ import annotations

import binascii
from enum import IntEnum
from typing import Self


class OpenEnum(IntEnum):
    """An integer enumeration whose unknown values are kept, name and all.

    ``Reason("STOP")``, ``Reason("stop")`` and ``Reason(1)`` give the member.  An unknown
    name gives a value of the same class with that ``.name`` and a negative number made
    from it; an unknown number gives one named after the number.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if isinstance(value, str) and value:
            known = cls.__members__.get(value, cls.__members__.get(value.upper()))
            if known is not None:
                return known
            return cls._unknown(-1 - binascii.crc32(value.encode("utf-8", "replace")), value, value)
        if isinstance(value, int) and not isinstance(value, bool):
            return cls._unknown(value, f"UNKNOWN_{value}", value)
        return None

    @classmethod
    def _unknown(cls, number: int, name: str, value: str | int) -> Self:
        member = int.__new__(cls, number)
        member._name_ = name
        member._value_ = value  # type: ignore[assignment]
        return member

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self._name_}: {int(self)}>"

    @property
    def is_known(self) -> bool:
        """Whether this release knows the value."""
        return self._name_ in type(self).__members__

    @property
    def wire(self) -> str | int:
        """What stands for the value in JSON: its name, or the number if that is all there is."""
        return self._name_ if self.is_known or isinstance(self._value_, str) else int(self)
