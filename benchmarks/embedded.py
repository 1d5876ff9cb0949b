"""What our layer costs over the bare engine, and how much later a late turn starts.

    python benchmarks/embedded.py [--rounds 9] [--tokens 200] [--threads N]

1. Tokens per second of ``Engine.stream`` against the engine's own loop
   (``xllamacpp.Server.handle_completions`` with a callback that only counts): same weights,
   prompts, threads and settings, in turn, one warm-up each; medians and the median of the
   paired ratios, by the clock and by the CPU time of all threads.  Wanted: at least 0.97.
2. Time to the first text of turn 30 against turn 2, for messages of the same length: turn 2
   of a new conversation and a turn from 26 to 34 of an old one, alternately, so that what
   else the machine does meets both.  Wanted: at most 1.5, as the median of the pairs.

Nothing but the project itself has to be installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from multiturn import weights
from multiturn.engine import Engine, Message, Sampling, open_engine
from multiturn.engine.cores import physical_cores

CONTEXT_TOKENS, SLOTS = 2048, 4
# Whoever reads an answer takes longer than this to write the next message.
PAUSE_SECONDS = 0.05


def bare_server(path: str, threads: int) -> Any:
    """Load the same model in the same way, without our layer."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.model.path = path
    parameters.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS * SLOTS, SLOTS
    parameters.n_batch = parameters.n_ubatch = 256
    parameters.cache_ram_mib, parameters.cache_idle_slots = 0, False
    parameters.verbosity, parameters.warmup = -1, False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)
    server.handle_completions({"prompt": "a", "max_tokens": 1})
    return server


def story(number: int) -> list[Message]:
    """Return a conversation that no cache knows, if the number is a new one of three digits."""
    return [("system", ""), ("user", f"{number} dragons met. Write a long story about it.")]


def laid_out(messages: list[Message]) -> str:
    """Return the same as SmolLM2's template lays it out."""
    told = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages)
    return f"{told}<|im_start|>assistant\n"


Cost = tuple[float, float]  # seconds a token: of the clock, of all CPUs


def bare_cost(server: Any, number: int, tokens: int) -> Cost:
    """Return the cost of a token in the engine's own loop, from the request to the end."""
    count = 0

    def callback(chunk: dict[str, Any]) -> None:
        nonlocal count
        count += bool(chunk["choices"][0]["text"])

    prompt = laid_out(story(number))
    request = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
    start, cpu = time.perf_counter(), time.process_time()
    server.handle_completions(request, callback)
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


def our_cost(engine: Engine, number: int, tokens: int) -> Cost:
    """Return the cost of a token through our layer, from the call to the end."""
    count = 0
    start, cpu = time.perf_counter(), time.process_time()
    for piece in engine.stream(story(number), Sampling(temperature=0, max_tokens=tokens)):
        count += bool(piece.text)
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


def compare_rates(engine: Engine, server: Any, rounds: int, tokens: int) -> None:
    our_cost(engine, 100, tokens)
    bare_cost(server, 100, tokens)
    ours, bare = [], []
    for number in range(101, 101 + rounds):
        if number % 2:
            ours.append(our_cost(engine, number, tokens))
            bare.append(bare_cost(server, number, tokens))
        else:
            bare.append(bare_cost(server, number, tokens))
            ours.append(our_cost(engine, number, tokens))
    pairs = list(zip(ours, bare, strict=True))
    rate = statistics.median(b[0] / a[0] for a, b in pairs)
    cpu = statistics.median(b[1] / a[1] for a, b in pairs)
    print(f"bare engine   {rates(bare)}")
    print(f"Engine.stream {rates(ours)}")
    print(f"ratio         {rate:6.3f}  (median of {rounds} pairs; wanted >= 0.97)")
    print(f"by CPU time   {cpu:6.3f}  (the same)")


def rates(costs: list[Cost]) -> str:
    values = sorted(1 / seconds for seconds, _ in costs)
    return f"{statistics.median(values):6.1f} tok/s  ({values[0]:.1f} to {values[-1]:.1f})"


class Asked(NamedTuple):
    """What one message cost until the first text of its answer."""

    seconds: float
    evaluated_tokens: int
    prompt_tokens: int


class Conversation:
    """Asks one fact after another, in messages of equal length.

    Args:
        start: What is said before the first question.
    """

    def __init__(self, engine: Engine, start: Sequence[Message]) -> None:
        self._engine, self._messages = engine, list(start)

    def ask(self, number: int) -> Asked:
        self._messages.append(question(number))
        time.sleep(PAUSE_SECONDS)
        start, first, text = time.perf_counter(), 0.0, ""
        for piece in self._engine.stream(self._messages, Sampling(temperature=0, max_tokens=24)):
            first = first or time.perf_counter() - start
            text += piece.text
        self._messages.append(("assistant", text))
        return Asked(first, piece.prompt_tokens - piece.cached_tokens, piece.prompt_tokens)


def question(number: int) -> Message:
    return "user", f"Tell me fact number {number} about the sea, please."


def told(turns: int) -> list[Message]:
    """Return a conversation that had so many turns, with answers as long as real ones."""
    answer = "The sea is deep and blue. " * 3 + "It is old."
    return [message for n in range(turns) for message in (question(10 + n), ("assistant", answer))]


def compare_turns(engine: Engine, rounds: int) -> None:
    """Ask turn 2 of a new conversation and a turn around the 30th of an old one alternately."""
    pairs: list[tuple[Asked, Asked]] = []
    for round_number in range(rounds):
        head: Message = ("system", f"You are guide {round_number + 10}.")
        old = Conversation(engine, [head, *told(24)])
        old.ask(34)  # turn 25: evaluates everything
        for n in range(9):  # turns 26 to 34
            new = Conversation(
                engine, [("system", f"You are helper {10 * round_number + n + 10}.")]
            )
            new.ask(10)
            pairs.append((new.ask(11), old.ask(35 + n)))
    early, late = ([pair[i].seconds * 1e3 for pair in pairs] for i in (0, 1))
    evaluated = sorted({asked.evaluated_tokens for pair in pairs for asked in pair})
    windows = [statistics.mean(pair[i].prompt_tokens for pair in pairs) for i in (0, 1)]
    ratios = [b / a for a, b in zip(early, late, strict=True)]
    rows = sorted(statistics.median(ratios[n : n + 9]) for n in range(0, len(ratios), 9))
    print(
        f"first text    {statistics.median(early):.0f} ms at turn 2 ({windows[0]:.0f} tokens), "
        f"{statistics.median(late):.0f} ms at turn 30 ({windows[1]:.0f} tokens); "
        f"evaluated: {evaluated} tokens"
    )
    print(
        f"turn 30 / 2   {statistics.median(ratios):6.2f}  (median of {len(ratios)} pairs; "
        f"by conversation {rows[0]:.2f} to {rows[-1]:.2f}; wanted <= 1.5)"
    )
    print(f"least of each {min(late) / min(early):6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the embedded engine's own layer.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=physical_cores())
    chosen = parser.parse_args()
    path = weights.locate()
    engine = open_engine(path, context_tokens=CONTEXT_TOKENS, slots=SLOTS, threads=chosen.threads)
    engine.count(story(100))  # loads first, so that both run with the same OpenMP settings
    server = bare_server(str(path), chosen.threads)
    print(f"{path.name}, {chosen.threads} threads, {chosen.tokens} tokens")
    compare_rates(engine, server, chosen.rounds, chosen.tokens)
    compare_turns(engine, max(1, chosen.rounds // 3))
    del server


if __name__ == "__main__":
    main()
