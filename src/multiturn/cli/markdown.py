"""Draws Markdown in a terminal while it arrives."""

from __future__ import annotations

import time

from rich.console import Console

from multiturn.cli.blocks import blocks, rendered
from multiturn.cli.visible import visible

# Of the time between two drawings, how much may go into drawing.
_SHARE_FOR_DRAWING = 1 / 3


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
        # Only whole lines are judged: one still arriving may turn out to be anything.
        end = self._open.rfind("\n") + 1
        *finished, last = blocks(self._open[:end]) or [""]
        self._print(finished)
        self._open = last + self._open[end:]
        self._draw(self._lines([self._open]))
        ended = time.monotonic()
        self._draw_again_at = ended + (ended - started) * (1 / _SHARE_FOR_DRAWING - 1)

    def close(self) -> None:
        """Print the open block for good."""
        self._print(blocks(self._open))
        self._open = ""
        self._write(self._erase())
        self._drawn = []

    def _lines(self, cut: list[str]) -> list[str]:
        """Return the lines of blocks, with an empty one between two."""
        lines: list[str] = []
        for block in cut:
            shown = rendered(block, self._console)
            if shown and (lines or self._has_printed):
                lines.append("")
            lines += shown
        return lines

    def _print(self, cut: list[str]) -> None:
        lines = self._lines(cut)
        if lines:
            self._has_printed = True
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
