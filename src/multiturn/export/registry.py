"""The formats by name, and which of them a source is in."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Protocol, cast

from multiturn.errors import InvalidContent, UnknownName
from multiturn.export.conversation import Conversation
from multiturn.export.report import Report
from multiturn.export.source import Source

# In the order in which they are tried: what is unmistakable comes first.
_MODULES = {
    "multiturn": "native",
    "llm": "llm_log",
    "chatgpt": "chatgpt",
    "gemini": "gemini",
    "anthropic": "anthropic",
    "openai": "openai",
    "jsonl": "jsonl",
    "markdown": "markdown",
}
NAMES = tuple(_MODULES)
# Names are short: with the usual 0.6, "nope" would be near "openai".
_NEAR = 0.7


class Format(Protocol):
    """What a module of this package is that reads and writes a format."""

    def recognises(self, source: Source) -> bool:
        """Whether a source is in this format; raise InvalidContent if it is broken."""
        ...

    def read(self, source: Source, report: Report) -> Sequence[Conversation]:
        """Return the conversations in a source; note what is left out in the report.

        Raises:
            InvalidContent: It is not in this format; ``path`` names the place.
        """
        ...

    def write(self, conversation: Conversation) -> bytes:
        """Return a conversation in this format, as far as it has a place for it."""
        ...


def format_named(name: str) -> Format:
    """Return a format.

    Raises:
        UnknownName: There is none of this name.
        InvalidContent: It is no name.
    """
    if not isinstance(name, str):
        raise InvalidContent("format", name, f"one of {', '.join(NAMES)}")
    if name not in _MODULES:
        near = get_close_matches(name, _MODULES, n=1, cutoff=_NEAR)
        advice = "" if near else f"there are: {', '.join(NAMES)}"
        raise UnknownName("format", name, _MODULES, advice)
    return cast(Format, import_module(f"multiturn.export.{_MODULES[name]}"))


def read_as(source: Source, name: str | None) -> list[Conversation]:
    """Return the conversations in a source.

    Args:
        source: What to read.
        name: The format; None finds it.
    """
    if name is None:
        name = next((one for one in NAMES if format_named(one).recognises(source)), None)
    if name is None:
        forms = source.path, source.text, source.value, source.data
        given = next((one for one in forms if one is not None), None)
        raise InvalidContent("source", given, f"a conversation as {', '.join(NAMES)}")
    report = Report()
    try:
        found = format_named(name).read(source, report)
    except InvalidContent as error:
        raise InvalidContent(f"{name}: {error.path}", error.value, error.expected) from error
    except RecursionError:
        raise InvalidContent(f"{name}: $", "the source", "less deep nesting") from None
    return [one._replace(lost=(*one.lost, *report.lost)) for one in found]
