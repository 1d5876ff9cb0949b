"""ChatGPT's export: conversations.json, each a tree of messages.

There is no reference of the format; what is known of it is what exports hold.  All branches
are read; the line to the head is written.  Pictures and files lie outside the JSON, in the
archive or on OpenAI's servers.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

from multiturn.errors import InvalidContent
from multiturn.export.conversation import Conversation
from multiturn.export.json_text import dumps
from multiturn.export.openai import response_from
from multiturn.export.report import Report, a_list, a_text, an_object
from multiturn.export.source import Source
from multiturn.export.words import in_words
from multiturn.history import Turn, opens_turn
from multiturn.messages.content import Content
from multiturn.messages.message import Object

_ROLES = ("system", "user", "assistant", "tool")
# The tool that runs code; its results are its model's own.
_PYTHON = "python"
# Kinds of content that only tell the app what to show.
_SHOWN_ONLY = ("reasoning_recap", "app_pairing_content")


def recognises(source: Source) -> bool:
    """Whether a source is in this format."""
    value = source.value
    listed = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) and isinstance(one.get("mapping"), dict) for one in listed)


# -- reading -------------------------------------------------------------------------------


def read(source: Source, report: Report) -> list[Conversation]:
    """Return every conversation, with all its branches."""
    value = source.value
    if isinstance(value, dict):
        return [_conversation(value, "$", Report())]
    return [
        _conversation(an_object(one, f"$[{i}]", "a conversation"), f"$[{i}]", Report())
        for i, one in enumerate(a_list(value, "$"))
    ]


class _Growing(NamedTuple):
    """A turn that may go on: the turn before it, and its contents so far."""

    parent: Turn | None = None
    contents: tuple[Content, ...] = ()

    def plus(self, content: Content) -> _Growing:
        """Return it with a content more; what a model, or tools, say in a row is one content."""
        last = self.contents[-1] if self.contents else None
        goes_on = last is not None and last.role == content.role and not opens_turn(content)
        if last is None or not goes_on or opens_turn(last):
            return self._replace(contents=(*self.contents, content))
        parts = [*last.json_object["parts"], *content.json_object["parts"]]
        joined = Content.view({"role": last.role, "parts": parts}, frozen=True)
        return self._replace(contents=(*self.contents[:-1], joined))


class _Tree:
    """Makes turns of the messages of one conversation."""

    def __init__(self, mapping: Object, place: str, report: Report) -> None:
        self.system: list[str] = []
        self.models: list[str] = []
        self._mapping, self._place, self._report = mapping, place, report
        self._at_node: dict[str, _Growing] = {}
        # By the identity of what was closed, which is kept with it.
        self._turns: dict[int, tuple[_Growing, Turn]] = {}

    @property
    def turns(self) -> list[Turn]:
        """Every turn, each after the one it follows."""
        return [turn for _, turn in self._turns.values()]

    def grow(self) -> None:
        """Walk from the roots to every leaf."""
        waiting = [(name, _Growing()) for name in reversed(self._roots())]
        while waiting:
            name, growing = waiting.pop()
            if name in self._at_node:
                raise InvalidContent(self._at(name), name, "a tree: each node reached once")
            node = self._mapping[name]
            content = self._content(node.get("message"), f"{self._at(name)}.message")
            if content is not None:
                if opens_turn(content):
                    growing = _Growing(self._closed(growing))
                growing = growing.plus(content)
            self._at_node[name] = growing
            children = [one for one in self._children(node, name) if one in self._mapping]
            if not children:
                self._closed(growing)
            waiting += [(child, growing) for child in reversed(children)]

    def turn_at(self, name: str) -> Turn | None:
        """Return the turn that ends with a node."""
        return self._closed(self._at_node[name]) if name in self._at_node else None

    def _closed(self, growing: _Growing) -> Turn | None:
        """Return the turn that ends here, the same for every branch that goes on from it."""
        if not growing.contents:
            return growing.parent
        if id(growing) not in self._turns:
            self._turns[id(growing)] = growing, Turn(growing.parent, growing.contents)
        return self._turns[id(growing)][1]

    def _at(self, name: str) -> str:
        return f"{self._place}.mapping.{name}"

    def _roots(self) -> list[str]:
        roots = []
        for name, node in self._mapping.items():
            parent = an_object(node, self._at(name), "a node").get("parent")
            if not isinstance(parent, str) or parent not in self._mapping:
                roots.append(name)
        return roots

    def _children(self, node: Object, name: str) -> list[str]:
        given = a_list(node.get("children") or [], f"{self._at(name)}.children")
        return [a_text(child, f"{self._at(name)}.children") for child in given]

    # -- messages ----------------------------------------------------------------------------

    def _content(self, message: Any, place: str) -> Content | None:
        if message is None:
            return None
        author = an_object(an_object(message, place).get("author"), f"{place}.author")
        role, content = author.get("role"), message.get("content")
        if role not in _ROLES:
            raise InvalidContent(f"{place}.author.role", role, " or ".join(_ROLES))
        content = an_object(content, f"{place}.content")
        a_list(content.get("parts") or [], f"{place}.content.parts")
        kind = a_text(content.get("content_type"), f"{place}.content.content_type")
        metadata = message.get("metadata")
        slug = metadata.get("model_slug") if isinstance(metadata, dict) else None
        if isinstance(slug, str) and role == "assistant":
            self.models.append(slug)
        if role == "system" or kind in ("user_editable_context", "model_editable_context"):
            self.system += _told(content)
            return None
        parts = list(self._parts(message, content, kind, f"{place}.content"))
        if not parts:
            return None
        said_by = "user" if role == "user" or "functionResponse" in parts[0] else "model"
        return Content.view({"role": said_by, "parts": parts}, frozen=True)

    def _parts(self, message: Object, content: Object, kind: str, place: str) -> Iterator[Object]:
        author, recipient = message["author"], message.get("recipient") or "all"
        text = "".join(_told(content))
        if kind == "thoughts":
            for i, given in enumerate(a_list(content.get("thoughts") or [], f"{place}.thoughts")):
                one = an_object(given, f"{place}.thoughts[{i}]")
                yield {"text": str(one.get("content") or one.get("summary") or ""), "thought": True}
        elif kind in _SHOWN_ONLY:
            self._report.lose(place, f"{kind}: only says what the app shows")
        elif author["role"] == "tool":
            yield _result(str(author.get("name") or ""), text)
            self._pointers(content, place)
        elif recipient == _PYTHON:
            yield {"executableCode": {"language": "PYTHON", "code": text}}
        elif recipient != "all":
            found = response_from(text)
            args = {"input": text} if found == {"result": text} else found
            yield {"functionCall": {"name": str(recipient), "args": args}}
        elif kind in ("text", "multimodal_text"):
            yield from self._said(content, place)
        elif text:
            yield {"text": f"```\n{text}\n```" if kind == "code" else text}
        else:
            self._report.lose(place, f"content of type {kind!r}")

    def _said(self, content: Object, place: str) -> Iterator[Object]:
        given = a_list(content.get("parts") or [], f"{place}.parts")
        for i, part in enumerate(given):
            if isinstance(part, str):
                if part or len(given) == 1:
                    yield {"text": part}
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                yield {"text": part["text"]}  # what was said aloud, as text
            else:
                self._lose_pointer(part, f"{place}.parts[{i}]")

    def _pointers(self, content: Object, place: str) -> None:
        for i, part in enumerate(content.get("parts") or ()):
            if not isinstance(part, str):
                self._lose_pointer(part, f"{place}.parts[{i}]")

    def _lose_pointer(self, part: Any, place: str) -> None:
        found = part if isinstance(part, dict) else {}
        kind, pointer = found.get("content_type") or "a part", found.get("asset_pointer") or ""
        self._report.lose(
            place, f"{kind} {pointer}: its bytes are not in the file".replace("  ", " ")
        )


def _conversation(value: Object, place: str, report: Report) -> Conversation:
    mapping = an_object(value.get("mapping"), f"{place}.mapping")
    tree = _Tree(mapping, place, report)
    tree.grow()
    current = value.get("current_node")
    if current is not None and (not isinstance(current, str) or current not in mapping):
        raise InvalidContent(f"{place}.current_node", current, "the name of a node in mapping")
    head = tree.turn_at(current) if current else None
    if head is None and tree.turns:
        head = tree.turns[-1]
    system = "\n\n".join(tree.system)
    told = Content.view({"parts": [{"text": system}]}, frozen=True) if system else None
    model = str(value.get("default_model_slug") or (tree.models or [""])[-1])
    name = str(value.get("title") or "")
    found = Conversation(tuple(tree.turns), head, (), (), told, model, name)
    return found._replace(lost=tuple(report.lost))


def _told(content: Object) -> list[str]:
    """Return the texts of a content, whatever its kind."""
    texts = [part for part in content.get("parts") or () if isinstance(part, str)]
    for name in ("text", "result", "user_profile", "user_instructions", "model_set_context"):
        if isinstance(content.get(name), str):
            texts.append(content[name])
    return [text for text in texts if text]


def _result(name: str, text: str) -> Object:
    if name == _PYTHON:
        return {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": text}}
    return {"functionResponse": {"name": name, "response": response_from(text)}}


# -- writing -------------------------------------------------------------------------------


def write(conversation: Conversation) -> bytes:
    """Return a list with this one conversation, without its other branches."""
    seed = ascii(conversation.head.id if conversation.head else conversation.name)
    mapping: Object = {"client-created-root": _node("client-created-root", None, None)}
    last = "client-created-root"
    messages = list(_messages(conversation))
    for number, message in enumerate(messages):
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed}/{number}"))
        mapping[name] = _node(name, last, {"id": name, **message})
        mapping[last]["children"].append(name)
        last = name
    identity = str(uuid.uuid5(uuid.NAMESPACE_OID, seed))
    made: Object = {
        "title": conversation.name or conversation.title,
        "create_time": None,
        "update_time": None,
        "mapping": mapping,
        "moderation_results": [],
        "current_node": last,
        "conversation_id": identity,
        "id": identity,
        "default_model_slug": conversation.model or None,
    }
    return dumps([made], indent=1).encode()


def _node(name: str, parent: str | None, message: Object | None) -> Object:
    return {"id": name, "message": message, "parent": parent, "children": []}


def _messages(conversation: Conversation) -> Iterator[Object]:
    system = conversation.system_instruction
    if system is not None:
        yield _message("system", {"content_type": "text", "parts": [system.text]})
    for content in conversation.history:
        role = "assistant" if content.role == "model" else "user"
        texts: list[str] = []
        for part in content.json_object.get("parts") or ():
            told = _special(part, role)
            if told is None:
                texts.append(in_words(part))
                continue
            if texts:
                yield _message(role, {"content_type": "text", "parts": texts})
                texts = []
            yield told
        if texts:
            yield _message(role, {"content_type": "text", "parts": texts})


def _special(part: Object, role: str) -> Object | None:
    """Return the message that a part is of its own; None if it is told as text."""
    if part.get("thought") and role == "assistant":
        thoughts = [{"summary": "", "content": part.get("text") or ""}]
        return _message(role, {"content_type": "thoughts", "thoughts": thoughts})
    if "functionCall" in part:
        call = part["functionCall"]
        text, name = dumps(call.get("args") or {}), str(call.get("name") or "")
        code = {"content_type": "code", "language": "json", "text": text}
        return _message(role, code, recipient=name)
    if "functionResponse" in part:
        answer = part["functionResponse"]
        told = {"content_type": "text", "parts": [dumps(answer.get("response") or {})]}
        return _message("tool", told, name=str(answer.get("name") or ""))
    if "executableCode" in part:
        text = str(part["executableCode"].get("code") or "")
        code = {"content_type": "code", "language": "python", "text": text}
        return _message(role, code, recipient=_PYTHON)
    if "codeExecutionResult" in part:
        text = str(part["codeExecutionResult"].get("output") or "")
        return _message("tool", {"content_type": "execution_output", "text": text}, name=_PYTHON)
    return None


def _message(
    role: str, content: Object, *, name: str | None = None, recipient: str = "all"
) -> Object:
    return {
        "author": {"role": role, "name": name, "metadata": {}},
        "create_time": None,
        "update_time": None,
        "content": content,
        "status": "finished_successfully",
        "end_turn": None,
        "weight": 1,
        "metadata": {},
        "recipient": recipient,
    }
