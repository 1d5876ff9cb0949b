"""Messages of Anthropic's Messages API.

Source of the rules: the API's reference ("Messages", "Extended thinking", "Vision", "PDF
support").  A thought is sent back only with the signature that came with it; one of another
maker's model is left out.
"""

from __future__ import annotations

from typing import Any

from multiturn.backends.projection import Located, Said, projected
from multiturn.errors import InvalidContent
from multiturn.export.conversation import Conversation, line
from multiturn.export.json_text import dumps
from multiturn.export.openai import addressed, response_from
from multiturn.export.report import Report, a_list, a_text, an_object
from multiturn.export.source import Source
from multiturn.export.words import in_words
from multiturn.messages.content import Content, Part
from multiturn.messages.message import Object

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
# What other APIs of messages do not have; plain text is the same in all.
_OWN_BLOCKS = ("tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document")
# Names of the members of partMetadata in which a thought keeps what belongs to it.
_SIGNATURE, _REDACTED = "anthropic_signature", "anthropic_redacted"


def recognises(source: Source) -> bool:
    """Whether a source is in this format."""
    return recognises_value(source.value)


def recognises_value(value: Any) -> bool:
    """Whether a JSON value is in this format; one that is plain text may be of any maker."""
    messages = value.get("messages") if isinstance(value, dict) else value
    if not isinstance(messages, list):
        return False
    if isinstance(value, dict) and "system" in value:
        return True
    return any(
        isinstance(block, dict) and str(block.get("type")) in _OWN_BLOCKS
        for message in messages
        if isinstance(message, dict) and isinstance(message.get("content"), list)
        for block in message["content"]
    )


# -- writing -------------------------------------------------------------------------------


def write(conversation: Conversation) -> bytes:
    """Return the members of a request that say what was said."""
    body: Object = {"messages": _messages(conversation.history)}
    if conversation.system_instruction is not None:
        body = {"system": conversation.system_instruction.text, **body}
    return dumps(body, indent=1).encode()


def _messages(history: list[Content]) -> list[Object]:
    messages: list[Object] = []

    def say(role: str, blocks: list[Object]) -> None:
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})

    for message in projected(history):
        if isinstance(message, Said):
            say("assistant" if message.role == "model" else "user", _blocks(message))
        else:  # results come first in what the user says next
            say("user", [_result(message.id, message.response)])
    return messages


def _result(call_id: str, response: Object) -> Object:
    made: Object = {"type": "tool_result", "tool_use_id": call_id}
    for name in ("result", "error") if isinstance(response, dict) else ():
        text = response.get(name)
        # Plain text, unless it would be read as something else.
        if response.keys() == {name} and isinstance(text, str):
            if name == "error":
                return {**made, "content": text, "is_error": True}
            if response_from(text) == response:
                return {**made, "content": text}
    return {**made, "content": dumps(response)}


def _blocks(said: Said) -> list[Object]:
    found = (_block(located, said.role) for located in said.parts if located.path)
    return [block for block in found if block is not None]


def _block(located: Located, role: str) -> Object | None:
    part = located.part
    if part.get("thought"):
        return _thinking(part) if role == "model" else None
    if "functionCall" in part and role == "model":
        call = part["functionCall"]
        name, args = call.get("name") or "", call.get("args") or {}
        return {"type": "tool_use", "id": call["id"], "name": name, "input": args}
    block = _inline(part) if "inlineData" in part else None
    if "fileData" in part:
        block = _file(part["fileData"])
    if block is None or role == "model":  # a model's own media have no block
        text = in_words(part) if not set(part) <= {"thoughtSignature", "partMetadata"} else ""
        return {"type": "text", "text": text} if text else None
    return block


def _thinking(part: Object) -> Object | None:
    metadata = part.get("partMetadata") or {}
    if metadata.get(_REDACTED):
        return {"type": "redacted_thinking", "data": metadata[_REDACTED]}
    if not metadata.get(_SIGNATURE):
        return None
    signature = metadata[_SIGNATURE]
    return {"type": "thinking", "thinking": part.get("text") or "", "signature": signature}


def _inline(part: Object) -> Object | None:
    blob = part["inlineData"]
    mime, data = str(blob.get("mimeType") or ""), str(blob.get("data") or "")
    if mime in _IMAGES or mime == "application/pdf":
        source: Object = {"type": "base64", "media_type": mime, "data": data}
    elif mime == "text/plain":
        raw = Part.view(part).inline_data.data
        try:
            source = {"type": "text", "media_type": mime, "data": raw.decode("utf-8")}
        except (UnicodeDecodeError, AttributeError):
            return None
    else:
        return None
    block: Object = {"type": "image" if mime in _IMAGES else "document", "source": source}
    return {**block, "title": blob["displayName"]} if blob.get("displayName") else block


def _file(data: Object) -> Object | None:
    uri, mime = str(data.get("fileUri") or ""), str(data.get("mimeType") or "")
    kind = "image" if mime.startswith("image/") else "document"
    if uri.startswith("file_"):  # Anthropic's name of an uploaded file
        return {"type": kind, "source": {"type": "file", "file_id": uri}}
    is_web = uri.startswith(("https://", "http://")) and "googleapis.com/" not in uri
    if is_web and (kind == "image" or mime == "application/pdf"):
        return {"type": kind, "source": {"type": "url", "url": uri}}
    return None


# -- reading -------------------------------------------------------------------------------


def read(source: Source, report: Report) -> list[Conversation]:
    """Return the conversation."""
    return [read_value(source.value, report)]


def read_value(value: Any, report: Report, place: str = "$") -> Conversation:
    """Return the conversation that a JSON value holds: messages, or a request's body."""
    path, model, system = place, "", ""
    if isinstance(value, dict):
        path, model = f"{place}.messages", str(value.get("model") or "")
        report.others(value, frozenset(("messages", "model", "system")), place)
        system = _text(value.get("system"), f"{place}.system", report)
        value = value.get("messages")
    contents: list[Content] = []
    names: dict[str, str] = {}
    for i, message in enumerate(a_list(value, path, "a list of messages")):
        at = f"{path}[{i}]"
        role = an_object(message, at, "a message").get("role")
        if role not in ("user", "assistant"):
            raise InvalidContent(f"{at}.role", role, "user or assistant")
        given = message.get("content")
        blocks = [{"type": "text", "text": given}] if isinstance(given, str) else given
        listed = enumerate(a_list(blocks, f"{at}.content", "a string or a list of blocks"))
        parts = [_part(block, f"{at}.content[{j}]", names, report) for j, block in listed]
        said = [part for part in parts if part is not None]
        role = "model" if role == "assistant" else "user"
        contents.append(Content.view({"role": role, "parts": said}, frozen=True))
    return line(contents, system=system, model=model)


def _part(given: Any, place: str, names: dict[str, str], report: Report) -> Object | None:
    block = an_object(given, place)
    kind = block.get("type")
    if kind is not None:
        a_text(kind, f"{place}.type")
    known: tuple[str, ...] = ("text",)
    part: Object | None = None
    if kind == "text":
        part = {"text": a_text(block.get("text"), f"{place}.text")}
    elif kind == "thinking":
        known = ("thinking", "signature")
        part = {"text": a_text(block.get("thinking"), f"{place}.thinking"), "thought": True}
        if block.get("signature"):
            part["partMetadata"] = {_SIGNATURE: block["signature"]}
    elif kind == "redacted_thinking":
        known, data = ("data",), a_text(block.get("data"), f"{place}.data")
        part = {"text": "", "thought": True, "partMetadata": {_REDACTED: data}}
    elif kind == "tool_use":
        known = ("id", "name", "input")
        call_id, name = (a_text(block.get(n), f"{place}.{n}") for n in ("id", "name"))
        names[call_id] = name
        args = an_object(block.get("input", {}), f"{place}.input")
        part = {"functionCall": {"id": call_id, "name": name, "args": args}}
    elif kind == "tool_result":
        known = ("tool_use_id", "content", "is_error")
        part = _function_response(block, place, names, report)
    elif kind in ("image", "document"):
        known = ("source", "title")
        part = _media(block, place)
    if part is None:
        report.lose(place, f"no content has a block of type {kind!r} as this one")
    else:
        report.others(block, frozenset((*known, "type", "cache_control")), place)
    return part


def _function_response(block: Object, place: str, names: dict[str, str], report: Report) -> Object:
    call_id = a_text(block.get("tool_use_id"), f"{place}.tool_use_id")
    given, media = block.get("content"), []
    if isinstance(given, list):
        for i, inner in enumerate(given):
            path = f"{place}.content[{i}]"
            if an_object(inner, path).get("type") in ("image", "document"):
                medium = _media(inner, path)
                media += [] if medium is None else [medium]
    text = _text(given, f"{place}.content", report, ("image", "document"))
    response = {"error": text} if block.get("is_error") else response_from(text)
    made: Object = {"id": call_id, "name": names.get(call_id, ""), "response": response}
    return {"functionResponse": {**made, "parts": media} if media else made}


def _text(given: Any, place: str, report: Report, aside: tuple[str, ...] = ()) -> str:
    """Return the text of a string or of a list of blocks."""
    if given is None or isinstance(given, str):
        return given or ""
    texts = []
    for i, block in enumerate(a_list(given, place, "a string or a list of blocks")):
        path = f"{place}[{i}]"
        if an_object(block, path).get("type") == "text":
            texts.append(a_text(block.get("text"), f"{path}.text"))
        elif block.get("type") not in aside:
            report.lose(path, f"no text has a block of type {block.get('type')!r}")
    return "".join(texts)


def _media(block: Object, place: str) -> Object | None:
    source = an_object(block.get("source"), f"{place}.source")
    kind, mime = source.get("type"), str(source.get("media_type") or "")
    if kind == "base64":
        blob: Object = {"mimeType": mime, "data": a_text(source.get("data"), f"{place}.data")}
        part = {"inlineData": blob}
    elif kind == "text":
        raw = a_text(source.get("data"), f"{place}.data").encode("utf-8", "replace")
        made = Part(inline_data={"mime_type": mime or "text/plain", "data": raw})
        part = made.json_object
    elif kind in ("url", "file"):
        uri = a_text(source.get("url", source.get("file_id")), f"{place}.source.{kind}")
        return addressed(uri, "image/*" if block.get("type") == "image" else "application/pdf")
    else:
        return None
    if block.get("title"):
        part["inlineData"]["displayName"] = str(block["title"])
    return part
