"""What a function returned, as the model is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multiturn.content import Blob, Part
from multiturn.message import Message, Object
from multiturn.schema.result import to_json


def tool_result(value: Any, max_bytes: int) -> tuple[Object, list[Object]]:
    """Return the response of a call, and the media that go beside it.

    A dict is the response as it is; anything else becomes its ``result``.  Pictures (a
    Blob, a Part with inline bytes, an image of PIL or IPython) go beside it.

    Args:
        value: What the function returned; an iterator is read to its end.
        max_bytes: Size of the response's JSON at most, about.

    Raises:
        InvalidResult: JSON cannot hold the value, or it is too large.
    """
    picture = _picture(value)
    if picture is not None:
        return {"result": f"the attached {picture.mime_type}"}, [
            {"inlineData": picture.json_object}
        ]
    if isinstance(value, Message):
        value = value.json_object
    response = to_json(value, size_limit=max_bytes)
    return (response if isinstance(value, Mapping) else {"result": response}), []


def _picture(value: Any) -> Blob | None:
    if isinstance(value, Part) and "inline_data" in value:
        return value.inline_data
    if isinstance(value, Blob):
        return value
    if any(cls.__name__ == "Image" for cls in type(value).__mro__):
        from multiturn.inline import to_blob_from

        return to_blob_from(value)
    return None
