"""The parts of an answer as one text."""

from __future__ import annotations

from collections.abc import Iterable

from multiturn.errors import UsageError
from multiturn.messages.candidate import Candidate, FinishReason
from multiturn.messages.content import Part

_MEANINGS = {
    FinishReason.SAFETY: "it was found unsafe",
    FinishReason.RECITATION: "it recited from copyrighted material",
    FinishReason.LANGUAGE: "it used an unsupported language",
    FinishReason.SPII: "it held sensitive personal data",
    FinishReason.MALFORMED_FUNCTION_CALL: "it held a call that is not valid",
}


def text_of(parts: Iterable[Part], candidate: Candidate, *, lenient: bool = False) -> str:
    """Join the text of parts, without thoughts; code and its output stand in fences.

    Args:
        parts: In order.
        candidate: Whose parts they are, named in errors.
        lenient: Leave out what is not text instead of refusing, and take no parts for "".

    Raises:
        ValueError: No part, or one that is not text.
    """
    pieces: list[str] = []
    n_parts = 0
    for part in parts:
        n_parts += 1
        kind = part.WhichOneof("data")
        if part.thought:
            continue
        if kind == "text":
            pieces.append(part.text)
        elif kind == "executable_code":
            language = part.executable_code.language.name.lower()
            label = "" if language == "language_unspecified" else f" {language}"
            pieces.append(_fenced(label, part.executable_code.code.lstrip("\n")))
        elif kind == "code_execution_result":
            outcome = part.code_execution_result.outcome.name.lower().removeprefix("outcome_")
            label = "" if outcome in ("ok", "unspecified") else f" {outcome}"
            pieces.append(_fenced(label, part.code_execution_result.output))
        elif not lenient:
            raise UsageError(
                f"the answer holds a {kind}, which is not text; read response.parts instead"
            )
    if not n_parts and not lenient:
        raise UsageError(_empty(candidate))
    return "".join(pieces)


def _fenced(label: str, body: str) -> str:
    return f"\n```{label}\n{body}\n```\n"


def _empty(candidate: Candidate) -> str:
    reason = candidate.finish_reason
    meaning = f", that is, {_MEANINGS[reason]}" if reason in _MEANINGS else ""
    said = " ".join(candidate.finish_message.split())[:500]
    ratings = f"; its safety ratings are {candidate.safety_ratings!r}"
    return (
        f"the answer has no parts, so it has no text; its finish reason is {reason.name}{meaning}"
        + (f": {said}" if said else "")
        + (ratings if candidate.safety_ratings else "")
    )
