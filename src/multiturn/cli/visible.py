"""Makes text harmless to print: control characters become signs that can be seen.

A terminal obeys what it is sent: an escape sequence in a model's answer could write the
clipboard (OSC 52), hide where a link leads (OSC 8), or overwrite what was shown before.
"""

from __future__ import annotations

# ECMA-48: C0 is 0-31 and DEL is 127, C1 is 128-159.  C0 and DEL have pictures in Unicode
# from U+2400 on.  Line feed and tab only move on; a carriage return moves back.
_TABLE: dict[int, int | None] = {code: 0x2400 + code for code in range(0x20)}
_TABLE |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_TABLE |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)  # lone surrogates cannot be encoded
_TABLE |= {0x7F: 0x2421, ord("\r"): None}
del _TABLE[ord("\n")], _TABLE[ord("\t")]


def visible(text: str) -> str:
    """Return text in which no character makes a terminal do more than show it."""
    return text if text.isprintable() else text.translate(_TABLE)


def one_line(text: str, most_characters: int = 72) -> str:
    """Return the beginning of a text as one harmless line."""
    line = " ".join(visible(text[: 4 * most_characters]).split())
    return line if len(line) <= most_characters else line[: most_characters - 1] + "…"
