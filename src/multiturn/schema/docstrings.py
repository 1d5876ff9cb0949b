"""What a docstring says of a function and of each parameter: Google, NumPy or Sphinx style."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Docstring:
    """A docstring, taken apart.

    Attributes:
        description: Of the whole, without its sections.
        parameters: Descriptions by name.
    """

    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_docstring(text: str | None) -> Docstring:
    """Take a docstring apart; one without sections is a description."""
    text = inspect.cleandoc(text or "").strip()
    if "\n" not in text:
        return Docstring(text)
    import docstring_parser

    try:
        parsed = docstring_parser.parse(text)
    except docstring_parser.ParseError:
        return Docstring(text)
    parameters = {
        name.strip().lstrip("*"): inspect.cleandoc(parameter.description).strip()
        for parameter in parsed.params
        if parameter.description
        for name in parameter.arg_name.split(",")  # NumPy's "a, b : int"
    }
    return Docstring((parsed.description or "").strip(), parameters)


def class_docstring(cls: type) -> Docstring:
    """Take a class's own docstring apart; one that Python made is none."""
    return parse_docstring(own_text(cls))


def own_text(cls: type) -> str | None:
    """Return the docstring that a class's author wrote, None if there is none."""
    text = vars(cls).get("__doc__")
    if not isinstance(text, str) or text == "An enumeration.":
        return None
    return None if text.startswith(f"{cls.__name__}(") else text
