"""From messages to the exact tokens of a prompt, through the model's own chat template.

The template is rendered with a placeholder in place of every text, split there, and only
its own parts are tokenised with special tokens: a user's text that looks like a role
marker stays text.  The model's own answers keep the token ids that they were generated
with, so that the prompt of the next turn continues the key/value cache to the token.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from multiturn.engine.protocol import Message, Messages, Role, Template, check_messages
from multiturn.engine.tokens import TokenCache, Tokens
from multiturn.errors import EngineError

Ask = Callable[[str, Mapping[str, Any] | None], dict[str, Any]]
# Who spoke, and whether there was a text.
Shape = tuple[tuple[Role, bool], ...]

_SEGMENT_LIMIT_TOKENS = 1_000_000
_ANSWER_LIMIT_TOKENS = 1_000_000
_LAYOUT_LIMIT = 64
_BETWEEN_JOINED = "\n\n"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as tokens; ``key`` stands for exactly these tokens in this process."""

    tokens: list[int]
    key: int


class PromptBuilder:
    """Builds prompts for one loaded model. Safe for use from several threads.

    Args:
        ask: Reaches the engine's own template and tokenizer.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._segments = TokenCache(_SEGMENT_LIMIT_TOKENS)
        self._answers = TokenCache(_ANSWER_LIMIT_TOKENS)
        self._layouts: OrderedDict[Shape, list[str | int]] = OrderedDict()
        self._lock = threading.Lock()
        self._start = self._tokenize("", special=True, start=True)[:1]
        self.template = _probe(self._render, str(ask("/props", None).get("chat_template", "")))

    def build(self, messages: Messages) -> Prompt:
        """Return the prompt that asks for the message after ``messages``.

        A last message of the assistant is continued.

        Raises:
            InvalidContent: A role or a text cannot be sent.
            EngineError: The template refuses this order of messages.
        """
        check_messages(messages)
        ordered = self._ordered(messages)
        tokens = list(self._start)
        key = hash(tuple(tokens))
        for segment in self._layout(_shape(ordered)):
            if isinstance(segment, str):
                ids = self._tokens(segment, special=True)
            else:
                role, text = ordered[segment]
                kept = self._answers.get((key, text)) if role == "assistant" else None
                ids = self._tokens(text, special=False) if kept is None else kept
            tokens += ids
            key = hash((key, tuple(ids)))
        return Prompt(tokens, key)

    def expect(self, messages: Messages) -> None:
        """Lay out the prompt of the next user's message while nobody waits for it.

        The template is rendered whole for every prompt, which takes longer the more
        messages there are; whether it would change what is old is known to no one.
        """
        try:
            self._layout(_shape(self._ordered([*messages, ("user", "next")])))
        except EngineError:
            return  # whoever asks for such a prompt is told

    def remember(self, prompt: Prompt, text: str, ids: Tokens) -> None:
        """Keep the ids with which the model answered ``prompt`` with ``text``."""
        stripped = text.strip() if "assistant" in self.template.trims else text
        self._answers.put((prompt.key, stripped), ids)

    def tokenize(self, text: str) -> Tokens:
        """Return the ids of ``text``, taken as text throughout."""
        return self._tokenize(text, special=False)

    def detokenize(self, tokens: Tokens) -> str:
        """Return the text of ``tokens``."""
        return str(self._ask("/detokenize", {"tokens": list(tokens)})["content"])

    def _ordered(self, messages: Messages) -> list[Message]:
        """Return the messages as this template takes them."""
        template = self.template
        ordered: list[Message] = [
            (role, text.strip() if role in template.trims else text) for role, text in messages
        ]
        if template.system == "merged":
            ordered = _merge_system(ordered)
        elif template.inserts_system and ordered[0][0] != "system":
            ordered.insert(0, ("system", ""))
        return _join_neighbours(ordered) if template.alternates else ordered

    def _layout(self, shape: Shape) -> list[str | int]:
        """Return the rendered template as its own parts (str) and messages' places (int).

        Who wants a layout that is being made waits for it.
        """
        with self._lock:
            known = self._layouts.get(shape)
            if known is None:
                known = self._layouts[shape] = self._lay_out(shape)
            self._layouts.move_to_end(shape)
            while len(self._layouts) > _LAYOUT_LIMIT:
                self._layouts.popitem(last=False)
            return known

    def _lay_out(self, shape: Shape) -> list[str | int]:
        rendered = self._render(
            [(role, _placeholder(i) if filled else "") for i, (role, filled) in enumerate(shape)]
        )
        layout = _split(rendered)
        places = [part for part in layout if isinstance(part, int)]
        lost = {i for i, (_, filled) in enumerate(shape) if filled} - set(places)
        if lost:
            roles = ", ".join(f"{i} ({shape[i][0]})" for i in sorted(lost))
            raise EngineError(
                f"the chat template leaves out messages {roles}; let roles alternate, or give "
                "another chat_template"
            )
        return layout

    def _render(self, messages: list[Message]) -> str:
        listed = [{"role": role, "content": text} for role, text in messages]
        return str(self._ask("/apply-template", {"messages": listed})["prompt"])

    def _tokens(self, text: str, *, special: bool) -> Tokens:
        known = self._segments.get((special, text))
        if known is not None:
            return known
        return self._segments.put((special, text), self._tokenize(text, special=special))

    def _tokenize(self, text: str, *, special: bool, start: bool = False) -> list[int]:
        body = {"content": text, "parse_special": special, "add_special": start}
        return list(self._ask("/tokenize", body)["tokens"])


def _shape(messages: Messages) -> Shape:
    return tuple((role, bool(text)) for role, text in messages)


def _placeholder(index: int) -> str:
    return f"@@multiturn-{index}@@"


_PLACE = re.compile(r"@@multiturn-(\d+)@@")


def _split(rendered: str) -> list[str | int]:
    """Split at the placeholders: template text and message indices, in order."""
    parts = _PLACE.split(rendered)
    return [int(part) if i % 2 else part for i, part in enumerate(parts) if part]


def _probe(render: Callable[[list[Message]], str], source: str) -> Template:
    """Find out what the template does, by rendering it."""
    system: Message = ("system", "@@s@@")
    user: Message = ("user", "@@u@@")
    again: Message = ("assistant", "@@a@@")
    alone = render([user])
    if "@@u@@" not in alone:
        raise EngineError("the chat template does not render a user's message; give another one")
    head = alone.partition("@@u@@")[0]
    try:
        before, shown, after = render([system, user]).partition("@@s@@")
    except EngineError:
        before, shown, after = head, "", ""
    # llama.cpp itself moves a first system text into the user's turn where the template
    # takes none, but only a first one.
    mode: Literal["own", "merged"] = "own" if shown and before != head else "merged"
    middle = after.partition("@@u@@")[0]
    inserts = (
        mode == "own"
        and head.startswith(before)
        and head.endswith(middle)
        and len(head) > len(before) + len(middle)
    )
    try:
        alternates = "@@v@@" not in render([user, ("user", "@@v@@")])
    except EngineError:
        alternates = True
    padded: list[Message] = [(role, f" \n{text}\n ") for role, text in (system, user, again, user)]
    padded = padded if mode == "own" else padded[1:]
    rendered = render(padded)
    trims = frozenset(role for role, text in padded if text not in rendered)
    return Template(source, mode, inserts, alternates, trims)


def _merge_system(messages: list[Message]) -> list[Message]:
    """Put each system text before the user message that follows it."""
    merged: list[Message] = []
    waiting = ""
    for role, text in messages:
        if role == "system":
            waiting = _joined(waiting, text)
        elif role == "user" and waiting:
            merged.append((role, _joined(waiting, text)))
            waiting = ""
        else:
            merged.append((role, text))
    if waiting:
        merged.append(("user", waiting))
    return merged or [("user", "")]


def _join_neighbours(messages: list[Message]) -> list[Message]:
    """Join messages of one role that stand next to each other."""
    joined: list[Message] = []
    for role, text in messages:
        before = joined.pop()[1] if joined and joined[-1][0] == role else ""
        joined.append((role, _joined(before, text)))
    return joined


def _joined(first: str, second: str) -> str:
    return f"{first}{_BETWEEN_JOINED}{second}" if first and second else first or second
