"""Files that the server holds, by the names of the old SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from multiturn.errors import InvalidContent
from multiturn.messages import resources
from multiturn.messages.content import FileData
from multiturn.messages.message import Object
from multiturn.messages.resources import FileState, Status, VideoMetadata

__all__ = [
    "File",
    "FileDataDict",
    "FileDataType",
    "Status",
    "to_file_data",
]


class File:
    """A file that the server holds; can be said in a conversation as it is.

    Args:
        proto: Its message, another File, or a dict of members.
    """

    def __init__(self, proto: resources.File | File | Mapping[str, Any]) -> None:
        self._proto = resources.File(proto.to_proto() if isinstance(proto, File) else proto)

    def to_proto(self) -> resources.File:
        """Return its message."""
        return self._proto

    def to_dict(self) -> Object:
        """Return its members as plain Python data, enumerations by name."""
        return resources.File.to_dict(self._proto, use_integers_for_enums=False)

    def __repr__(self) -> str:
        import pprint

        def place(item: tuple[str, object]) -> str:
            name = item[0]
            return "" if name == "name" else f"zz_{name}" if "time" in name else name

        shown = pprint.pformat(dict(sorted(self.to_dict().items(), key=place)), sort_dicts=False)
        body = "\n   ".join(("{\n " + shown[1:]).splitlines())
        return f"genai.File({body})"

    __str__ = __repr__

    @property
    def name(self) -> str:
        """Its full name, as ``files/abc``."""
        return self._proto.name

    @property
    def display_name(self) -> str:
        """The name that its owner gave."""
        return self._proto.display_name

    @property
    def mime_type(self) -> str:
        """Its type, as ``image/png``."""
        return self._proto.mime_type

    @property
    def size_bytes(self) -> int:
        """How large it is."""
        return self._proto.size_bytes

    @property
    def create_time(self) -> datetime | None:
        """When it was uploaded."""
        return self._proto.create_time  # type: ignore[no-any-return]

    @property
    def update_time(self) -> datetime | None:
        """When it was last changed."""
        return self._proto.update_time  # type: ignore[no-any-return]

    @property
    def expiration_time(self) -> datetime | None:
        """When the server forgets it."""
        return self._proto.expiration_time  # type: ignore[no-any-return]

    @property
    def sha256_hash(self) -> bytes:
        """The hash of its bytes, as the server writes it."""
        return self._proto.sha256_hash

    @property
    def uri(self) -> str:
        """How a part names it."""
        return self._proto.uri

    @property
    def state(self) -> FileState:
        """Whether it can be used; videos are being processed for a while."""
        return self._proto.state

    @property
    def video_metadata(self) -> VideoMetadata:
        """Of a video, how long it is."""
        return self._proto.video_metadata

    @property
    def error(self) -> Status:
        """Why processing failed; empty if it did not."""
        return self._proto.error

    def delete(self) -> None:
        """Have the server forget it."""
        from multiturn.files import delete_file

        delete_file(self.name)


class FileDataDict(TypedDict):
    """A pointer to a file as a dict."""

    mime_type: str
    file_uri: str


FileDataType = FileDataDict | FileData | resources.File | File


def to_file_data(file_data: FileDataType) -> FileData:
    """Return a pointer to a file from its message, its dict, or the file."""
    if isinstance(file_data, FileData):
        return file_data
    if isinstance(file_data, Mapping):
        if "file_uri" in file_data:
            return FileData(file_data)
        file_data = resources.File(file_data)
    if not isinstance(file_data, File | resources.File):
        raise InvalidContent("$", file_data, "a FileData, a File, or a dict of one of these")
    return FileData(mime_type=file_data.mime_type, file_uri=file_data.uri)
