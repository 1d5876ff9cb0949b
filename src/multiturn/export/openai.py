"""Messages of OpenAI's Chat Completions, and of every server that speaks its protocol.

What is written, and what a model said, is the business of the backend's codec; here are
the messages of the others.
"""

from __future__ import annotations

import binascii
import mimetypes
from typing import Any

from multiturn.backends.openai.reply import ReplyReader
from multiturn.backends.openai.request import Style
from multiturn.errors import InvalidContent, MalformedReply, ReplyError
from multiturn.export.conversation import Conversation, line
from multiturn.export.json_text import dumps, loads
from multiturn.export.report import Report, a_list, a_text, an_object
from multiturn.export.source import Source
from multiturn.export.words import in_words
from multiturn.history import empty_path
from multiturn.messages.content import Content, Part
from multiturn.messages.message import Object

# Servers of the protocol understand reasoning_content; a part without a place is told in words.
_STYLE = Style(unsendable="note", send_reasoning=True)
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_OWN_KINDS = frozenset(("image_url", "input_audio", "file", "refusal"))
_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_MESSAGE = frozenset(("role", "content"))
_ASSISTANT = _MESSAGE | {
    "refusal", "reasoning", "reasoning_content", "tool_calls", "function_call", "images",
}  # fmt: skip


def recognises(source: Source) -> bool:
    """Whether a source is in this format."""
    return recognises_value(source.value)


def recognises_value(value: Any) -> bool:
    """Whether a JSON value is in this format."""
    messages = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(messages, list):
        return False
    return not messages or any(
        isinstance(m, dict) and "role" in m and not {"parts", "mapping"} & m.keys()
        for m in messages
    )


# -- writing -------------------------------------------------------------------------------


def write(conversation: Conversation) -> bytes:
    """Return the list of messages, the system's first."""
    said = (Content.view(_utf8(content.json_object)) for content in conversation.history)
    head, system = b"[", conversation.system_instruction
    if system is not None:
        head += dumps({"role": "system", "content": system.text}).encode()
        head += b"," if conversation.head else b""
    pieces, state = empty_path().plus(*said).folded(_STYLE)
    return b"".join([head, *pieces, _STYLE.end(state), b"]"])


def _utf8(value: Any) -> Any:
    """Return JSON that the protocol can hold: no halves of characters, text that is text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_utf8(member) for member in value]
    if not isinstance(value, dict):
        return value
    if not _is_text(value.get("inlineData")):
        return {"text": in_words({"inlineData": value["inlineData"]})}
    return {_utf8(name): _utf8(member) for name, member in value.items()}


def _is_text(blob: Any) -> bool:
    """Whether inline bytes are what their type says, as far as it says that they are text."""
    if not isinstance(blob, dict) or not str(blob.get("mimeType")).startswith("text/"):
        return True
    data = Part.view({"inlineData": blob}).inline_data.data
    try:
        return bool(data.decode("utf-8") or True)
    except (UnicodeDecodeError, AttributeError):
        return False


# -- reading -------------------------------------------------------------------------------


def read(source: Source, report: Report) -> list[Conversation]:
    """Return the conversation."""
    return [read_value(source.value, report)]


def read_value(value: Any, report: Report, place: str = "$") -> Conversation:
    """Return the conversation that a JSON value holds: messages, or a request's body."""
    path, model = place, ""
    if isinstance(value, dict):
        path, model = f"{place}.messages", str(value.get("model") or "")
        report.others(value, frozenset(("messages", "model")), place)
        value = value.get("messages")
    reader = _Messages(report)
    for i, message in enumerate(a_list(value, path, "a list of messages")):
        reader.add(an_object(message, f"{path}[{i}]", "a message"), f"{path}[{i}]")
    return line(reader.contents, system="\n\n".join(reader.system), model=model)


class _Messages:
    """Makes contents of messages, one after the other."""

    def __init__(self, report: Report) -> None:
        self.contents: list[Content] = []
        self.system: list[str] = []
        self._report = report
        self._names: dict[str, str] = {}  # of functions, by the ids of their calls
        self._results: list[Object] | None = None  # of the content that takes results

    def add(self, message: Object, place: str) -> None:
        role = message.get("role")
        if role not in _ROLES:
            raise InvalidContent(f"{place}.role", role, " or ".join(_ROLES))
        if role in ("tool", "function"):
            self._add_result(message, place)
            return
        self._results = None
        if role == "assistant":
            self._add_answer(message, place)
            return
        self._report.others(message, _MESSAGE, place)
        parts = self._parts(message.get("content"), f"{place}.content")
        if role == "user":
            self._say("user", parts)
        elif self.contents:
            self._report.lose(place, f"the {role}'s words within a conversation; kept as a user's")
            self._say("user", parts)
        else:
            self.system += [part["text"] for part in parts if "text" in part]

    def _say(self, role: str, parts: list[Object]) -> None:
        self.contents.append(Content.view({"role": role, "parts": parts}, frozen=True))

    def _parts(self, content: Any, place: str) -> list[Object]:
        if content is None or isinstance(content, str):
            return [{"text": content or ""}]
        found = []
        for i, item in enumerate(a_list(content, place, "a string or a list of parts")):
            path = f"{place}[{i}]"
            part = user_part(an_object(item, path), path)
            if part is None:
                self._report.lose(path, f"no content has a part of type {item.get('type')!r}")
            else:
                found.append(part)
        return found

    # -- what a model says -------------------------------------------------------------------

    def _add_answer(self, message: Object, place: str) -> None:
        self._report.others(message, _ASSISTANT, place)
        calls = message.get("tool_calls")
        a_list(message.get("images") or [], f"{place}.images")
        for i, call in enumerate(a_list(calls or [], f"{place}.tool_calls")):
            function = an_object(call, f"{place}.tool_calls[{i}]").get("function") or {}
            name = an_object(function, f"{place}.tool_calls[{i}].function").get("name")
            self._names[str(call.get("id") or "")] = str(name or "")
        content = message.get("content")
        if isinstance(content, list):
            message = {**message, "content": self._answer_items(content, place)}
        parts = answered(message, place)
        says_nothing = not parts and (content == "" or not message.get("refusal"))
        self._say("model", [{"text": ""}] if says_nothing else parts)

    def _answer_items(self, content: list[Any], place: str) -> list[Any]:
        """Return the items that the codec reads: of others, refusals are told as text."""
        kept = []
        for i, item in enumerate(content):
            path = f"{place}.content[{i}]"
            kind = an_object(item, path).get("type")
            if kind == "refusal":
                kept.append({"type": "text", "text": a_text(item.get("refusal"), path)})
            elif kind in ("text", "thinking", "image_url"):
                kept.append(item)
            else:
                self._report.lose(path, f"no content has a part of type {kind!r}")
        return kept

    # -- results of calls ----------------------------------------------------------------------

    def _add_result(self, message: Object, place: str) -> None:
        known = frozenset((*_MESSAGE, "tool_call_id", "name"))
        self._report.others(message, known, place)
        call_id = str(message.get("tool_call_id") or "")
        texts = self._parts(message.get("content"), f"{place}.content")
        text = "".join(part.get("text", "") for part in texts)
        made: Object = {"id": call_id} if call_id else {}
        made["name"] = str(message.get("name") or self._names.get(call_id, ""))
        made["response"] = response_from(text)
        media = [part for part in texts if "text" not in part]
        if media:
            made["parts"] = media
        if self._results is None:
            self._results = []
            self._say("user", self._results)
        self._results.append({"functionResponse": made})


def response_from(text: str) -> Object:
    """Return what a function answered: the object that a text says, or the text itself."""
    try:
        found = loads(text)
    except InvalidContent:
        found = None
    return found if isinstance(found, dict) else {"result": text}


def answered(message: Object, place: str) -> list[Object]:
    """Return the parts of an assistant's message, as the codec reads them."""
    finish = "tool_calls" if message.get("tool_calls") or message.get("function_call") else "stop"
    body = {"choices": [{"message": message, "finish_reason": finish}]}
    reader = ReplyReader(False, lambda error: ReplyError(str(error)))
    parts: list[Object] = []
    try:
        reader.feed(dumps(body).encode())
        for chunk in reader.end():
            for candidate in chunk.get("candidates", ()):
                if candidate.get("finishReason") == "MALFORMED_FUNCTION_CALL":
                    raise InvalidContent(
                        f"{place}.tool_calls", message.get("tool_calls"), "calls with arguments"
                    )
                parts += (candidate.get("content") or {}).get("parts", [])
    except (MalformedReply, ReplyError) as error:
        raise InvalidContent(place, message, f"an assistant's message ({error})") from error
    return parts


def user_part(item: Object, place: str) -> Object | None:
    """Return the part that a member of a user's message is; None if there is no such part."""
    kind = item.get("type")
    if kind is not None:
        a_text(kind, f"{place}.type")
    if kind in ("text", "input_text"):
        return {"text": a_text(item.get("text"), f"{place}.text")}
    if kind not in _OWN_KINDS:
        return None
    inner = item.get(kind)
    if kind == "image_url":
        url = inner.get("url") if isinstance(inner, dict) else inner
        return addressed(a_text(url, f"{place}.image_url.url"), "image/*")
    if kind == "refusal":
        return {"text": a_text(inner, f"{place}.refusal")}
    inner = an_object(inner, f"{place}.{kind}")
    if kind == "input_audio":
        mime = _AUDIO.get(str(inner.get("format")), f"audio/{inner.get('format')}")
        return _inline(mime, a_text(inner.get("data"), f"{place}.input_audio.data"), place)
    if inner.get("file_id"):
        return {"fileData": {"fileUri": str(inner["file_id"])}}
    part = addressed(a_text(inner.get("file_data"), f"{place}.file.file_data"), "")
    name = str(inner.get("filename") or "")
    if "inlineData" in part and name and not name.startswith("document."):
        part["inlineData"]["displayName"] = name
    return part


def addressed(url: str, otherwise: str) -> Object:
    """Return the part of an address: bytes if it holds them, else a file."""
    head, comma, data = url.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        return _inline(head.removeprefix("data:").removesuffix(";base64"), data, "$")
    mime = mimetypes.guess_type(url.partition("?")[0])[0] or otherwise
    return {"fileData": {"mimeType": mime, "fileUri": url}}


def _inline(mime: str, data: str, place: str) -> Object:
    try:
        binascii.a2b_base64(data, strict_mode=bool(data))
    except ValueError as error:
        raise InvalidContent(place, data, f"base64 ({error})") from None
    return {"inlineData": {"mimeType": mime, "data": data}}
