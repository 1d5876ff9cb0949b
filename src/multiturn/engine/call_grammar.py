"""The grammar of an answer that may call functions, in llguidance's notation.

Text runs free up to the mark of a call; from there on only a whole, valid call of one of
the functions can be written.  llama.cpp's own lazy grammars do as much, but not with
llguidance, which holds the arguments to their JSON Schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from multiturn.engine.calls import CallSyntax

# Free white space would let a small model write blanks until the window is full.
JSON_SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# As many as a turn runs at once.
_MOST_CALLS = 16


def call_grammar(
    syntax: CallSyntax, schemas: Mapping[str, Mapping[str, Any]], *, forced: bool
) -> str:
    """Return the grammar of an answer.

    Args:
        syntax: How calls are written.
        schemas: The arguments of each function that may be called, in JSON Schema.
        forced: Whether the answer must be a call.  It is one then: a weak model that must
            call repeats itself as long as it may, and a turn asks again after the first.
    """
    head, mark = syntax.head, syntax.mark
    more = ""
    if syntax.between is not None and not forced:
        more = f" ({_literal(syntax, syntax.between)} call){{0,{_MOST_CALLS - 1}}}"
    rules = {"calls": f"call{more} {_literal(syntax, syntax.tail)}"}
    if forced:
        rules["start"] = f"{_literal(syntax, head)} calls"
    else:
        rules["start"] = f"TEXT | lead {_literal(syntax, head.lstrip()[len(mark) :])} calls"
        before = r"/\s*/" if syntax.is_only_at_the_start else "TEXT"
        # A lazy rule ends as soon as it can, and leaves TEXT no chance to go on.
        if dict(syntax.control).keys() & set(_parts(syntax, mark)):
            rules["lead"] = f"{before} {_literal(syntax, mark)}"
        else:
            rules["lead[lazy]"] = f"{before} {_quoted(mark)}"
        rules["TEXT"] = r"/(.|\n)*/"
    rules["call"] = " | ".join(
        f"{_quoted(name)} {_literal(syntax, syntax.middle)} "
        f"%json {json.dumps({'x-guidance': JSON_SPACING, **schema})}"
        for name, schema in schemas.items()
    )
    return "%llguidance {}\n" + "\n".join(f"{name}: {rule}" for name, rule in rules.items())


def _literal(syntax: CallSyntax, text: str) -> str:
    """Return what stands for a text of the syntax; tokens that no text spells are numbered."""
    control = dict(syntax.control)
    parts = [p for p in _parts(syntax, text) if p]
    return " ".join(f"<[{control[p]}]>" if p in control else _quoted(p) for p in parts) or '""'


def _parts(syntax: CallSyntax, text: str) -> list[str]:
    if not syntax.control:
        return [text]
    return re.split("(" + "|".join(re.escape(written) for written, _ in syntax.control) + ")", text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
