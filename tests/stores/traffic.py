"""Processes that talk in stored sessions, are killed at it, and are judged afterwards.

Run as a program by the tests, so that what forks has one thread and few modules.  Every
answer says how many contents were sent to get it, so that the history alone shows a lost,
doubled, stale or interleaved turn: that is the whole of the judge.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from multiturn import ChatSession, GenerativeModel
from multiturn.stores.protocol import Store
from multiturn.stores.sqlite import SQLiteStore

MakeStore = Callable[[str], Store]


class Echo:
    """A model that calls a function where the message says so, and says what it was sent."""

    name = "echo"

    def stream(self, request: Any, cancel: Any) -> Iterator[dict[str, Any]]:
        last = request.contents[-1]
        part: dict[str, Any] = {"text": f"{len(request.contents)} to {last.text}"}
        if last.text.startswith("tool"):
            part = {"functionCall": {"name": "double", "args": {"n": 2}}}
        content = {"parts": [part], "role": "model"}
        yield {"candidates": [{"content": content, "finishReason": "STOP"}]}

    async def stream_async(self, request: Any, cancel: Any) -> Any:
        for chunk in self.stream(request, cancel):
            yield chunk

    def count_tokens(self, request: Any) -> dict[str, Any]:
        return {"totalTokens": 0}

    async def count_tokens_async(self, request: Any) -> dict[str, Any]:
        return {"totalTokens": 0}


def double(n: int) -> int:
    return 2 * n


def chat_in(store: Store, session: str) -> ChatSession:
    model = GenerativeModel(backend=Echo(), tools=[double])
    return model.start_chat(session=session, store=store, enable_automatic_function_calling=True)


def talk(
    make_store: MakeStore, path: str, session: str, texts: Iterator[str], said: Callable[[str], Any]
) -> None:
    """Send messages; tell of each that was answered."""
    chat = chat_in(make_store(path), session)
    for text in texts:
        chat.send_message(text)
        said(text)


def judged(chat: ChatSession) -> list[str]:
    """Return what a session's user said; raise if its history cannot have come about."""
    texts, position = [], 0
    for turn in chat.turns:
        roles = [content.role for content in turn.contents]
        assert roles in (["user", "model"], ["user", "model", "user", "model"]), roles
        position += len(turn.contents)
        text = turn.contents[0].text
        about = "" if len(roles) == 4 else text
        assert f"{position - 1} to {about}" == turn.contents[-1].text, (position, turn)
        texts.append(text)
    assert len(texts) == len(set(texts)), "a turn is there twice"
    return texts


# -- killing -------------------------------------------------------------------------------


def kill_loop(make_store: MakeStore, path: str, times: int, seed: int) -> dict[str, Any]:
    """Kill a writer at random moments, again and again; return what was found."""
    rng = random.Random(seed)
    # What is there, and what may turn up behind it: a commit was on its way to a server.
    expected: dict[str, tuple[list[str], str]] = {}
    counts = {"killed": 0, "acknowledged": 0, "unacknowledged": 0, "pending": 0}
    slowest = 0.0
    for i in range(times):
        session = f"s{i % 3}"
        said = _killed_writer(make_store, path, session, i, rng)
        with make_store(path) as store:  # type: ignore[attr-defined]
            started = time.monotonic()
            chat = chat_in(store, session)
            counts["pending"] += chat.pending is not None
            texts = judged(chat)
            slowest = max(slowest, time.monotonic() - started)
            before, on_its_way = expected.get(session, ([], ""))
            if texts[len(before) : len(before) + 1] == [on_its_way]:
                before = [*before, on_its_way]
            known = before + said
            assert known == texts[: len(known)], (known[-3:], texts[-4:])
            assert len(texts) - len(known) in (0, 1), "more than one turn nobody was told of"
            counts["unacknowledged"] += len(texts) - len(known)
            in_flight = _text(i, len(said))
            expected[session] = texts, "" if in_flight in texts else in_flight
            if i % 10 == 9 or i == times - 1:
                assert [] == store.check()
        counts["killed"] += 1
        counts["acknowledged"] += len(said)
    return {**counts, "slowest_open_seconds": round(slowest, 3)}


def _text(i: int, k: int) -> str:
    """Return what the i-th writer says k-th."""
    return f"{'tool' if k % 3 == 2 else 'text'} {i} {k}"


def _killed_writer(
    make_store: MakeStore, path: str, session: str, i: int, rng: random.Random
) -> list[str]:
    """Fork a writer, kill it at a random moment; return what it was told is stored."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            texts = (_text(i, k) for k in range(10**6))
            talk(make_store, path, session, texts, lambda t: os.write(told, t.encode() + b"\n"))
        finally:
            os._exit(3)
    os.close(told)
    select.select([heard], [], [], 20 * rng.random() ** 3)
    time.sleep(rng.random() * 0.05)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"the writer ended by itself with {status}"
    with os.fdopen(heard, "rb") as pipe:
        return [line.decode().strip() for line in pipe.read().splitlines()]


# -- many at once --------------------------------------------------------------------------


def crowd(make_store: MakeStore, path: str, n: int, turns: int, sessions: int) -> dict[str, Any]:
    """Have processes talk at once; return how many turns are there."""
    pids = []
    for who in range(n):
        pid = os.fork()
        if pid == 0:
            try:
                for k in range(turns):
                    session = f"s{(who * turns + k) % sessions}"
                    talk(make_store, path, session, iter([f"text {who} {k}"]), lambda _: None)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(3)
        pids.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    assert [0] * n == statuses, statuses
    found: list[str] = []
    with make_store(path) as store:  # type: ignore[attr-defined]
        for state in store.sessions():
            texts = judged(chat_in(store, state.name))
            for who in range(n):
                mine = [int(t.split()[2]) for t in texts if t.startswith(f"text {who} ")]
                assert sorted(mine) == mine, "one writer's turns are out of order"
            found += texts
        assert [] == store.check()
        assert {f"text {who} {k}" for who in range(n) for k in range(turns)} == set(found)
    return {"turns": len(found)}


def one_chat_crowd(make_store: MakeStore, path: str, n: int, turns: int) -> dict[str, Any]:
    """The same in one session, each process with one conversation that it keeps."""
    make_store(path).open("all")
    pids = []
    for who in range(n):
        pid = os.fork()
        if pid == 0:
            try:
                texts = (f"text {who} {k}" for k in range(turns))
                talk(make_store, path, "all", texts, lambda _: None)
                os._exit(0)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(3)
        pids.append(pid)
    assert [0] * n == [os.waitpid(pid, 0)[1] for pid in pids]
    with make_store(path) as store:  # type: ignore[attr-defined]
        texts = judged(chat_in(store, "all"))
        assert n * turns == len(texts)
        for who in range(n):
            mine = [t for t in texts if t.startswith(f"text {who} ")]
            assert [f"text {who} {k}" for k in range(turns)] == mine
        assert [] == store.check()
    return {"turns": len(texts)}


def sqlite_store(path: str) -> Store:
    return SQLiteStore(path, busy_timeout_seconds=60)


def main() -> None:
    name, path, *numbers = sys.argv[1:]
    make: MakeStore = sqlite_store
    if path.startswith("postgresql"):
        from multiturn.stores.postgres import PostgresStore

        make = PostgresStore
    work: dict[str, Callable[..., dict[str, Any]]] = {
        "kill": kill_loop,
        "crowd": crowd,
        "one_chat_crowd": one_chat_crowd,
    }
    print(json.dumps(work[name](make, path, *map(int, numbers))))


if __name__ == "__main__":
    main()
