"""``multiturn chat QUESTION``: one answer, then the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from multiturn.cli.attachments import Part, attachment, piped
from multiturn.cli.in_flight import in_flight
from multiturn.cli.show import printer, show
from multiturn.cli.visible import visible
from multiturn.errors import UsageError

if TYPE_CHECKING:
    from multiturn.chat import ChatSession


def ask(
    question: str,
    files: list[Path],
    begin: Callable[[], ChatSession],
    *,
    markdown: bool,
) -> None:
    """Show the answer to a question, followed by what is piped in, followed by files.

    Args:
        question: May be blank.
        files: What goes along.
        begin: Gives the conversation in which it is asked, once there is something to ask.
        markdown: Whether an answer may be drawn as Markdown.

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
    chat = begin()
    if chat.pending is not None:
        left = f"{in_flight(chat.pending)}; this question takes its place"
        print(f"multiturn: {visible(left)}", file=sys.stderr)
    answer = printer(markdown=markdown)
    try:
        answer.wait()
        note = show(chat.send_message([*parts, *attached], stream=True), answer)
    finally:
        answer.close()
    if note:
        print(f"multiturn: {note}", file=sys.stderr)
