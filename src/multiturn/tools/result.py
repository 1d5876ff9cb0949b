"""What a function returned, as the model is told of it."""

from __future__ import annotations

from typing import Any

from multiturn.errors import InvalidResult
from multiturn.messages.content import Blob, Part
from multiturn.messages.message import Object
from multiturn.schema.result import to_json

# Text that JSON text cannot be larger than, for each byte of inline media (base64).
_MEDIA_FACTOR = 16
_SCALARS = frozenset({str, int, float, bool, type(None)})
_NO_PICTURES = _SCALARS | {dict, list, tuple}


def tool_result(value: Any, max_bytes: int) -> tuple[Object, list[Object]]:
    """Return the response of a call, and the media that go beside it.

    A dict is the response as it is; anything else becomes its ``result``.  Pictures (a
    Blob, a Part with inline bytes, an image of PIL or IPython) go beside it, whether
    they are the result, an item of a list or a value of a dict; what stands in their
    place refers to them by name.

    Args:
        value: What the function returned; an iterator is read to its end.
        max_bytes: Size of the response's JSON at most, about; media may have 16 times
            as much together.

    Raises:
        InvalidResult: JSON cannot hold the value, or it is too large.
    """
    media: list[Object] = []
    shown = value if type(value) in _SCALARS else _with_references(value, media)
    response = to_json(shown, size_limit=max_bytes)
    if not media:
        return (response if isinstance(response, dict) else {"result": response}), media
    size = sum(len(part["inlineData"].get("data") or "") for part in media)
    if size > max_bytes * _MEDIA_FACTOR:
        limit = max_bytes * _MEDIA_FACTOR
        raise InvalidResult("$", _Large(size), f"media of at most {limit} bytes; return less")
    is_whole = isinstance(response, dict) and _picture(value) is None
    return (response if is_whole else {"result": response}), media


def _with_references(value: Any, media: list[Object]) -> Any:
    """Put pictures among the media, and a reference in the place of each."""
    kind = type(value)
    if kind is dict:
        if _NO_PICTURES.issuperset(map(type, value.values())):
            return value
        return {name: _reference(member, media) for name, member in value.items()}
    if kind is list or kind is tuple:
        if _NO_PICTURES.issuperset(map(type, value)):
            return value
        return [_reference(item, media) for item in value]
    return _reference(value, media)


def _reference(value: Any, media: list[Object]) -> Any:
    picture = _picture(value)
    if picture is None:
        return value
    blob = dict(picture.json_object)
    name = blob.setdefault("displayName", f"media_{len(media) + 1}")
    media.append({"inlineData": blob})
    return {"$ref": name}


def _picture(value: Any) -> Blob | None:
    if type(value) in _NO_PICTURES:
        return None
    if isinstance(value, Part) and "inline_data" in value:
        return value.inline_data
    if isinstance(value, Blob):
        return value
    if any(cls.__name__ == "Image" for cls in type(value).__mro__):
        from multiturn.inline import to_blob_from

        return to_blob_from(value)
    return None


class _Large:
    """Stands for a value that is not worth showing."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __repr__(self) -> str:
        return f"larger than {self._size} bytes"
