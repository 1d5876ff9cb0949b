"""What had arrived of an answer when its process was killed is kept or dropped by the next."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from multiturn import ChatSession, GenerativeModel
from multiturn.stores.sqlite import SQLiteStore
from multiturn.testing import ScriptedBackend
from ways import Way, said

DIES = Path(__file__).parent / "dies.py"


def killed(path: Path, how: str = "stream") -> None:
    done = subprocess.run(
        [sys.executable, str(DIES), how, str(path), str(path.parent / "effects")],
        check=False,
        capture_output=True,
    )
    assert -signal.SIGKILL == done.returncode, done.stderr.decode()


def found(path: Path, **options: Any) -> tuple[ChatSession, ScriptedBackend]:
    backend = ScriptedBackend("to c")
    model = GenerativeModel(backend=backend)
    return model.start_chat(session="ada", store=SQLiteStore(path), **options), backend


async def test_what_a_killed_process_had_is_kept_by_the_next(way: Way, tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    killed(path)
    chat, backend = found(path, unfinished="keep")
    assert ["stream", "half"] == said(chat)
    assert ["interrupted"] == [turn.outcome for turn in chat.turns]
    assert ["interrupted"] == [entry.outcome for entry in chat.journal]
    assert chat.pending is None
    await way.send(chat, "c")
    assert ["stream", "half", "c"] == [c.text for c in backend.requests[0].contents]
    assert ["stream", "half", "c", "to c"] == said(found(path)[0])


async def test_a_session_that_was_open_meanwhile_keeps_it_with_its_next_turn(
    way: Way, tmp_path: Path
) -> None:
    path = tmp_path / "chats.db"
    chat, _ = found(path, unfinished="keep")
    killed(path)
    await way.send(chat, "c")
    assert ["stream", "half", "c", "to c"] == said(chat)


def test_what_a_killed_process_had_is_kept_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    killed(path)
    assert [] == said(found(path)[0])
    pending = found(path)[0].pending
    assert pending is not None
    turn = pending.keep()
    assert ("interrupted", "half") == (turn.outcome, turn.contents[-1].text)
    chat, _ = found(path)
    assert (["stream", "half"], None) == (said(chat), chat.pending)
    assert ["interrupted"] == [entry.outcome for entry in chat.journal]


def test_what_a_killed_process_had_is_dropped_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "chats.db"
    killed(path)
    chat, _ = found(path)
    assert chat.pending is not None
    chat.pending.drop()
    assert chat.pending is None
    chat, _ = found(path, unfinished="keep")
    assert ([], None) == (said(chat), chat.pending)
    assert ["interrupted"] == [entry.outcome for entry in chat.journal]
