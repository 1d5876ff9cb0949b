"""What is told of a source that cannot be read: its file, and the formats that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from multiturn import InvalidContent, UnknownName, load_chat
from multiturn.export import read


@pytest.mark.parametrize(
    "content",
    [b'{"messages": [{"role": "us', b'[{"role": "robot", "content": "Hi"}]', b"\xff\xfe?"],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_bytes(content)

    with pytest.raises(InvalidContent, match=re.escape(str(file))):
        load_chat(file)


def test_a_format_that_is_like_none_lists_those_that_there_are() -> None:
    with pytest.raises(UnknownName, match="there are: multiturn, llm, chatgpt, gemini"):
        read(b"[]", format="nope")
    with pytest.raises(UnknownName, match="did you mean 'openai'"):
        read(b"[]", format="opneai")
