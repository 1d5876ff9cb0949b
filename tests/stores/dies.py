"""A process that dies in the middle of a turn: after a function has run, or mid-answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from traffic import Echo

from multiturn import GenerativeModel, durable_turn, worker
from multiturn.stores.sqlite import SQLiteStore
from multiturn.tools.functions import requires_approval


def note(path: str, what: str) -> int:
    """Leave a trace of an effect."""
    with Path(path).open("a") as file:
        file.write(what + "\n")
    return len(what)


class TwoCalls(Echo):
    """Calls two functions, and answers when it has their results."""

    def __init__(self, path: str, dies: bool) -> None:
        self.path, self.dies = path, dies

    async def stream_async(self, request: Any, cancel: Any) -> AsyncIterator[dict[str, Any]]:
        for chunk in self.stream(request, cancel):
            yield chunk

    def stream(self, request: Any, cancel: Any) -> Iterator[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"text": "done"}]
        if request.contents[-1].text == "go":
            args = {"path": self.path}
            names = ("first", "second")
            parts = [
                {"functionCall": {"name": "note", "args": {**args, "what": name}}} for name in names
            ]
        elif request.contents[-1].text == "stream":
            yield {"candidates": [{"content": {"parts": [{"text": "half"}], "role": "model"}}]}
            if self.dies:
                for store in worker._workers:
                    while b"half" not in store.attempts("ada")[-1].body:
                        time.sleep(0.001)
                os.kill(os.getpid(), signal.SIGKILL)
        content = {"parts": parts, "role": "model"}
        yield {"candidates": [{"content": content, "finishReason": "STOP"}]}


def dying_note(path: str, what: str) -> int:
    """Die in the second function, after its effect."""
    length = note(path, what)
    if what == "second":
        os.kill(os.getpid(), signal.SIGKILL)
    return length


_both_run = threading.Barrier(2)


def dying_note_at_once(path: str, what: str) -> int:
    """Die when both functions have had their effect and neither has returned."""
    length = note(path, what)
    _both_run.wait()
    os.kill(os.getpid(), signal.SIGKILL)
    return length


def main() -> None:
    how, database, effects = sys.argv[1:]
    durable_turn._NOTE_SECONDS = worker._LOOK_SECONDS = 0.001
    dying_note.__name__ = "note"
    dying_note_at_once.__name__ = "note"
    tool = requires_approval(note) if how == "approval" else dying_note
    tool = dying_note_at_once if how.endswith("at once") else tool
    model = GenerativeModel(backend=TwoCalls(effects, dies=True), tools=[tool])
    store = SQLiteStore(database)
    chat = model.start_chat(
        session="ada",
        store=store,
        enable_automatic_function_calling=True,
        tool_mode="concurrent" if how.endswith("at once") else "sequential",
    )
    if how == "overrides":
        chat.model = GenerativeModel(backend=TwoCalls(effects, dies=True))
        chat.send_message(
            "go",
            generation_config={"temperature": 0.25, "stop_sequences": "!"},
            safety_settings={"harassment": "none"},
            tools=[dying_note],
            tool_config="any",
            request_options={"timeout": 77, "api_key": "secret"},
        )
    message = "stream" if how == "stream" else "go"
    if how.startswith("async"):
        asyncio.run(chat.send_message_async(message))
    chat.send_message(message)


if __name__ == "__main__":
    main()
