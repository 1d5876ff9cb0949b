"""Shows an answer while it arrives: plain, or as Markdown in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from multiturn.cli.visible import visible

if TYPE_CHECKING:
    from multiturn.response import GenerateContentResponse


class Printer(Protocol):
    """Shows one text that arrives in pieces."""

    def wait(self) -> None:
        """Show that something is about to come."""

    def add(self, text: str) -> None:
        """Show the next piece; anything may be in it."""

    def close(self) -> None:
        """Leave the whole text shown and the cursor at the beginning of a line."""


class PlainPrinter:
    """Writes pieces as they come."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._at_line_start = True

    def wait(self) -> None:
        """Show nothing: what is written here stays."""

    def add(self, text: str) -> None:
        """Write the next piece."""
        text = visible(text)
        if text:
            self._at_line_start = text.endswith("\n")
            self._stream.write(text)
            self._stream.flush()

    def close(self) -> None:
        """End the last line."""
        if not self._at_line_start:
            self.add("\n")


def printer(*, markdown: bool) -> Printer:
    """Return what shows an answer on standard output: Markdown only in a capable terminal."""
    if markdown and sys.stdout.isatty():
        from rich.console import Console

        from multiturn.cli.markdown import MarkdownPrinter

        console = Console(file=sys.stdout)
        if console.is_terminal and not console.is_dumb_terminal and not console.legacy_windows:
            return MarkdownPrinter(console)
    return PlainPrinter(sys.stdout)


def show(response: GenerateContentResponse, answer: Printer) -> str | None:
    """Show a reply while it arrives.

    Returns:
        What a reader should know about it beyond its text, None if nothing.

    Raises:
        MultiturnError: The reply did not become whole.
        KeyboardInterrupt: The reply was stopped; the journal says so.
    """
    chunks = iter(response)
    try:
        for chunk in chunks:
            answer.add(chunk.text)
    except KeyboardInterrupt as interrupt:
        chunks.throw(interrupt)  # it may have come while drawing
    candidate = response.candidates[0]
    if candidate.finish_reason.name == "MAX_TOKENS":
        return (
            "the answer was cut off where it reached its largest length; --max-tokens N allows more"
        )
    return None if candidate.content.text.strip() else "the model answered with nothing"
