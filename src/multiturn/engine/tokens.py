"""Sequences of token ids: a bounded cache of them, and the ids of an answer as it arrives."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

Tokens = Sequence[int]

# The id of a token that the engine did not tell.
UNKNOWN = -1


class TokenCache:
    """Key to token ids; holds at most ``limit`` ids and forgets the least recently used."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._entries: OrderedDict[Hashable, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> array[int] | None:
        with self._lock:
            found = self._entries.get(key)
            if found is not None:
                self._entries.move_to_end(key)
            return found

    def put(self, key: Hashable, tokens: Tokens) -> array[int]:
        ids = array("i", tokens)
        with self._lock:
            replaced = self._entries.pop(key, None)
            self._held += len(ids) - (len(replaced) if replaced is not None else 0)
            self._entries[key] = ids
            while self._held > self._limit and len(self._entries) > 1:
                self._held -= len(self._entries.popitem(last=False)[1])
        return ids


class Transcript:
    """The ids and the text of one answer, chunk by chunk.

    llama.cpp sends no chunk for a token whose bytes end inside a character, so the
    ids of all but the last token of such a character are missing; the count tells.
    """

    def __init__(self) -> None:
        self._chunks: list[tuple[str, list[int], int]] = []
        self.count = 0

    def add(self, text: str, ids: list[int], count: int) -> None:
        """Take a chunk: its text, its ids, and how many tokens were generated so far."""
        missing = count - self.count - len(ids)
        self._chunks.append((text, ids, missing))
        self.count = count

    @property
    def text(self) -> str:
        return "".join(text for text, _, _ in self._chunks)

    def generated(self, tokenize: Callable[[str], Tokens]) -> list[int]:
        """Return the id of every token generated, ``UNKNOWN`` where it cannot be told.

        Args:
            tokenize: Turns text into ids, special tokens taken as text.
        """
        return [token for chunk in self._chunks for token in _complete(chunk, tokenize)]

    def spelling(
        self,
        ended_by: str,
        tokenize: Callable[[str], Tokens],
        detokenize: Callable[[Tokens], str],
    ) -> list[int] | None:
        """Return the ids that stand for the text, None if they cannot be told.

        Args:
            ended_by: llama.cpp's ``stop_type``: ``eos``, ``word`` or ``limit``.
            tokenize: Turns text into ids, special tokens taken as text.
            detokenize: Turns ids into text.
        """
        chunks = [chunk for chunk in self._chunks if chunk[1] or chunk[2]]
        if ended_by == "eos" and chunks:
            chunks.pop()
        while ended_by == "word" and chunks and not chunks[-1][0]:
            chunks.pop()
        ids = [token for chunk in chunks for token in _complete(chunk, tokenize)]
        if UNKNOWN in ids or (ended_by == "word" and detokenize(ids) != self.text):
            return None
        return ids


def _complete(chunk: tuple[str, list[int], int], tokenize: Callable[[str], Tokens]) -> list[int]:
    """Return the ids of a chunk with the missing ones, which its text tells in most cases."""
    text, ids, missing = chunk
    if not missing:
        return ids
    whole = list(tokenize(text)) if text else []
    fits = len(whole) == missing + len(ids) and whole[missing:] == ids
    return whole if fits else [UNKNOWN] * missing + ids
