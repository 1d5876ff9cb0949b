"""Markdown as it arrives: its blocks, and how a block looks in a terminal.

Nothing that a model wrote may vanish.  So HTML is shown as it was written, a link with
its address, a link's definition as text, and a line's end is kept as a line's end.
"""

from __future__ import annotations

from itertools import pairwise
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


def blocks(markup: str) -> list[str]:
    """Cut Markdown into its blocks, each with its last line's end; "" has none.

    When lines are added to it, only the last block changes.
    """
    starts = [
        token.map[0]
        for token in _PARSER.parse(markup)
        if token.level == 0 and token.nesting >= 0 and token.map is not None
    ]
    lines = markup.split("\n")
    edges = [0, *starts[1:], len(lines)]
    cut = ["\n".join(lines[start:end]) for start, end in pairwise(edges)]
    return [f"{block}\n" for block in cut[:-1]] + [block for block in cut[-1:] if block]


def rendered(block: str, console: Console) -> list[str]:
    """Return the lines that show a block on this console, as wide as it is now.

    Args:
        block: Harmless to print; may be the beginning of one.
        console: Gives width and colours; nothing is printed.
    """
    try:
        with console.capture() as capture:
            console.print(_renderable(block))
        lines = [line.rstrip(" ") for line in capture.get().split("\n")]
    except Exception:
        # An answer is shown whatever a rendering library makes of it.
        lines = [line.rstrip() for line in block.split("\n")]
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
