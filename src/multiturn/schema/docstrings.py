"""What a docstring says of a function and of each parameter: Google, NumPy or Sphinx style."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Docstring:
    """A docstring, taken apart.

    Attributes:
        description: Of the whole: the text as it is, without that of the parameters.
        parameters: Descriptions by name.
    """

    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_docstring(text: str | None, names: Collection[str] | None = None) -> Docstring:
    """Take a docstring apart; one without sections is a description.

    Args:
        text: The docstring, its indentation taken off as by ``inspect.getdoc``.
        names: What is a parameter; what stands under another name stays in the
            description.  None takes each name for one.
    """
    text = (text or "").strip()
    if "\n" not in text:
        return Docstring(text)
    import docstring_parser

    try:
        # It takes indentation off once more, from all lines but the first.
        parsed = docstring_parser.parse(f"\n{text}")
    except docstring_parser.ParseError:
        return Docstring(text)
    found = {
        name.strip().lstrip("*"): inspect.cleandoc(parameter.description or "").strip()
        for parameter in parsed.params
        for name in parameter.arg_name.split(",")  # NumPy's "a, b : int"
    }
    told = found.keys() if names is None else found.keys() & set(names)
    parameters = {name: description for name, description in found.items() if description}
    return Docstring(_without(text, told) if told else text, parameters)


def class_docstring(cls: type) -> Docstring:
    """Take a class's own docstring apart; one that Python made is none."""
    return parse_docstring(own_text(cls))


def own_text(cls: type) -> str | None:
    """Return the docstring that a class's author wrote, cleaned; None if there is none."""
    text = vars(cls).get("__doc__")
    if not isinstance(text, str) or text == "An enumeration.":
        return None
    return None if text.startswith(f"{cls.__name__}(") else inspect.cleandoc(text)


# Titles of sections that describe parameters: Google's with a colon, NumPy's underlined.
_TITLE = re.compile(r"(?:Arg(?:ument)?s|(?:Other )?Param(?:eter)?s|Attributes)(:?)\s*")
_UNDERLINE = re.compile(r"-{2,}\s*")
# The names of an entry: ``n (int): …`` and ``a, b : int``.
_ENTRY = re.compile(r"\s*([\w*, ]+?)\s*(?:\([^:]*\)\s*)?(?::.*)?")
# ``:param int n: …`` and ``@type n: …``.
_FIELD = re.compile(
    r"[:@](?:param|parameter|arg|argument|attribute|key|keyword|type)\s(?:[^:]*\s)?\**(\w+)\s*:.*"
)


def _without(text: str, told: Collection[str]) -> str:
    """Return a text without what it says of these parameters."""
    lines = text.split("\n")
    gone: set[int] = set()
    for title, block in _sections(lines):
        starts = _starts(lines, block) if title else [block.start]
        for start, end in zip(starts, [*starts[1:], block.stop], strict=True):
            entry = (_ENTRY if title else _FIELD).fullmatch(lines[start])
            if entry and all(name.strip(" *") in told for name in entry[1].split(",")):
                gone.update(range(start, end))
        if all(not lines[i].strip() or i in gone for i in block):
            gone.update(title)
    left = "\n".join(line for i, line in enumerate(lines) if i not in gone)
    return re.sub(r"\n{3,}", "\n\n", left).strip()


def _sections(lines: list[str]) -> Iterator[tuple[range, range]]:
    """Yield the places of what describes parameters: a title's lines, and those below it."""
    fields = [i for i, line in enumerate(lines) if line[:1] in (":", "@")]
    for start, end in zip(fields, [*fields[1:], len(lines)], strict=True) if fields else ():
        yield range(0), range(start, end)
    for i, line in enumerate(lines):
        title = _TITLE.fullmatch(line)
        if title and title[1]:
            below = range(i + 1, len(lines))
            yield (
                range(i, i + 1),
                _until(below, lambda j: lines[j].strip() and not _indent(lines[j])),
            )
        elif title and _is_underlined(lines, i):
            below = range(i + 2, len(lines))
            yield range(i, i + 2), _until(below, lambda j: _is_underlined(lines, j))


def _until(places: range, ends: Callable[[int], object]) -> range:
    return range(places.start, next((i for i in places if ends(i)), places.stop))


def _is_underlined(lines: list[str], place: int) -> bool:
    return place + 1 < len(lines) and _UNDERLINE.fullmatch(lines[place + 1]) is not None


def _starts(lines: list[str], block: range) -> list[int]:
    """Return where entries begin: the lines that stand no further in than the first."""
    filled = [i for i in block if lines[i].strip()]
    return [i for i in filled if _indent(lines[i]) <= _indent(lines[filled[0]])]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
