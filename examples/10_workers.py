"""Workers without state: any of them may take any message of any conversation.

    python examples/10_workers.py [STORE] [MODEL]

STORE is a file, or the address of a database: postgresql://app@db.internal/chats lets the
workers stand on many machines.  MODEL is whom they ask, as vllm/qwen3 or gemini-2.5-flash;
without one each loads the small embedded model.
"""

import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import multiturn as genai

WORKERS, QUESTIONS = 4, ("Name a colour.", "Another one.", "And a third.")
USERS = ("ada", "bob", "cyd")


def store_at(place: str):
    """Open the store that all workers share."""
    if place.startswith("postgresql://"):
        return genai.PostgresStore(place)
    return genai.SQLiteStore(place)


def work(place: str, name: str | None, jobs, done) -> None:
    """Answer messages until there are no more; keeps nothing between two of them."""
    model = genai.GenerativeModel(name, generation_config={"max_output_tokens": 8})
    with store_at(place) as store:
        for user, text in iter(jobs.get, None):
            chat = model.start_chat(session=f"{user}/colours", store=store)
            done.put((user, chat.send_message(text).text))


def messages() -> Iterator[tuple[str, str]]:
    """Give what the users say, as a load balancer would: everybody's in turn."""
    for text in QUESTIONS:
        for user in USERS:
            yield user, text


def main(place: str, name: str | None) -> None:
    """Run the workers, and look at what they leave."""
    processes = multiprocessing.get_context("spawn")
    jobs, done = processes.Queue(), processes.Queue()
    for job in [*messages(), *[None] * WORKERS]:
        jobs.put(job)
    workers = [
        processes.Process(target=work, args=(place, name, jobs, done)) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for _ in messages():
        print("{}: {!r}".format(*done.get(timeout=300)))
    for worker in workers:
        worker.join()
    with store_at(place) as store:
        for user in USERS:
            (session,) = store.sessions(prefix=f"{user}/")
            print(f"{session.name}: {session.turns} turns")
        print("faults:", store.check())


if __name__ == "__main__":
    given = [*sys.argv[1:], *[None, None]][:2]
    main(given[0] or str(Path(tempfile.mkdtemp()) / "chats.db"), given[1])
