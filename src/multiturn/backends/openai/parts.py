"""What a user says, part by part, in the words of the OpenAI protocol; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from multiturn.backends.projection import Located
from multiturn.errors import InvalidContent
from multiturn.messages.content import Content
from multiturn.messages.message import Object

# OpenAI's reference of ``input_audio``: the formats by name.
_AUDIO = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


def user_parts(parts: Iterable[Located], unsendable: Literal["raise", "note"]) -> list[Object]:
    """Return the members of a user's message.

    Raises:
        InvalidContent: A part has no form in the protocol; the path names it.
    """
    made: list[Object] = []
    for located in parts:
        if located.part.get("thought"):
            continue
        found = _part(located)
        if found is None:
            if unsendable == "raise":
                raise InvalidContent(
                    located.path,
                    located.part,
                    "text, an image, audio as wav or mp3, a document, or an image's https "
                    "address; OpenAIBackend(…, unsendable='note') says in words what was left out",
                )
            found = {"type": "text", "text": note(located.part)}
        made.append(found)
    return made


def note(part: Object) -> str:
    """Return words that stand for a part which cannot be sent."""
    for name in ("inlineData", "fileData"):
        if name in part:
            kind = part[name].get("mimeType") or "a file"
            shown = part[name].get("displayName") or part[name].get("fileUri") or ""
            return f"[{kind}{' ' if shown else ''}{shown}, left out]"
    names = [name for name in part if name not in ("thought", "thoughtSignature")]
    return f"[{', '.join(names)}, left out]"


def _part(located: Located) -> Object | None:
    part = located.part
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if "inlineData" in part:
        return _inline(part, located.path)
    if "fileData" in part:
        return _file(part["fileData"])
    if set(part) <= {"thoughtSignature", "partMetadata"}:
        return {"type": "text", "text": ""}
    return None


def _inline(part: Object, path: str) -> Object | None:
    blob = part["inlineData"]
    kind, data = str(blob.get("mimeType") or ""), str(blob.get("data") or "")
    data = data.replace("-", "+").replace("_", "/")  # the protocol takes one alphabet only
    if kind.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
    if kind in _AUDIO:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO[kind]}}
    if kind.startswith("text/"):
        raw = Content.view({"parts": [part]}).parts[0].inline_data.data
        try:
            return {"type": "text", "text": raw.decode("utf-8")}
        except UnicodeDecodeError as error:
            raise InvalidContent(path, raw, f"text in UTF-8 ({error})") from None
    if kind.startswith("application/"):
        name = blob.get("displayName") or f"document.{kind.rpartition('/')[2]}"
        url = f"data:{kind};base64,{data}"
        return {"type": "file", "file": {"filename": name, "file_data": url}}
    return None


def _file(data: Object) -> Object | None:
    uri, kind = str(data.get("fileUri") or ""), str(data.get("mimeType") or "")
    if uri.startswith("file-"):  # OpenAI's name of an uploaded file
        return {"type": "file", "file": {"file_id": uri}}
    is_web = uri.startswith(("https://", "http://", "data:"))
    # Addresses of Google's file service open for Google's models only.
    if is_web and kind.startswith("image/") and "googleapis.com/" not in uri:
        return {"type": "image_url", "image_url": {"url": uri}}
    return None
