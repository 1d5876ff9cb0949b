"""What arguments may be: looked at where they are given, and refused by their own names.

Knows arguments only; what content and settings consist of is looked at in ``messages/``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from multiturn.errors import InvalidContent

ChoiceT = TypeVar("ChoiceT", bound=str)

# 23 days: so long every system can wait for a socket (poll takes milliseconds in a C int) and
# for a lock (threading.TIMEOUT_MAX of Windows).
LONGEST_SECONDS = 2_000_000


def one_of(name: str, value: ChoiceT, choices: Iterable[ChoiceT]) -> ChoiceT:
    """Return a choice as it was given.

    Raises:
        InvalidContent: It is none of those that there are.
    """
    listed = list(choices)
    if value not in listed:
        raise InvalidContent(name, value, " or ".join(map(repr, listed)))
    return value


def whole(
    name: str, value: object, lowest: int = 1, highest: int | None = None, *, or_none: bool = False
) -> None:
    """Refuse what is no whole number within its limits.

    Raises:
        InvalidContent: It is none.
    """
    if or_none and value is None:
        return
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < lowest or (highest is not None and value > highest):  # type: ignore[operator]
        limits = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
        raise InvalidContent(name, value, f"a whole number, {limits}{_or(or_none)}")


def seconds(
    name: str,
    value: object,
    *,
    or_zero: bool = False,
    or_endless: bool = False,
    or_none: bool = False,
) -> None:
    """Refuse what is no length of time: text, NaN, less than nothing, longer than can be waited.

    Args:
        name: As the caller wrote it.
        value: What the caller gave.
        or_zero: Whether it may be 0.
        or_endless: Whether it may be longer than a system can wait, or infinite.
        or_none: Whether it may be None.

    Raises:
        InvalidContent: It is none.
    """
    if or_none and value is None:
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_short = or_endless or value <= LONGEST_SECONDS
        if is_short and (value > 0 or (or_zero and value == 0)):
            return
    lowest = "at least 0" if or_zero else "more than 0"
    highest = "" if or_endless else f" and at most {LONGEST_SECONDS}"
    raise InvalidContent(name, value, f"seconds, {lowest}{highest}{_or(or_none)}")


def unknown(name: str, value: object, known: Collection[str]) -> InvalidContent:
    """Return what is raised for an argument that there is not, with those that there are."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    error = InvalidContent(name, value, f"one of the arguments {', '.join(known)}")
    error.args = (f"there is no argument {name!r}; {meant}known: {', '.join(known)}",)
    return error


def _or(none: bool) -> str:
    return ", or None" if none else ""
