"""What a stored turn costs with us and with the peers, at growing lengths.

    python benchmarks/store_peers.py PYTHON [folder on the disk to measure]

PYTHON is an interpreter in whose environment openai-agents, langchain-community and llm
are installed.  The model answers at once; a turn reads what the peer needs to ask it, and
stores a question and an answer.  Peers keep their own settings; of these three only llm
asks SQLite for as much as we do.  Medians, in milliseconds of wall time and of CPU; the
measures of one length take turns.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LENGTHS = (10, 100, 1_000)
TURNS = 15
ASKED, ANSWERED = "What was said." * 5, "What was answered." * 5
# Longer ones take llm minutes to make.
_LONGEST = {"llm": 100}
Turn = Callable[[], object]


def multiturn(path: Path, length: int) -> Turn:
    from overhead import Ready

    import multiturn as genai
    from stores import chat_of

    chat = chat_of(path, length, genai.GenerativeModel(backend=Ready(0)))
    chat.send_message(ASKED)
    return lambda: chat.send_message(ASKED)


def multiturn_without_state(path: Path, length: int) -> Turn:
    """Open the conversation for each turn, as a worker behind a load balancer does."""
    from overhead import Ready

    import multiturn as genai
    from stores import chat_of

    model = genai.GenerativeModel(backend=Ready(0))
    store = chat_of(path, length, model)._stored.store  # type: ignore[union-attr]
    return lambda: model.start_chat(session="bench", store=store).send_message(ASKED)


def openai_agents(path: Path, length: int) -> Turn:
    from agents import SQLiteSession  # type: ignore[import-not-found]

    session = SQLiteSession("bench", path)
    items = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
    loop = asyncio.new_event_loop()
    loop.run_until_complete(session.add_items(items * length))

    async def turn() -> None:
        await session.get_items()
        await session.add_items(items)

    return lambda: loop.run_until_complete(turn())


def langchain_sql(path: Path, length: int) -> Turn:
    from langchain_community.chat_message_histories import (  # type: ignore[import-not-found]
        SQLChatMessageHistory,
    )
    from langchain_core.messages import AIMessage, HumanMessage  # type: ignore[import-not-found]

    history = SQLChatMessageHistory("bench", connection=f"sqlite:///{path}")
    messages = [HumanMessage(ASKED), AIMessage(ANSWERED)]
    history.add_messages(messages * length)

    def turn() -> None:
        _ = history.messages
        history.add_messages(messages)

    return turn


def llm(path: Path, length: int) -> Turn:
    import llm as library  # type: ignore[import-not-found]
    import sqlite_utils  # type: ignore[import-not-found]
    from llm.migrations import migrate  # type: ignore[import-not-found]

    class Model(library.Model):  # type: ignore[misc]
        model_id = "bench"

        def execute(self, *_: object, **__: object) -> list[str]:
            return [ANSWERED]

    database = sqlite_utils.Database(path)
    migrate(database)
    conversation = Model().conversation()

    def turn() -> None:
        response = conversation.prompt(ASKED)
        response.text()
        response.log_to_db(database)

    for _ in range(length):
        turn()
    return turn


def measure(name: str, folder: Path) -> None:
    """Print the costs of one library; runs in an interpreter that has it."""
    for length in LENGTHS:
        if length > _LONGEST.get(name, length):
            continue
        turn: Turn = globals()[name](folder / f"{name}-{length}.db", length)
        wall, cpu = [], []
        for _ in range(TURNS):
            started, spent = time.perf_counter(), time.process_time()
            turn()
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - spent)
        print(f"{name:24} {length:6} {_ms(wall):10.2f} {_ms(cpu):10.2f}", flush=True)


def _ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1e3


def main(peers: str, *place: str) -> None:
    print(f"{'':24} {'turns':>6} {'ms wall':>10} {'ms CPU':>10}", flush=True)
    ours: tuple[Any, ...] = (multiturn, multiturn_without_state)
    for library in (*ours, openai_agents, langchain_sql, llm):
        python = sys.executable if library in ours else peers
        folder = tempfile.mkdtemp(dir=place[0] if place else None)
        command = [python, "-W", "ignore", __file__, "--", library.__name__, folder]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    elif len(sys.argv) > 1:
        main(*sys.argv[1:])
    else:
        raise SystemExit(__doc__)
