"""The markers of a chat template that are tokens of their own, such as ``<tool_call>``."""

from __future__ import annotations

import re
from collections.abc import Callable

from multiturn.engine.tokens import Tokens

_MARKER = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")


class Markers:
    """What in a template's source is one token.

    llama.cpp knows two kinds: control tokens, which only text that is to be read as markup
    can spell, and those of the model's makers, which any text spells.

    Args:
        source: The template.
        tokenize: Turns text into ids; its second argument says whether markup is meant.

    Attributes:
        control: The id of each control token.
    """

    def __init__(self, source: str, tokenize: Callable[[str, bool], Tokens]) -> None:
        self.control: dict[str, int] = {}
        fused = []
        for marker in sorted(set(_MARKER.findall(source))):
            ids = list(tokenize(marker, True))
            if len(ids) != 1:
                continue
            if list(tokenize(marker, False)) == ids:
                fused.append(f"(?<={re.escape(marker[0])})(?={re.escape(marker[1:])})")
            else:
                self.control[marker] = ids[0]
        self._fused = re.compile("|".join(fused)) if fused else None

    def apart(self, text: str) -> list[str]:
        """Return a text in pieces none of which holds a marker that any text spells."""
        return [text] if self._fused is None else self._fused.split(text)
