"""What an export does to the path that it is given."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from multiturn import ChatSession, GenerativeModel
from multiturn.errors import UsageError
from multiturn.testing import ScriptedBackend


@pytest.fixture
def chat() -> ChatSession:
    chat = GenerativeModel(backend=ScriptedBackend("one")).start_chat()
    chat.send_message("hello")
    return chat


@pytest.mark.parametrize("format", ["openai", "llm"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_fifo_is_written_to_and_stays_one(
    format: str, overwrite: bool, chat: ChatSession, tmp_path: Path
) -> None:
    path, came = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: came.append(path.read_bytes()), daemon=True)
    reader.start()
    written = chat.export(format, path, overwrite=overwrite)
    reader.join(10)
    assert [written.data] == came
    assert stat.S_ISFIFO(path.lstat().st_mode)


def test_a_link_is_written_through_and_stays_one(chat: ChatSession, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "chat.json", tmp_path / "link"
    link.symlink_to(Path("folder") / "chat.json")
    written = chat.export("openai", link)  # there is nothing yet where it leads
    assert (written.data, True) == (target.read_bytes(), link.is_symlink())
    with pytest.raises(UsageError, match="exists"):
        chat.export("openai", link)
    target.write_text("mine")
    chat.export("openai", link, overwrite=True)
    assert (written.data, True) == (target.read_bytes(), link.is_symlink())
    assert ["chat.json"] == [one.name for one in target.parent.iterdir()]


def test_a_file_keeps_its_permissions(chat: ChatSession, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text("mine")
    path.chmod(0o600)
    chat.export("openai", path, overwrite=True)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_what_can_be_no_file_is_refused_by_its_name(
    chat: ChatSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("loop").symlink_to("loop")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("socket")
    for path, told in {
        "no/x.json": "the folder no does not exist; make it first",
        "file/x.json": "the folder file is no folder",
        ".": "is a folder; name a file in it",
        "socket": "socket is no file",
        "loop": "loop is a link that leads back to itself",
    }.items():
        for format in ("openai", "llm"):
            with pytest.raises(UsageError) as caught:
                chat.export(format, path, overwrite=True)
            assert told in str(caught.value)
    listening.close()
    assert stat.S_ISSOCK(Path("socket").lstat().st_mode)
    assert {"file", "loop", "socket"} == {one.name for one in tmp_path.iterdir()}


def test_an_error_of_the_system_names_the_path_that_was_given(
    chat: ChatSession, tmp_path: Path
) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="File name too long") as caught:
        chat.export("openai", path)
    assert str(path) == caught.value.filename
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        chat.export("openai", "/dev/full")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
