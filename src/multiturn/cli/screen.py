"""What an interactive session says to its user, apart from the model's answers."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from multiturn.cli.failure import explained
from multiturn.cli.show import Printer, printer
from multiturn.cli.visible import visible


class Screen:
    """The terminal.

    Args:
        markdown: Whether answers are shown as Markdown.
        debug: Whether errors are shown with where they came from.
    """

    def __init__(self, *, markdown: bool, debug: bool = False) -> None:
        self._markdown, self._debug = markdown, debug
        self._console = Console(file=sys.stdout, highlight=False)

    @property
    def columns(self) -> int:
        """How many characters a line has room for."""
        return self._console.width

    def say(self, text: str, style: str = "") -> None:
        """Print a text of ours; names and other foreign text may be in it."""
        self._console.print(Text(visible(text), style=style))

    def note(self, text: str) -> None:
        """Print something that matters less than what is said."""
        self.say(text, "dim")

    def problem(self, error: BaseException) -> None:
        """Print an error."""
        if self._debug:
            import traceback

            self.note("".join(traceback.format_exception(error)).rstrip())
        self.say(explained(error), "red")

    def printer(self) -> Printer:
        """Return what shows the next answer."""
        return printer(markdown=self._markdown)

    def text(self, text: str) -> None:
        """Show a text as an answer is shown."""
        shown = self.printer()
        shown.add(text)
        shown.close()
