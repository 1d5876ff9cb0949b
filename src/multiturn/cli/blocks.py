"""Markdown as it arrives: which blocks are finished, and how a block looks in a terminal.

Nothing that a model wrote may vanish.  So HTML is shown as it was written, a link with
its address, a link's definition as text, and a line's end is kept as a line's end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from rich.markdown import Markdown

if TYPE_CHECKING:
    from rich.console import Console

_PARSER = (
    MarkdownIt("commonmark", {"html": False, "maxNesting": 100})
    .enable(["table", "strikethrough"])
    .disable(["reference", "html_block", "html_inline"])
)


def split_finished(markup: str) -> tuple[str, str]:
    """Return the blocks that cannot change any more, and the rest, which is still open.

    Only the last block changes when lines are added, and only whole lines count: one
    that is still arriving may yet turn out to be something else.
    """
    whole_lines = markup[: markup.rfind("\n") + 1]
    starts = [
        token.map[0]
        for token in _PARSER.parse(whole_lines)
        if token.level == 0 and token.nesting >= 0 and token.map is not None
    ]
    if len(starts) < 2:
        return "", markup
    lines = markup.split("\n")
    return "\n".join(lines[: starts[-1]]) + "\n", "\n".join(lines[starts[-1] :])


def rendered(markup: str, console: Console) -> list[str]:
    """Return the lines that show Markdown on this console, as wide as it is now.

    Args:
        markup: Harmless to print; whole blocks, or the beginning of one.
        console: Gives width and colours; nothing is printed.
    """
    try:
        with console.capture() as capture:
            console.print(_renderable(markup))
        lines = [line.rstrip(" ") for line in capture.get().split("\n")]
    except Exception:
        # An answer is shown whatever a rendering library makes of it.
        lines = [line.rstrip() for line in markup.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        del lines[0]
    return lines


def _renderable(markup: str) -> Markdown:
    document = Markdown("", hyperlinks=False)
    document.parsed = _PARSER.parse(markup)
    for token in document.parsed:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"
    return document
