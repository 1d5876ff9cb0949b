"""The header check takes every sound file and refuses every unsound one with a reason."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multiturn import weights
from multiturn.errors import WeightsBroken
from multiturn.weights.gguf import HeaderError, read_header

from .conftest import gguf_bytes

SOUND = gguf_bytes(b"x" * 100)


def test_the_header_of_the_default_model_is_read(weights_path: Path) -> None:
    header = read_header(weights_path)
    assert (3, 272, "llama", 8192) == (
        header.version,
        header.tensor_count,
        header.architecture,
        header.context_tokens,
    )
    assert weights_path.stat().st_size == header.size_bytes
    assert "<|im_start|>" in (header.chat_template or "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"GGML" + SOUND[4:], "begins with b'GGML' and not with b'GGUF'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"PK\x03\x04" + SOUND, "a zip archive"),
        (b"GGUF", "its header goes on after its end at 4 bytes"),
        (b"GGUF" + struct.pack(">I", 3) + SOUND[8:], "big-endian"),
        (b"GGUF" + struct.pack("<I", 1) + SOUND[8:], "GGUF of version 1"),
        (SOUND[:8] + struct.pack("<Q", 2**40) + SOUND[16:], "claims 1099511627776 tensors"),
        (SOUND[:16] + struct.pack("<Q", 2**63) + SOUND[24:], "metadata entries"),
        (SOUND[:24] + struct.pack("<Q", 2**63) + SOUND[32:], "a string of"),
        (SOUND[:-1], "it is truncated: it has"),
        (SOUND[:60], "it is truncated"),
    ],
)
def test_an_unsound_file_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(WeightsBroken) as caught:
        weights.locate(path)
    assert reason in caught.value.reason


def test_an_array_may_not_claim_more_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    for kind in (4, 8, 9):
        entry = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, kind, 2**62)
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry)
        with pytest.raises(HeaderError):
            read_header(path)


@settings(
    max_examples=5 * settings().max_examples,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_mutated_header_gives_a_header_or_a_header_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 9))
        content[at : at + 8] = data.draw(
            st.one_of(
                st.binary(min_size=8, max_size=8),
                st.integers(0, 2**64 - 1).map(struct.Struct("<Q").pack),
            )
        )
    path = tmp_path / "mutated.gguf"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        header = read_header(path)
    except HeaderError:
        return
    assert header.size_bytes <= path.stat().st_size
