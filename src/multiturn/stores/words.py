"""What a word is, for searching: the same for every database, so that all find the same.

Text becomes words without case and accents before any database sees it, and a query
becomes phrases of such words, so that nothing in either can be taken for syntax.
Scripts that put no spaces between words are searched by character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from multiturn.messages.message import Object

# What is left of a longer word; PostgreSQL takes lexemes of 2046 bytes.
_WORD_CHARACTERS = 40
# A longer text is more than one passage.  PostgreSQL counts positions up to 16383 and
# takes vectors of 1 MiB: 4,000 words of 40 characters of 4 bytes, and their positions.
_PASSAGE_WORDS = 4000
# Of a longer query the first so many.
_QUERY_WORDS = 100
_EXCERPT_BEFORE, _EXCERPT_CHARACTERS = 60, 200

# Han, kana, Thai, Lao, Khmer, Burmese.
_UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u3096\u309d-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e45"
    "\u0e81-\u0eb0\u0eb2\u0eb3\u0ec0-\u0ec4\u1780-\u17b3\u1000-\u102a"
)
# Marks that belong to the letter before them, joiners and variation selectors included.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc"
    "\u093a-\u094f\u0900-\u0903\u0951-\u0957\u0962\u0963\u0981-\u0983\u09bc-\u09cd\u09d7\u0a01-\u0a03"
    "\u0a3c-\u0a4d\u0a81-\u0a83\u0abc-\u0acd\u0b01-\u0b03\u0b3c-\u0b57\u0b82\u0bbe-\u0bcd"
    "\u0c00-\u0c04\u0c3e-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6\u0d00-\u0d03\u0d3b-\u0d4d\u0d81-\u0d83"
    "\u0dca-\u0ddf\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e"
    "\u17b4-\u17d3\u1ab0-\u1aff\u1dc0-\u1dff\u200c\u200d\u20d0-\u20f0\u3099\u309a\ufe00-\ufe0f"
)
_WORD = re.compile(rf"[{_UNSPACED}][{_MARKS}]*|[^\W_{_UNSPACED}](?:[^\W_{_UNSPACED}]|[{_MARKS}])*")
_CHUNK = re.compile(r'"([^"]*)"|([^\s"]+)')

# Words that must stand one behind the other.
Phrase = tuple[str, ...]


class Word(NamedTuple):
    """A word of a text: where it stands, and how it is looked for."""

    start: int
    end: int
    folded: str


class Passage(NamedTuple):
    """A text, or a part of a long one, as it is searched.

    Attributes:
        content: Which content of its turn it is part of.
        words: Without case and accents, in order.
    """

    content: int
    words: list[str]


def words_of(text: str) -> Iterator[Word]:
    """Give the words of a text in order."""
    for match in _WORD.finditer(text):
        if folded := _folded(match[0]):
            yield Word(match.start(), match.end(), folded)


def _folded(word: str) -> str:
    if word.isascii():
        return word.lower()[:_WORD_CHARACTERS]
    apart = unicodedata.normalize("NFKD", word.casefold())
    bare = "".join(c for c in apart if not unicodedata.combining(c))
    whole = unicodedata.normalize("NFC", bare.casefold())
    # What compatibility made of a letter may hold others than letters: "½" is "1⁄2".
    return "".join(_WORD.findall(whole))[:_WORD_CHARACTERS]


def text_of(content: Object) -> str:
    """Return what is said in a content, thoughts left out."""
    texts, parts = [], content.get("parts")
    for part in parts if isinstance(parts, list) else ():  # it may be damaged
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str) and not part.get("thought"):
            texts.append(text)
    return "\n".join(texts)


def passages_of(contents: Sequence[Object]) -> Iterator[Passage]:
    """Give what is searched of a turn; nothing if it has no words."""
    for index, content in enumerate(contents):
        words = [word.folded for word in words_of(text_of(content))]
        for first in range(0, len(words), _PASSAGE_WORDS):
            part = words[first : first + _PASSAGE_WORDS]
            yield Passage(index, part)


def phrases_of(query: str) -> list[Phrase]:
    """Return what must occur: what stands in double quotes, or between spaces."""
    phrases, left = [], _QUERY_WORDS
    for match in _CHUNK.finditer(query):
        words = (word.folded for word in words_of(match[1] if match[1] is not None else match[2]))
        phrase = tuple(word for word, _ in zip(words, range(left), strict=False))
        left -= len(phrase)
        if phrase:
            phrases.append(phrase)
    return phrases


def excerpt_of(text: str, phrases: Sequence[Phrase]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return one printable line around the first hit, and where the hits lie in it."""
    words = list(words_of(text))
    spans = sorted({span for phrase in phrases for span in _spans(words, phrase)})
    begin = max(spans[0][0] - _EXCERPT_BEFORE, 0) if spans else 0
    # Not in the middle of a word, unless the words are that long.
    begin = next((w.start for w in words if begin <= w.start <= begin + 40), begin) if begin else 0
    end = min(begin + _EXCERPT_CHARACTERS, len(text))
    line = "".join(c if c.isprintable() else " " for c in text[begin:end])
    before, after = "…" if begin else "", "…" if end < len(text) else ""
    shift = len(before) - begin
    hits = tuple((a + shift, b + shift) for a, b in spans if begin <= a and b <= end)
    return before + line + after, hits


def _spans(words: Sequence[Word], phrase: Phrase) -> Iterator[tuple[int, int]]:
    for i, word in enumerate(words):
        following = words[i : i + len(phrase)]
        if word.folded == phrase[0] and tuple(w.folded for w in following) == phrase:
            yield word.start, following[-1].end
