"""Words that stand for a part which another format has no place for."""

from __future__ import annotations

from multiturn.backends.openai.parts import note
from multiturn.messages.message import Object


def in_words(part: Object) -> str:
    """Return code and its output as Markdown, and a note for anything else."""
    if isinstance(part.get("text"), str):
        return str(part["text"])
    if "executableCode" in part:
        code = part["executableCode"]
        return f"\n```{str(code.get('language') or '').lower()}\n{code.get('code') or ''}\n```\n"
    if "codeExecutionResult" in part:
        return f"\n```\n{part['codeExecutionResult'].get('output') or ''}\n```\n"
    return note(part)
