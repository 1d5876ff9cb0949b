"""The header of a GGUF file, read and checked without the engine; weights are not read.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
A hostile header costs at most its own bytes: every count and length is compared
with what is left of the file before anything is read or allocated.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from multiturn.errors import WeightsBroken

_LARGEST_COUNT = 100_000
_LARGEST_KEY_BYTES = 65_535
_LARGEST_STRING_BYTES = 16 * 2**20
_DEEPEST_ARRAY = 4
_MOST_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
    10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip

# Type of a tensor -> (elements in a block, bytes of a block), from ggml.h and ggml-common.h.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176),
    14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98),
    19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of its model.

    Attributes:
        size_bytes: Size of the file.
        tensors: Number of tensors.
        scalars: Every metadata value that is not an array.
    """

    path: Path
    size_bytes: int
    tensors: int
    scalars: dict[str, Scalar]

    @property
    def architecture(self) -> str:
        """Name of the architecture, as ``llama``."""
        return str(self.scalars.get("general.architecture", ""))

    @property
    def context_tokens(self) -> int:
        """Size of the window that the model was trained with."""
        return self._number("context_length", 0)

    @property
    def state_bytes_per_token(self) -> int:
        """Size of one token's keys and values at 16 bits each, 0 if the header does not say.

        An upper bound where layers differ: it takes every layer for one with full attention.
        """
        layers, heads = self._number("block_count", 0), self._number("attention.head_count", 0)
        key_heads = self._number("attention.head_count_kv", heads)
        width = self._number("embedding_length", 0) // heads if heads else 0
        key, value = (self._number(f"attention.{n}_length", width) for n in ("key", "value"))
        return 2 * layers * key_heads * (key + value)

    def _number(self, name: str, otherwise: int) -> int:
        value = self.scalars.get(f"{self.architecture}.{name}", otherwise)
        return value if isinstance(value, int) and value >= 0 else otherwise


def read_header(path: Path) -> Header:
    """Read and check the header of the GGUF file at ``path``.

    Raises:
        WeightsBroken: It is not GGUF, is truncated, or contradicts itself.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file, os.fstat(file.fileno()).st_size).header()
    except OSError as error:
        raise WeightsBroken(path, error.strerror or str(error), "check the path") from error


class _Reader:
    def __init__(self, path: Path, file: BinaryIO, size_bytes: int) -> None:
        self._path, self._file, self._size = path, file, size_bytes
        self._at = 0

    def header(self) -> Header:
        if (magic := self._take(min(4, self._size), "magic")) != b"GGUF":
            raise self._broken(f"it begins with {magic!r}, not b'GGUF'")
        version = self._whole("<I", "version")
        if version not in (2, 3):
            raise self._broken(f"it is GGUF version {version}; 2 and 3 are known")
        tensors = self._count("tensor count")
        if not tensors:
            raise self._broken("it holds no tensors")
        pairs = self._count("metadata count")
        scalars: dict[str, Scalar] = {}
        for _ in range(pairs):
            key = self._text("metadata key", _LARGEST_KEY_BYTES)
            value = self._value(self._whole("<I", f"type of {key[:60]!r}"), key)
            if value is not None:
                scalars[key] = value
        self._check_tensors(tensors, scalars)
        return Header(self._path, self._size, tensors, scalars)

    def _check_tensors(self, count: int, scalars: dict[str, Scalar]) -> None:
        alignment = scalars.get("general.alignment", _DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20:
            raise self._broken(f"general.alignment is {alignment!r}")
        furthest = 0
        for _ in range(count):
            name = self._text("tensor name", _LARGEST_KEY_BYTES)
            dimensions = self._whole("<I", "dimensions")
            if dimensions > _MOST_DIMENSIONS:
                raise self._broken(f"tensor {name[:60]!r} has {dimensions} dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= self._whole("<Q", "dimension")
            kind, offset = self._whole("<I", "tensor type"), self._whole("<Q", "tensor offset")
            if offset % alignment:
                raise self._broken(f"tensor {name[:60]!r} starts at {offset}, off its alignment")
            block, block_bytes = _BLOCKS.get(
                kind, (1, 0)
            )  # an unknown type is the engine's to refuse
            furthest = max(furthest, offset + elements // block * block_bytes)
        start = -(-self._at // alignment) * alignment
        if count and start + furthest > self._size:
            needed = f"{start + furthest} bytes are needed and the file has {self._size}"
            raise self._broken(f"it is truncated: {needed}")

    def _value(self, kind: int, key: str, depth: int = 0) -> Scalar | None:
        if kind == _STRING:
            return self._text(key, _LARGEST_STRING_BYTES)
        if kind == _ARRAY:
            self._skip_array(key, depth)
            return None
        if kind not in _SCALARS:
            raise self._broken(f"metadata {key[:60]!r} has the unknown type {kind}")
        number: Scalar = self._unpack(_SCALARS[kind], key)
        return number

    def _skip_array(self, key: str, depth: int) -> None:
        if depth >= _DEEPEST_ARRAY:
            raise self._broken(f"metadata {key[:60]!r} nests arrays too deeply")
        kind, length = self._whole("<I", key), self._whole("<Q", key)
        if kind in _SCALARS:
            self._skip(length * struct.calcsize(_SCALARS[kind]), key)
        elif kind not in (_STRING, _ARRAY):
            raise self._broken(f"array {key[:60]!r} has the unknown type {kind}")
        else:
            smallest = 8 if kind == _STRING else 12
            if length * smallest > self._size - self._at:
                raise self._broken(f"array {key[:60]!r} claims {length} elements, past the end")
            for _ in range(length):
                if kind == _STRING:
                    self._skip(self._whole("<Q", key), key)
                else:
                    self._skip_array(key, depth + 1)

    def _count(self, what: str) -> int:
        count = self._whole("<Q", what)
        if count > _LARGEST_COUNT:
            raise self._broken(f"its {what} is {count}; at most {_LARGEST_COUNT} is sensible")
        return count

    def _text(self, what: str, largest: int) -> str:
        length = self._whole("<Q", what)
        if length > largest:
            raise self._broken(
                f"{what[:60]!r} claims {length} bytes; at most {largest} is sensible"
            )
        return self._take(length, what).decode("utf-8", "replace")

    def _whole(self, layout: str, what: str) -> int:
        return int(self._unpack(layout, what))

    def _unpack(self, layout: str, what: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(
            layout, self._take(struct.calcsize(layout), what)
        )[0]
        return value

    def _take(self, length: int, what: str) -> bytes:
        self._check_left(length, what)
        taken = self._file.read(length)
        if len(taken) != length:
            raise self._broken(f"it ended while {what[:60]!r} was read")
        self._at += length
        return taken

    def _skip(self, length: int, what: str) -> None:
        self._check_left(length, what)
        self._file.seek(length, io.SEEK_CUR)
        self._at += length

    def _check_left(self, length: int, what: str) -> None:
        if length > self._size - self._at:
            left = f"{length} bytes claimed, {self._size - self._at} left of {self._size}"
            raise self._broken(f"it is truncated in {what[:60]!r}: {left}")

    def _broken(self, reason: str) -> WeightsBroken:
        return WeightsBroken(self._path, reason, "fetch the file again")
