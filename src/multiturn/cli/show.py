"""Shows an answer while it arrives: plain, or as Markdown in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

from multiturn.cli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console

    from multiturn.response import GenerateContentResponse

# Of the time between two drawings, how much may go into drawing.
_SHARE_FOR_DRAWING = 1 / 3


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


class MarkdownPrinter:
    """Draws Markdown: finished blocks for good, the open one anew with each piece.

    The open block is drawn at the bottom of the screen, its last lines if it is higher;
    once finished it is printed whole.  So what leaves the screen is never drawn again,
    and the terminal's memory holds every line once.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ""
        self._drawn: list[str] = []
        self._has_printed = False
        self._draw_again_at = 0.0

    def wait(self) -> None:
        """Show an ellipsis until the first piece comes."""
        self._draw(["…"])

    def add(self, text: str) -> None:
        """Draw with the next piece, unless drawing would take most of the time."""
        self._open += visible(text)
        started = time.monotonic()
        if not text or started < self._draw_again_at:
            return
        from multiturn.cli.blocks import rendered, split_finished

        finished, self._open = split_finished(self._open)
        if finished:
            self._print(rendered(finished, self._console))
        self._draw(self._separated(rendered(self._open, self._console)))
        ended = time.monotonic()
        self._draw_again_at = ended + (ended - started) * (1 / _SHARE_FOR_DRAWING - 1)

    def close(self) -> None:
        """Print the open block for good."""
        from multiturn.cli.blocks import rendered

        self._print(rendered(self._open, self._console))
        self._open = ""

    def _separated(self, lines: list[str]) -> list[str]:
        return ["", *lines] if self._has_printed and lines else lines

    def _print(self, lines: list[str]) -> None:
        lines = self._separated(lines)
        self._has_printed = self._has_printed or bool(lines)
        erase, self._drawn = self._erase(), []
        self._write(erase + "".join(f"{line}\n" for line in lines))

    def _draw(self, lines: list[str]) -> None:
        lines = lines[-max(1, self._console.height - 1) :]
        if lines != self._drawn:
            erase, self._drawn = self._erase(), lines
            self._write(erase + "\n".join(lines))

    def _erase(self) -> str:
        up = len(self._drawn) - 1
        return ("\r" + (f"\x1b[{up}A" if up > 0 else "") + "\x1b[J") if self._drawn else ""

    def _write(self, text: str) -> None:
        if text:
            self._console.file.write(text)
            self._console.file.flush()


def printer(*, markdown: bool) -> Printer:
    """Return what shows an answer on standard output: Markdown only in a capable terminal."""
    if markdown and sys.stdout.isatty():
        from rich.console import Console

        console = Console(file=sys.stdout)
        if console.is_terminal and not console.is_dumb_terminal and not console.legacy_windows:
            return MarkdownPrinter(console)
    return PlainPrinter(sys.stdout)


def show(response: GenerateContentResponse, answer: Printer) -> str | None:
    """Show a reply while it arrives.

    Returns:
        What a reader should know about it beyond its text, None if nothing.
    """
    for chunk in response:
        answer.add(chunk.text)
    candidate = response.candidates[0]
    if candidate.finish_reason.name == "MAX_TOKENS":
        return "the answer was cut off where it reached its largest length"
    return None if candidate.content.text.strip() else "the model answered with nothing"
