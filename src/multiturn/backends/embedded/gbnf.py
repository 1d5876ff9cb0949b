"""Grammars in llama.cpp's notation (GBNF)."""

from __future__ import annotations

from collections.abc import Iterable


def one_of(texts: Iterable[str]) -> str:
    """Return the grammar of an answer that is exactly one of some texts."""
    return "root ::= " + " | ".join(_literal(str(text)) for text in texts)


def _literal(text: str) -> str:
    """Quote a text; everything but plain ASCII is written as an escaped code point."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character.isascii() and character.isprintable() and character not in '"\\':
        return character
    return f"\\U{ord(character):08X}"
