"""``multiturn chat QUESTION``: one answer, then the end."""

from __future__ import annotations

import sys
from pathlib import Path

from multiturn.cli.attachments import Part, attachment, piped
from multiturn.cli.options import MakeModel, Options, ready
from multiturn.cli.show import printer, show
from multiturn.errors import UsageError


def ask(
    question: str, files: list[Path], options: Options, make_model: MakeModel, *, markdown: bool
) -> None:
    """Show the answer to a question, followed by what is piped in, followed by files.

    Raises:
        MultiturnError: There is nothing to say, or the model did not answer.
    """
    attached = [attachment(path).part for path in files]
    text = piped()
    parts: list[Part] = [question] if question.strip() else []
    if text is not None:
        parts.append(f"\n\n{text}" if parts and isinstance(text, str) else text)
    if not parts and not attached:
        raise UsageError(
            'there is nothing to say; give a question, as in: multiturn chat "Why is the sky '
            'blue?", or pipe a text in'
        )
    chat = ready(make_model(options)).start_chat()
    answer = printer(markdown=markdown)
    try:
        answer.wait()
        note = show(chat.send_message([*parts, *attached], stream=True), answer)
    finally:
        answer.close()
    if note:
        print(f"multiturn: {note}", file=sys.stderr)
