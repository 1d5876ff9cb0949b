"""How a model that was taught to call functions writes its calls, and reading them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_BETWEEN_TEXT_AND_CALL = "\n"
_DECODER = json.JSONDecoder(strict=False)


class Call(NamedTuple):
    """A call of a function, with its arguments by name."""

    name: str
    arguments: Mapping[str, Any]


class Segment(NamedTuple):
    """A stretch of an answer: part of the syntax of calls, or what the model says in it."""

    text: str
    is_syntax: bool


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """How calls are written: ``head name middle arguments tail``, arguments in JSON.

    Attributes:
        head: Stands before the name of the first call.
        middle: Between a name and the arguments.
        between: From the arguments of one call to the name of the next; None if an answer
            holds one call at most.
        tail: Stands after the last arguments.
        gap: Between a text and the first call.
        quotes_results: A result stands in the prompt as a JSON string.
        control: The tokens in it that no text can spell, by what is written for them.
    """

    head: str
    middle: str
    between: str | None
    tail: str
    gap: str = _BETWEEN_TEXT_AND_CALL
    quotes_results: bool = False
    control: tuple[tuple[str, int], ...] = ()

    @property
    def mark(self) -> str:
        """What in an answer says that a call begins."""
        marker = self.head.partition("{")[0].strip()
        return marker if _has_letter(marker) else self.head.strip()

    @property
    def is_only_at_the_start(self) -> bool:
        """Whether text may not stand before a call: its mark is too plain to mean one there."""
        return not _has_letter(self.head.partition("{")[0])

    def write(self, text: str, calls: Iterable[Call]) -> str:
        """Return an answer: a text, "" for none, and then calls."""
        return "".join(segment.text for segment in self._segments(text, list(calls)))

    def read(self, answer: str) -> tuple[str, list[Call]] | None:
        """Return the text and the calls of an answer, None if it is not well-formed."""
        if self.mark not in answer:  # as in most, and all are read for each prompt
            return answer, []
        reader = CallReader(self)
        text = "".join([*reader.feed(answer), *reader.rest()])
        calls = reader.calls()
        return None if calls is None else (text, calls)

    def segments(self, answer: str) -> list[Segment]:
        """Return an answer in stretches; what is no call is text throughout."""
        found = self.read(answer)
        if found is None or not found[1]:
            return [Segment(answer, False)]
        return self._segments(*found)

    def respelt(self, answer: str) -> str:
        """Return an answer as ``write`` spells the same text and calls."""
        found = self.read(answer)
        return answer if found is None or not found[1] else self.write(*found)

    def _segments(self, text: str, calls: Sequence[Call]) -> list[Segment]:
        if not calls:
            return [Segment(text, False)]
        between = f"{self.tail}\n{self.head}" if self.between is None else self.between
        segments = [Segment(f"{text}{self.gap}", False)] if text else []
        for index, call in enumerate(calls):
            segments += [
                Segment(between if index else self.head, True),
                Segment(call.name, False),
                Segment(self.middle, True),
                Segment(json.dumps(call.arguments, ensure_ascii=False), False),
            ]
        return [*segments, Segment(self.tail, True)]

    def calls_in(self, written: str) -> list[Call] | None:
        """Return the calls of which something written consists, None if it is anything else."""
        calls: list[Call] = []
        head = self.head.lstrip()
        at = len(head) if written.startswith(head) else -1
        while at >= 0:
            name, middle, _ = written[at:].partition(self.middle)
            if not middle:
                return None
            try:
                arguments, at = _DECODER.raw_decode(written, at + len(name) + len(middle))
            except (ValueError, RecursionError):
                return None
            if not isinstance(arguments, dict):
                return None
            calls.append(Call(name, arguments))
            if self.between is not None and written.startswith(self.between, at):
                at += len(self.between)
            elif written[at:].rstrip() == self.tail.rstrip():
                return calls
            else:
                return None
        return None


class CallReader:
    """Reads an answer as it is written: gives its text as it comes, its calls at the end.

    White space before a call belongs to neither.
    """

    def __init__(self, syntax: CallSyntax) -> None:
        self._syntax, self._mark = syntax, syntax.mark
        self._pending = ""
        self._is_calling = self._is_text = False

    def feed(self, written: str) -> Iterator[str]:
        """Take in what was written; give what of it is known to be text."""
        self._pending += written
        if self._is_calling:
            return
        pending = self._pending
        if self._syntax.is_only_at_the_start:
            at, known = self._at_the_start(pending)
        else:
            at = pending.find(self._mark)
            known = len(pending) - _held(pending, self._mark)
        if at >= 0:
            self._is_calling = True
            known = len(pending[:at].rstrip())
            self._pending = pending[at:]
        else:
            self._pending = pending[known:]
        if known:
            yield pending[:known]

    def rest(self) -> Iterator[str]:
        """Give the text that was held back, once nothing more is written."""
        if not self._is_calling and self._pending:
            yield self._pending
            self._pending = ""

    def calls(self) -> list[Call] | None:
        """Return the calls of the whole answer, None if they break off or are malformed."""
        return self._syntax.calls_in(self._pending) if self._is_calling else []

    def _at_the_start(self, pending: str) -> tuple[int, int]:
        """Return where the call begins (-1: nowhere yet) and how much is known to be text."""
        stripped = pending.lstrip()
        if not self._is_text and stripped.startswith(self._mark):
            return len(pending) - len(stripped), 0
        self._is_text = self._is_text or not self._mark.startswith(stripped)
        return -1, len(pending) if self._is_text else 0


def _has_letter(text: str) -> bool:
    return any(character.isalpha() for character in text)


def _held(text: str, mark: str) -> int:
    """Return the length of the end of a text that may turn out to lead up to a mark."""
    begun = next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)
    return len(text) - len(text[: len(text) - begun].rstrip())
