"""Sessions beside a terminal: their file, what others say in them, and waiting for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.cli.terminal import PATIENCE_SECONDS

from multiturn import GenerativeModel, SQLiteStore
from multiturn.testing import ScriptedBackend

CTRL_C, CTRL_D = "\x03", "\x04"


def file(folder: Path) -> Path:
    return folder / "multiturn" / "sessions.db"


def store(folder: Path) -> SQLiteStore:
    file(folder).parent.mkdir(exist_ok=True)
    return SQLiteStore(file(folder))


def said(folder: Path, session: str, *messages: str) -> None:
    """Have something said in a session by another program."""
    backend = ScriptedBackend("So be it.", repeat=True)
    chat = GenerativeModel(backend=backend).start_chat(session=session, store=store(folder))
    for message in messages:
        chat.send_message(message)


def names(folder: Path) -> list[str]:
    return [state.name for state in store(folder).sessions()]


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
