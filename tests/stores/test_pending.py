"""A turn whose process died, or that waits for approval, is there for the next one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from multiturn import ChatSession, GenerativeModel, UsageError
from multiturn.stores.sqlite import SQLiteStore
from multiturn.tools.functions import requires_approval
from ways import said

sys.path.insert(0, str(Path(__file__).parent))

from dies import TwoCalls, note

DIES = Path(__file__).parent / "dies.py"


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    return tmp_path / "effects"


def died(how: str, tmp_path: Path, effects: Path) -> int:
    return subprocess.run(
        [sys.executable, str(DIES), how, str(tmp_path / "chats.db"), str(effects)],
        check=False,
        capture_output=True,
    ).returncode


def opened(tmp_path: Path, effects: Path) -> ChatSession:
    model = GenerativeModel(
        backend=TwoCalls(str(effects), dies=False), tools=[requires_approval(note)]
    )
    return model.start_chat(
        session="ada",
        store=SQLiteStore(tmp_path / "chats.db"),
        enable_automatic_function_calling=True,
        approve=lambda call: True,
    )


def test_a_turn_that_died_is_resumed_without_running_a_function_twice(
    tmp_path: Path, effects: Path
) -> None:
    assert -signal.SIGKILL == died("tool", tmp_path, effects)
    assert ["first", "second"] == effects.read_text().split()
    chat = opened(tmp_path, effects)
    assert [] == said(chat)
    pending = chat.pending
    assert pending is not None
    assert [0] == [*pending.results]
    assert "go" == pending.contents[0].text
    assert ["interrupted"] == [entry.outcome for entry in chat.journal]
    assert "done" == chat.resume().text
    # The second had begun and not returned: nobody knows its result, so it runs again.
    assert ["first", "second", "second"] == effects.read_text().split()
    assert 4 == len(chat.history)
    assert chat.pending is None
    assert 4 == len(opened(tmp_path, effects).history)


def test_what_had_arrived_of_an_answer_is_there(tmp_path: Path, effects: Path) -> None:
    assert -signal.SIGKILL == died("stream", tmp_path, effects)
    chat = opened(tmp_path, effects)
    entry = chat.journal[-1]
    assert ("stream", "interrupted") == (entry.content.text, entry.outcome)
    assert entry.partial_text.startswith("half")
    assert [] == said(chat)


def test_another_message_drops_a_turn_that_died(tmp_path: Path, effects: Path) -> None:
    died("stream", tmp_path, effects)
    chat = opened(tmp_path, effects)
    chat.send_message("hello")
    assert chat.pending is None
    assert ["hello", "done"] == said(chat)
    assert ["interrupted", "answered"] == [entry.outcome for entry in chat.journal]
    with pytest.raises(UsageError, match="no turn waits"):
        chat.resume()


def test_a_turn_that_waits_for_approval_waits_in_the_store(tmp_path: Path, effects: Path) -> None:
    assert 1 == died("approval", tmp_path, effects)
    chat = opened(tmp_path, effects)
    pending = chat.pending
    assert pending is not None
    assert ["note", "note"] == [call.name for call in pending.calls]
    pending.approve(pending.calls[0])
    pending.refuse(pending.calls[1], reason="no")
    assert chat.pending is pending
    assert "done" == chat.resume().text
    assert ["first"] == effects.read_text().split()
    assert chat.pending is None
