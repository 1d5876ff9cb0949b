"""From messages to the exact tokens of a prompt, through the model's own chat template.

The template is rendered with a placeholder in place of every text, split there, and only
its own parts are tokenised with special tokens: a user's text that looks like a role
marker stays text.  The model's own answers keep the token ids that they were generated
with, so that the prompt of the next turn continues the key/value cache to the token.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from multiturn.engine.call_probe import CALL_ID, probe_calls
from multiturn.engine.calls import Segment
from multiturn.engine.markers import Markers
from multiturn.engine.protocol import Message, Messages, Role, Template, Tools, check_messages
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
        self._layouts: OrderedDict[tuple[Shape, str], list[str | int]] = OrderedDict()
        self._lock = threading.Lock()
        self._start = self._tokenize("", special=True, start=True)[:1]
        source = str(ask("/props", None).get("chat_template", ""))
        self._markers = Markers(source, lambda text, special: self._tokens(text, special=special))
        calls = probe_calls(self._apply, source, self._markers.control)
        self.template = replace(_probe(self._render, source), calls=calls)

    def build(self, messages: Messages, tools: Tools | None = None) -> Prompt:
        """Return the prompt that asks for the message after ``messages``.

        A last message of the assistant is continued.  Calls in what the assistant said
        are calls again; in any other text they stay text.

        Raises:
            InvalidContent: A role or a text cannot be sent.
            EngineError: The template refuses this order of messages.
        """
        check_messages(messages)
        ordered = self._ordered(messages)
        tokens = list(self._start)
        key = hash(tuple(tokens))
        for segment in self._layout(_shape(ordered), tools):
            if isinstance(segment, str):
                ids = self._tokens(segment, special=True)
            elif ordered[segment][0] == "assistant":
                ids = self._said(key, ordered[segment][1])
            else:
                ids = self._told(*ordered[segment])
            tokens += ids
            key = hash((key, tuple(ids)))
        return Prompt(tokens, key)

    def expect(self, messages: Messages, answer: str, tools: Tools | None = None) -> None:
        """Lay out the prompt after an answer, and what it calls for, while nobody waits for it.

        The template is rendered whole for every prompt, which takes longer the more
        messages there are; whether it would change what is old is known to no one.
        """
        try:
            calls = None if self.template.calls is None else self.template.calls.read(answer)
            results: list[Message] = [("result", "next")] * (len(calls[1]) if calls else 0)
            following = [*messages, ("assistant", answer), *(results or [("user", "next")])]
            self._layout(_shape(self._ordered(following)), tools)
        except EngineError:
            return  # whoever asks for such a prompt is told

    def remember(self, prompt: Prompt, text: str, ids: Tokens) -> None:
        """Keep the ids with which the model answered ``prompt`` with ``text``."""
        stripped = text.strip() if "assistant" in self.template.trims else text
        self._answers.put((prompt.key, self._respelt(stripped)), ids)

    def tokenize(self, text: str) -> Tokens:
        """Return the ids of ``text``, taken as text throughout."""
        return self._tokenize(text, special=False)

    def detokenize(self, tokens: Tokens) -> str:
        """Return the text of ``tokens``."""
        return str(self._ask("/detokenize", {"tokens": list(tokens)})["content"])

    def _said(self, key: int, text: str) -> Tokens:
        """Return the tokens of an answer, those it was generated with if they are known."""
        kept = self._answers.get((key, self._respelt(text)))
        if kept is not None:
            return kept
        calls = self.template.calls
        segments = [Segment(text, False)] if calls is None else calls.segments(text)
        return [i for part in segments for i in self._tokens(part.text, special=part.is_syntax)]

    def _told(self, role: Role, text: str) -> Tokens:
        """Return the tokens of what the model is told, in which nothing is markup."""
        calls = self.template.calls
        if role == "result" and calls is not None and calls.quotes_results:
            text = json.dumps(text, ensure_ascii=False)[1:-1]
        parts = self._markers.apart(text)
        return [i for part in parts for i in self._tokens(part, special=False)]

    def _respelt(self, answer: str) -> str:
        """Return an answer as the backend spells it, whichever way the model did."""
        calls = self.template.calls
        return answer if calls is None else calls.respelt(answer)

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

    def _layout(self, shape: Shape, tools: Tools | None) -> list[str | int]:
        """Return the rendered template as its own parts (str) and messages' places (int).

        Who wants a layout that is being made waits for it.
        """
        listed = _listed(tools)
        key = shape, json.dumps(listed)
        with self._lock:
            known = self._layouts.get(key)
            if known is None:
                known = self._layouts[key] = self._lay_out(shape, listed)
            self._layouts.move_to_end(key)
            while len(self._layouts) > _LAYOUT_LIMIT:
                self._layouts.popitem(last=False)
            return known

    def _lay_out(self, shape: Shape, tools: Sequence[dict[str, Any]]) -> list[str | int]:
        rendered = self._render(
            [(role, _placeholder(i) if filled else "") for i, (role, filled) in enumerate(shape)],
            tools,
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

    def _render(self, messages: list[Message], tools: Sequence[dict[str, Any]] = ()) -> str:
        return self._apply([_listed_message(role, text) for role, text in messages], tools)

    def _apply(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> str:
        body: dict[str, Any] = {"messages": messages}
        if tools:
            # They are shown all the same; but else llama.cpp refuses what its own grammars,
            # which are not used, cannot hold.
            body |= {"tools": tools, "tool_choice": "none"}
        return str(self._ask("/apply-template", body)["prompt"])

    def _tokens(self, text: str, *, special: bool) -> Tokens:
        known = self._segments.get((special, text))
        if known is not None:
            return known
        return self._segments.put((special, text), self._tokenize(text, special=special))

    def _tokenize(self, text: str, *, special: bool, start: bool = False) -> list[int]:
        body = {"content": text, "parse_special": special, "add_special": start}
        return list(self._ask("/tokenize", body)["tokens"])


def _listed_message(role: Role, text: str) -> dict[str, Any]:
    if role != "result":
        return {"role": role, "content": text}
    return {"role": "tool", "tool_call_id": CALL_ID, "content": text}


def _listed(tools: Tools | None) -> list[dict[str, Any]]:
    """Return the functions as llama.cpp takes them, cut where a marker may begin."""
    functions = () if tools is None else tools.functions
    return [
        {
            "type": "function",
            "function": {
                "name": _cut(function.name),
                "description": _cut(function.description),
                "parameters": _cut(function.parameters),
            },
        }
        for function in functions
    ]


def _shape(messages: Messages) -> Shape:
    return tuple((role, bool(text)) for role, text in messages)


def _placeholder(index: int) -> str:
    return f"@@multiturn-{index}@@"


def _cut(value: Any) -> Any:
    """Return a JSON value with cuts in its texts: no marker, and no placeholder, is whole."""
    if isinstance(value, str):
        return _MAY_BEGIN_A_MARKER.sub("@@multiturn-@@", value)
    if isinstance(value, Mapping):
        return {_cut(name): _cut(member) for name, member in value.items()}
    return [_cut(item) for item in value] if isinstance(value, list | tuple) else value


_PLACE = re.compile(r"@@multiturn-(\d*)@@")
_MAY_BEGIN_A_MARKER = re.compile(r"(?<=[<\[@])(?=\S)")


def _split(rendered: str) -> list[str | int]:
    """Split at cuts and placeholders: template text and message indices, in order."""
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
        same = joined and joined[-1][0] == role and role != "result"
        before = joined.pop()[1] if same else ""
        joined.append((role, _joined(before, text)))
    return joined


def _joined(first: str, second: str) -> str:
    return f"{first}{_BETWEEN_JOINED}{second}" if first and second else first or second
