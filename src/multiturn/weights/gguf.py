"""The header of a GGUF file, read with every length checked, before native code sees it."""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

# Caps far above any real model: a header beyond them is hostile or garbage.
_MOST_TENSORS = 100_000
_MOST_ENTRIES = 100_000
_MOST_DIMENSIONS = 8
_LONGEST_STRING_BYTES = 64 * 1024 * 1024
_MOST_NESTED_ARRAYS = 4

# Value types of the GGUF specification, versions 2 and 3, as struct formats.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_STRING, _ARRAY = 8, 9

# Tensor type -> (values per block, bytes per block), from ggml's type traits.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17),
}  # fmt: skip

_KNOWN_STARTS = {
    b"version https://git-lfs": "it is a Git LFS pointer, not the file itself",
    b"<!DOCTYPE": "it is a web page, not a model",
    b"<html": "it is a web page, not a model",
    b"PK\x03\x04": "it is a zip archive, not a model; unpack it",
    b"\x1f\x8b": "it is compressed with gzip; unpack it",
}

Scalar = str | int | float | bool


class HeaderError(ValueError):
    """The header breaks the format; the message says how."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself.

    Attributes:
        version: Version of the format, 2 or 3.
        tensor_count: Number of tensors.
        entries: The metadata, without arrays.
        size_bytes: Size that the file must have at least to hold all its tensors.
    """

    version: int
    tensor_count: int
    entries: dict[str, Scalar]
    size_bytes: int

    @property
    def architecture(self) -> str:
        """Kind of network, as ``llama``; "" if the file does not say."""
        return str(self.entries.get("general.architecture", ""))

    @property
    def context_tokens(self) -> int | None:
        """The longest context that the model was trained for, None if not said."""
        value = self.entries.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) else None

    @property
    def chat_template(self) -> str | None:
        """The Jinja template that lays out a conversation; untrusted text."""
        value = self.entries.get("tokenizer.chat_template")
        return value if isinstance(value, str) else None


def read_header(path: Path) -> Header:
    """Read the header of a file and check it against the file's size.

    Raises:
        HeaderError: It is not a GGUF file, is truncated, or its header is unsound.
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(32)
        if start[:4] != b"GGUF":
            raise HeaderError(_other_kind(start))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
            return _Reader(contents).header()


def _other_kind(start: bytes) -> str:
    if not start:
        return "it is empty"
    for known, what in _KNOWN_STARTS.items():
        if start.startswith(known):
            return what
    return f"it begins with {start[:4]!r} and not with b'GGUF'"


class _Reader:
    """A position in the header; every read is checked against the end."""

    def __init__(self, contents: mmap.mmap) -> None:
        self._contents = contents
        self._end = len(contents)
        self._at = 4

    def header(self) -> Header:
        version = self._number("I")
        if version not in (2, 3):
            swapped = struct.unpack(">I", struct.pack("<I", version))[0]
            kind = "big-endian GGUF" if swapped in (2, 3) else f"GGUF of version {version}"
            raise HeaderError(f"it is {kind}; versions 2 and 3, little-endian, can be read")
        tensor_count = self._count(_MOST_TENSORS, "tensors")
        entry_count = self._count(_MOST_ENTRIES, "metadata entries")
        entries: dict[str, Scalar] = {}
        for _ in range(entry_count):
            key = self._string()
            value = self._value(self._number("I"), 0)
            if value is not None:
                entries[key] = value
        furthest = self._furthest_tensor_byte(tensor_count)
        alignment = entries.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 65536:
            raise HeaderError(f"its general.alignment is {alignment!r}")
        data_start = -(-self._at // alignment) * alignment
        size_bytes = data_start + furthest if tensor_count else self._at
        if size_bytes > self._end:
            raise HeaderError(
                f"it is truncated: it has {self._end} bytes, its tensors need {size_bytes}"
            )
        return Header(version, tensor_count, entries, size_bytes)

    def _furthest_tensor_byte(self, tensor_count: int) -> int:
        furthest = 0
        for _ in range(tensor_count):
            name = self._string()
            dimensions = self._number("I")
            if dimensions > _MOST_DIMENSIONS:
                raise HeaderError(f"its tensor {name[:40]!r} has {dimensions} dimensions")
            values = 1
            for _ in range(dimensions):
                values *= self._number("Q")
            tensor_type = self._number("I")
            offset = self._number("Q")
            # A type that is newer than this table counts as empty: its offset is still checked.
            per_block, block_bytes = _BLOCKS.get(tensor_type, (1, 0))
            furthest = max(furthest, offset + -(-values // per_block) * block_bytes)
        return furthest

    def _take(self, size_bytes: int) -> int:
        """Step over so many bytes and return where they begin."""
        start = self._at
        if size_bytes > self._end - start:
            raise HeaderError(
                f"it is truncated: its header goes on after its end at {self._end} bytes"
            )
        self._at = start + size_bytes
        return start

    def _number(self, kind: str) -> int:
        """Read one little-endian integer of a struct format."""
        number = struct.unpack_from("<" + kind, self._contents, self._take(struct.calcsize(kind)))
        return int(number[0])

    def _count(self, most: int, what: str) -> int:
        count = self._number("Q")
        if count > most:
            raise HeaderError(f"its header claims {count} {what}")
        return count

    def _string(self) -> str:
        length = self._number("Q")
        if length > _LONGEST_STRING_BYTES:
            raise HeaderError(f"its header claims a string of {length} bytes")
        start = self._take(length)
        return self._contents[start : start + length].decode("utf-8", "replace")

    def _value(self, kind: int, depth: int) -> Scalar | None:
        """Read a value; an array is stepped over and gives None."""
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_array(depth)
            return None
        if kind not in _SCALARS:
            raise HeaderError(f"its header has a value of unknown type {kind}")
        form = "<" + _SCALARS[kind]
        value: Scalar = struct.unpack_from(form, self._contents, self._take(struct.calcsize(form)))[
            0
        ]
        return value

    def _skip_array(self, depth: int) -> None:
        if depth >= _MOST_NESTED_ARRAYS:
            raise HeaderError("its header nests arrays too deep")
        kind = self._number("I")
        count = self._number("Q")
        if kind in _SCALARS:
            self._take(count * struct.calcsize("<" + _SCALARS[kind]))
        elif kind == _STRING:
            self._skip_strings(count)
        elif kind == _ARRAY:
            if count > _MOST_ENTRIES:
                raise HeaderError(f"its header claims an array of {count} arrays")
            for _ in range(count):
                self._skip_array(depth + 1)
        else:
            raise HeaderError(f"its header has an array of unknown type {kind}")

    def _skip_strings(self, count: int) -> None:
        """Step over many strings: a vocabulary has 10^5, so this loop stays bare."""
        length_at = struct.Struct("<Q").unpack_from
        at, end, contents = self._at, self._end, self._contents
        for _ in range(count):
            if at + 8 > end:
                break
            at += 8 + length_at(contents, at)[0]
        else:
            if at <= end:
                self._at = at
                return
        raise HeaderError(f"it is truncated: its header goes on after its end at {end} bytes")
