"""What a person sees of an answer: the whole of it, once, however it was cut into pieces."""

from __future__ import annotations

import io
import re

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from multiturn.cli.blocks import blocks
from multiturn.cli.markdown import MarkdownPrinter

ANSWER = """\
# Fruits

Here are *some* fruits:
one per line.

1. apple
2. pear
   - green
   - yellow

3. fig

| name | colour |
|------|--------|
| kiwi | brown  |

> quoted
> words

```python
def fruit():

    return "plum"
```
See [the list](http://example.com/fruits) and <b>markup</b>, 2 < 3 & `code`.

[1]: http://example.com/source
    indented
Last line without an end"""


def screen_after(text: str, piece_length: int, columns: int, lines: int = 12) -> list[str]:
    """Print in pieces and return every line that the terminal has ever kept."""
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, width=columns, height=lines, legacy_windows=False,
        color_system="truecolor",
    )  # fmt: skip
    printer = MarkdownPrinter(console)
    printer.wait()
    for start in range(0, len(text), piece_length):
        printer.add(text[start : start + piece_length])
        printer._draw_again_at = 0.0
    printer.close()
    screen = pyte.HistoryScreen(columns, lines, history=100_000, ratio=0.5)
    pyte.Stream(screen).feed(file.getvalue().replace("\n", "\r\n"))
    gone = ["".join(line[x].data for x in range(columns)) for line in screen.history.top]
    return [line.rstrip() for line in [*gone, *screen.display]]


def trimmed(lines: list[str]) -> list[str]:
    return "\n".join(lines).rstrip().split("\n")


@pytest.mark.parametrize("columns", [12, 40, 100])
@pytest.mark.parametrize("piece_length", [1, 17])
def test_an_answer_looks_the_same_however_it_was_cut(columns: int, piece_length: int) -> None:
    whole = trimmed(screen_after(ANSWER, len(ANSWER), columns))

    assert whole == trimmed(screen_after(ANSWER, piece_length, columns))


def test_nothing_that_the_model_wrote_vanishes() -> None:
    shown = " ".join(screen_after(ANSWER, 5, 100))

    missing = [word for word in re.findall(r"\w+", ANSWER) if word not in shown]
    assert ["python"] == missing  # the name of the code's language


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"- item {i}" for i in range(200)),
        "```\n" + "\n".join(f"item {i}" for i in range(200)) + "\n```",
        "\n".join(f"item {i}" for i in range(200)),
        "\n\n".join(f"item {i}" for i in range(200)),
        " ".join(f"item {i}" for i in range(500)),
    ],
    ids=["list", "code", "lines", "paragraphs", "one paragraph"],
)
def test_an_answer_higher_than_the_screen_is_kept_whole_and_once(text: str) -> None:
    shown = " ".join(screen_after(text, 120, 60, lines=10))

    items = int(re.findall(r"\d+", text)[-1]) + 1
    assert list(map(str, range(items))) == re.findall(r"\d+", shown)


def test_lines_stay_lines() -> None:
    assert ["Roses are red", "Violets are blue"] == trimmed(
        screen_after("Roses are red\nViolets are blue", 4, 80)
    )


def test_a_link_shows_where_it_leads_and_sends_the_terminal_no_link() -> None:
    file = io.StringIO()
    printer = MarkdownPrinter(Console(file=file, force_terminal=True, width=80))
    printer.add("[your bank](http://evil.example)")
    printer.close()

    assert "http://evil.example" in file.getvalue()
    assert "\x1b]8" not in file.getvalue()


MARKDOWN = st.lists(
    st.sampled_from(
        ["# ", "- ", "1. ", "> ", "```", "~~~", "    ", "\n", "\n\n", "|", "---", "===", "*", "_",
         "[a](b)", "[a]: b", "![a](b)", "<b>", "<!-- ", "`", "\\", "&amp;", "word", "x ", "é", "漢",
         "\t", "* * *", "| - |\n"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(MARKDOWN)
def test_blocks_are_the_text_and_cutting_their_rest_again_changes_nothing(text: str) -> None:
    cut = blocks(text)

    assert text == "".join(cut)
    assert cut == [again for block in cut for again in blocks(block)]


@settings(max_examples=50, deadline=None)
@given(MARKDOWN, st.integers(1, 7))
def test_any_markdown_looks_the_same_however_it_was_cut(text: str, piece_length: int) -> None:
    assert trimmed(screen_after(text, len(text) or 1, 30)) == trimmed(
        screen_after(text, piece_length, 30)
    )
