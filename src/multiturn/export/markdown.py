"""Markdown, for people; ours can be read back.

What a reader of the source sees beside the text are comments, which no viewer shows:

    ## You <!-- multiturn:user -->             begins a content; its first text follows
    ## Model (cancelled) <!-- … -->            ends a turn that was kept as far as it came
    <!-- multiturn:text -->                    another text of the same content
    <!-- multiturn:thought -->                 a thought, quoted
    <!-- multiturn:part -->                    any other part, as JSON in a block of code

A line of text that holds such a comment gets a backslash in front.  Bytes are left out,
with a note in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import cast, get_args

from multiturn.errors import InvalidContent
from multiturn.export.conversation import Conversation, line
from multiturn.export.gemini import content_from
from multiturn.export.json_text import dumps, loads
from multiturn.export.report import Report
from multiturn.export.source import Source
from multiturn.export.words import in_words
from multiturn.history import Outcome, Turn, turns_of
from multiturn.messages.content import Content
from multiturn.messages.message import Object

_TITLE = "# Conversation with "
_SPEAKERS = {"user": "You", "model": "Model", "function": "Function", "system": "System", "": "—"}
_ROLES = {name: role for role, name in _SPEAKERS.items()}
_MARK = "<!-- multiturn:"
_PARTIAL = "|".join(one for one in get_args(Outcome) if one != "answered")
_HEADING = re.compile(
    rf"## (\S+)(?: \(({_PARTIAL})\))? <!-- multiturn:(user|model|function|system|) -->"
)
_KINDS = re.compile(r"<!-- multiturn:(text|thought|part) -->")


def recognises(source: Source) -> bool:
    """Whether a source is a conversation as Markdown, of our own making."""
    return source.text is not None and (source.text.startswith(_TITLE) or _MARK in source.text)


# -- writing -------------------------------------------------------------------------------


def write(conversation: Conversation) -> bytes:
    """Return a document."""
    blocks = [_TITLE + " ".join(conversation.model.split())]
    if conversation.system_instruction is not None:
        system = {**conversation.system_instruction.json_object, "role": "system"}
        blocks += _blocks(system)
    for turn in turns_of(conversation.head):
        for content in turn.contents[:-1]:
            blocks += _blocks(content.json_object)
        blocks += _blocks(turn.contents[-1].json_object, turn.outcome)
    return ("\n\n".join(blocks) + "\n").encode("utf-8", "replace")


def _blocks(content: Object, outcome: Outcome = "answered") -> Iterator[str]:
    role = content.get("role") or ""
    role = role if role in _SPEAKERS else ""
    mark = "" if outcome == "answered" else f" ({outcome})"
    yield f"## {_SPEAKERS[role]}{mark} {_MARK}{role} -->"
    for n, part in enumerate(content.get("parts") or ()):
        kind, text = _block(part)
        if n or kind != "text":
            yield f"{_MARK}{kind} -->"
        yield text


def _block(part: Object) -> tuple[str, str]:
    text = part.get("text")
    if isinstance(text, str) and part.get("thought"):
        return "thought", "\n".join(f"> {one}" for one in _escaped(text).split("\n"))
    if isinstance(text, str) or "inlineData" in part:
        return "text", _escaped(in_words(part))
    return "part", f"```json\n{dumps(part, indent=1)}\n```"


def _escaped(text: str) -> str:
    if _MARK not in text:
        return text
    return "\n".join(f"\\{one}" if _MARK in one else one for one in text.split("\n"))


# -- reading -------------------------------------------------------------------------------


def read(source: Source, report: Report) -> list[Conversation]:
    """Return the conversation that a document of our own making tells."""
    lines = (source.text or "").split("\n")
    model = lines[0].removeprefix(_TITLE) if lines[0].startswith(_TITLE) else ""
    if not any(map(_HEADING.fullmatch, lines)) and any(one.strip() for one in lines[1:]):
        expected = "headings with who speaks, as ## You <!-- multiturn:user -->"
        raise InvalidContent("the document", source.text, expected)
    contents: list[Content] = []
    system: Content | None = None
    outcomes: dict[int, Outcome] = {}  # by how many contents there were before
    for role, outcome, parts in _contents(lines):
        object_: Object = {"role": role, "parts": parts} if role else {"parts": parts}
        if role == "system" and not contents and system is None:
            system = Content.view({"parts": parts}, frozen=True)
        elif role == "system":
            raise InvalidContent("a heading", role, "one system instruction, at the beginning")
        else:
            contents.append(Content.view(object_, frozen=True))
            outcomes[len(contents)] = outcome
    return [_marked(line(contents, system=system, model=model), outcomes)]


def _marked(found: Conversation, outcomes: dict[int, Outcome]) -> Conversation:
    """Return a conversation with the outcomes of turns that end after so many contents."""
    head: Turn | None = None
    count = 0
    for turn in found.turns:
        count += len(turn.contents)
        head = Turn(head, turn.contents, outcome=outcomes[count])
    return found._replace(turns=tuple(turns_of(head)), head=head)


def _contents(lines: list[str]) -> Iterator[tuple[str, Outcome, list[Object]]]:
    starts = [i for i, one in enumerate(lines) if _HEADING.fullmatch(one)]
    for start, end in pairwise([*starts, len(lines)]):
        heading = _HEADING.fullmatch(lines[start])
        assert heading is not None
        yield heading[3], cast(Outcome, heading[2] or "answered"), _parts(lines, start, end)


def _parts(lines: list[str], start: int, end: int) -> list[Object]:
    marks = [i for i in range(start + 1, end) if _KINDS.fullmatch(lines[i])]
    parts: list[Object] = []
    for i, j in pairwise([start, *marks, end]):
        found = _KINDS.fullmatch(lines[i])
        # A blank line after the mark and one before the next; nothing else if there is no text.
        between = lines[i + 2 : j - 1]
        if between or j - i > 2:
            parts.append(_part(found[1] if found else "text", between, i + 3))
    return parts


def _part(kind: str, between: list[str], number: int) -> Object:
    if kind == "part":
        place = f"line {number}"
        if len(between) < 2 or between[0] != "```json" or between[-1] != "```":
            raise InvalidContent(place, "\n".join(between), "a block of code with the part as JSON")
        value = loads("\n".join(between[1:-1]), place)
        return content_from({"parts": [value]}, place).json_object["parts"][0]  # type: ignore[no-any-return]
    if kind == "thought":
        between = [one.removeprefix("> ") for one in between]
    text = "\n".join(one.removeprefix("\\") if _MARK in one else one for one in between)
    return {"text": text, "thought": True} if kind == "thought" else {"text": text}
