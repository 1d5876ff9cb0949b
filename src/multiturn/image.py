"""Pictures and files as inline bytes.

PIL and IPython are recognised by the type's name and never imported: whoever hands in
an image has loaded its library.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from multiturn.content import Blob
from multiturn.errors import InvalidContent

# First bytes of the formats that models read (their specifications' magic numbers).
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}


def is_image(value: object) -> bool:
    """Return whether a value is an image of PIL or IPython."""
    return any(
        (cls.__module__.partition(".")[0], cls.__name__) in (("PIL", "Image"), ("IPython", "Image"))
        for cls in type(value).__mro__
    )


def to_blob_from_image(image: Any) -> Blob:
    """Return an image's own file if it came from one and is unchanged, else lossless WebP.

    Args:
        image: A ``PIL.Image.Image``, or an ``IPython.display.Image`` made from a file.
    """
    if type(image).__module__.startswith("IPython"):
        return _from_ipython(image)
    filename = getattr(image, "filename", None)
    if filename and Path(str(filename)).is_file():
        return Blob(mime_type=image.get_format_mimetype(), data=Path(str(filename)).read_bytes())
    out = io.BytesIO()
    image.save(out, format="webp", lossless=True)
    return Blob(mime_type="image/webp", data=out.getvalue())


def _from_ipython(image: Any) -> Blob:
    if image.filename is None:
        raise InvalidContent("$", image, "an IPython image made from a file: Image(filename=…)")
    return Blob(mime_type=_guess_type(image.filename) or "image/unknown", data=image.data)


def to_blob_from_bytes(data: bytes) -> Blob:
    """Return bytes with the type that their first bytes show; refuse what shows none."""
    mime_type = _magic_type(data)
    if mime_type is None:
        raise InvalidContent("$", data, "bytes of a known image, or Blob(mime_type=…, data=…)")
    return Blob(mime_type=mime_type, data=data)


def to_blob_from_path(path: Path) -> Blob:
    """Return a regular file's bytes, its type from its first bytes or its name.

    Devices and pipes are refused: reading one could wait for ever.
    """
    if not path.is_file():
        raise InvalidContent("$", path, "an existing regular file")
    data = path.read_bytes()
    mime_type = _magic_type(data) or _guess_type(str(path)) or "application/octet-stream"
    return Blob(mime_type=mime_type, data=data)


def _magic_type(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)


def _guess_type(name: str) -> str | None:
    import mimetypes

    return mimetypes.guess_type(name)[0]
