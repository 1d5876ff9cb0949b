"""The client's CPU per turn and per chunk over the OpenAI protocol, beside the openai package.

    python benchmarks/openai_client.py [--beside PYTHON]

Both talk to the same server on loopback, which answers from memory in a process of its
own.  PYTHON is one that has the ``openai`` package, which is used as by hand: a list of
messages that grows, one ``create`` for each turn.  A turn is measured at 1,000 turns of
history, a chunk (40 characters) over a stream of 2,000; medians of rounds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable

TURNS = 1_000
CHUNKS = 2_000
QUESTION = "What did we say about the whale in the second chapter of the book, and why? " * 2
ANSWER = "The whale was white, and that was all that there was to be said about it, then. " * 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--beside", help="a Python that has the openai package")
    parser.add_argument("--by-hand", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.by_hand:
        print(json.dumps(by_hand(arguments.by_hand)))
        return
    ready: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ready,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ready.get(timeout=30)}/v1"
    try:
        ours = of_multiturn(url)
        show("multiturn", ours)
        if arguments.beside:
            command = [arguments.beside, __file__, "--by-hand", url]
            theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            show("openai, by hand", theirs)
            for name in ours:
                print(f"{name}: {theirs[name] / ours[name]:.1f} times less")
    finally:
        server.kill()


def show(who: str, figures: dict[str, float]) -> None:
    print(who, *(f"{name} {value:.1f} µs" for name, value in figures.items()), sep="   ")


def median(work: Callable[[], None], rounds: int) -> float:
    """Return the median of the microseconds of CPU that work takes."""
    taken = []
    work()
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken) * 1e6


def of_multiturn(url: str) -> dict[str, float]:
    import multiturn as genai

    model = genai.GenerativeModel("m", backend=genai.OpenAIBackend(url))
    history = []
    for _ in range(TURNS):
        history += [
            {"role": "user", "parts": [QUESTION]},
            {"role": "model", "parts": [ANSWER]},
        ]
    chat = model.start_chat(history=history)

    def turn() -> None:
        assert chat.send_message(QUESTION).text == ANSWER
        chat.rewind()

    def stream() -> None:
        text = [chunk.text for chunk in model.generate_content(QUESTION, stream=True)]
        assert len("".join(text)) == 40 * CHUNKS

    return {"turn": median(turn, 40), "chunk": median(stream, 7) / CHUNKS}


def by_hand(url: str) -> dict[str, float]:
    import openai  # type: ignore[import-not-found,unused-ignore]

    client = openai.OpenAI(base_url=url, api_key="none")
    messages = []
    for _ in range(TURNS):
        messages += [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": ANSWER},
        ]

    def turn() -> None:
        messages.append({"role": "user", "content": QUESTION})
        answer = client.chat.completions.create(model="m", messages=messages)
        assert answer.choices[0].message.content == ANSWER
        messages.pop()

    def stream() -> None:
        asked = [{"role": "user", "content": QUESTION}]
        chunks = client.chat.completions.create(model="m", messages=asked, stream=True)
        text = [chunk.choices[0].delta.content or "" for chunk in chunks]
        assert len("".join(text)) == 40 * CHUNKS

    return {"turn": median(turn, 10), "chunk": median(stream, 5) / CHUNKS}


# -- the server ------------------------------------------------------------------------------


def _whole() -> bytes:
    message = {"role": "assistant", "content": ANSWER}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }  # fmt: skip
    data = json.dumps(body).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    return f"{head}{len(data)}\r\n\r\n".encode() + data


def _streamed() -> list[bytes]:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    def event(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        body = {
            "id": "chatcmpl-1234567890", "object": "chat.completion.chunk", "created": 1,
            "model": "m", "system_fingerprint": "fp", "choices": [choice],
        }  # fmt: skip
        data = b"data: " + json.dumps(body).encode() + b"\n\n"
        return b"%x\r\n%s\r\n" % (len(data), data)

    done = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    return [head, *[event({"content": "x" * 40})] * CHUNKS, event({}, "stop"), done]


def serve(ready: multiprocessing.Queue[int]) -> None:
    whole, streamed = _whole(), _streamed()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready.put(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=answer, args=(connection, whole, streamed), daemon=True).start()


def answer(connection: socket.socket, whole: bytes, streamed: list[bytes]) -> None:
    with connection, connection.makefile("rb") as lines:
        while lines.readline():
            length = 0
            while (line := lines.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            body = lines.read(length)
            if b'"stream":true' not in body.replace(b": ", b":"):
                connection.sendall(whole)
                continue
            for piece in streamed:
                connection.sendall(piece)


if __name__ == "__main__":
    sys.exit(main())
