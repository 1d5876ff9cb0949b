"""Our own CPU per turn and per chunk: everything but the model, beside the floor.

    python benchmarks/overhead.py

The backend hands out chunks that are ready, so that what is left is the conversation's
own work.  The floor is the least that any chat must do: a loop over the same chunks that
joins their text and appends two dicts to a list.  Each figure is the median of rounds
that take turns, in microseconds of CPU; ratios are what to compare between machines.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import multiturn as genai
from multiturn.cancel import Cancel
from multiturn.request import Request

LAST = {
    "candidates": [
        {"content": {"parts": [{"text": "Hello."}], "role": "model"}, "finishReason": "STOP"}
    ]
}
PIECE = {"candidates": [{"content": {"parts": [{"text": "Hello "}], "role": "model"}}]}
N_CHUNKS = 2_000


class Ready:
    """A backend whose answers are ready."""

    name = "ready"

    def __init__(self, n_pieces: int) -> None:
        self.n_pieces = n_pieces

    def stream(self, request: Request, cancel: Cancel) -> Iterator[dict[str, Any]]:
        for _ in range(self.n_pieces):
            yield PIECE
        yield LAST

    async def stream_async(self, request: Request, cancel: Cancel) -> AsyncIterator[dict[str, Any]]:
        for _ in range(self.n_pieces):
            yield PIECE
        yield LAST

    def count_tokens(self, request: Request) -> dict[str, Any]:
        return {"totalTokens": 0}

    async def count_tokens_async(self, request: Request) -> dict[str, Any]:
        return {"totalTokens": 0}


def chat_of(n_turns: int, n_pieces: int = 0) -> genai.ChatSession:
    chat = genai.GenerativeModel(backend=Ready(n_pieces)).start_chat()
    for i in range(n_turns):
        chat.send_message(f"message {i}")
    return chat


def microseconds(work: Callable[[], object], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times * 1e6


def floor_turn(history: list[Any]) -> None:
    text = "".join(part["text"] for part in LAST["candidates"][0]["content"]["parts"])
    history.append({"role": "user", "parts": [{"text": "x"}]})
    history.append({"role": "model", "parts": [{"text": text}]})


def floor_stream() -> str:
    texts = []
    for _ in range(N_CHUNKS):
        texts.append(PIECE["candidates"][0]["content"]["parts"][0]["text"])
    return "".join(texts)


def stream(chat: genai.ChatSession) -> None:
    for chunk in chat.send_message("x", stream=True):
        _ = chunk.text


def stream_async(chat: genai.ChatSession) -> None:
    async def run() -> None:
        async for chunk in await chat.send_message_async("x", stream=True):
            _ = chunk.text

    asyncio.run(run())


def main() -> None:
    rows: dict[str, list[float]] = {}
    for _ in range(5):
        history: list[Any] = []
        figures = {
            "turn, floor": microseconds(lambda h=history: floor_turn(h), 2_000),
            "turn, no history": microseconds(lambda c=chat_of(0): c.send_message("x"), 200),
            "turn, 5,000 turns of history": microseconds(
                lambda c=chat_of(5_000): c.send_message("x"), 200
            ),
            "chunk, floor": microseconds(floor_stream, 3) / N_CHUNKS,
            "chunk, for": microseconds(lambda c=chat_of(0, N_CHUNKS): stream(c), 3) / N_CHUNKS,
            "chunk, async for": microseconds(lambda c=chat_of(0, N_CHUNKS): stream_async(c), 3)
            / N_CHUNKS,
            "fork, 5,000 turns": microseconds(lambda c=chat_of(5_000): c.fork(), 200),
        }
        for name, value in figures.items():
            rows.setdefault(name, []).append(value)
    for name, values in rows.items():
        print(f"{name:32} {statistics.median(values):8.2f} µs CPU")
    none = statistics.median(rows["turn, no history"])
    many = statistics.median(rows["turn, 5,000 turns of history"])
    print(f"{'5,000 turns over none':32} {many / none:8.2f} times")


if __name__ == "__main__":
    main()
