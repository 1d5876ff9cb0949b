"""Pictures, bytes and files as inline bytes; loaded when one is said.

PIL and IPython are recognised by the type's name and never imported: whoever hands in
an image has loaded its library.
"""

from __future__ import annotations

import io
import mimetypes
from pathlib import Path
from typing import Any

from multiturn.messages.content import Blob

# First bytes of the formats that models read (their specifications' magic numbers).
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}


def to_blob_from(value: object) -> Blob | None:
    """Return inline bytes of an image, bytes or a path; None for anything else.

    Args:
        value: A ``PIL.Image.Image``: its own file if it came from one, else lossless
            WebP.  An ``IPython.display.Image`` made from a file.  Bytes of a known
            format.  A ``pathlib.Path`` of a regular file.

    Raises:
        ValueError, OSError: It is one of these and cannot be read.
    """
    if isinstance(value, Blob):
        return value
    if isinstance(value, bytes | bytearray):
        return _from_bytes(bytes(value))
    if isinstance(value, Path):
        return _from_path(value)
    libraries = {
        cls.__module__.partition(".")[0] for cls in type(value).__mro__ if cls.__name__ == "Image"
    }
    if "PIL" in libraries:
        return _from_pil(value)
    return _from_ipython(value) if "IPython" in libraries else None


def _from_pil(image: Any) -> Blob:
    filename = getattr(image, "filename", None)
    if filename and Path(str(filename)).is_file():
        return Blob(mime_type=image.get_format_mimetype(), data=Path(str(filename)).read_bytes())
    out = io.BytesIO()
    image.save(out, format="webp", lossless=True)
    return Blob(mime_type="image/webp", data=out.getvalue())


def _from_ipython(image: Any) -> Blob:
    if image.filename is None:
        raise ValueError("an IPython image must be made from a file: Image(filename=…)")
    return Blob(mime_type=_type_by_name(image.filename) or "image/unknown", data=image.data)


def _from_bytes(data: bytes) -> Blob:
    mime_type = _type_by_magic(data)
    if mime_type is None:
        raise ValueError("the bytes are no known image; say Blob(mime_type=…, data=…)")
    return Blob(mime_type=mime_type, data=data)


def _from_path(path: Path) -> Blob:
    # Devices and pipes are refused: reading one could wait for ever.
    if not path.is_file():
        raise ValueError("there is no such regular file")
    data = path.read_bytes()
    mime_type = _type_by_magic(data) or _type_by_name(str(path)) or "application/octet-stream"
    return Blob(mime_type=mime_type, data=data)


def _type_by_magic(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), None)


def _type_by_name(name: str) -> str | None:
    return mimetypes.guess_type(name)[0]
