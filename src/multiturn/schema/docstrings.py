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
    text = vars(cls).get("__doc__")
    generated = isinstance(text, str) and (
        text.startswith(f"{cls.__name__}(") or text == "An enumeration."
    )
    return Docstring() if generated else parse_docstring(text)
