"""What our layer costs over the bare engine, and how much later a late turn starts.

    python benchmarks/embedded.py [--rounds 9] [--tokens 200] [--threads N]

1. Tokens per second of ``Engine.stream`` against the engine's own loop
   (``xllamacpp.Server.handle_completions`` with a callback that only counts): same weights,
   prompt, threads and kind of attention, in turn, one warm-up each; medians and the median of
   the paired ratios.  Wanted: at least 0.97.  On a busy machine look at the ratio of the least
   CPU seconds, which other programs disturb less.
2. Time to the first text of turn 30 against turn 2, for messages of the same length.
   Wanted: at most 1.5.

Nothing but the project itself has to be installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from multiturn import weights
from multiturn.engine import Engine, Message, Sampling, open_engine
from multiturn.engine.cores import physical_cores

STORY: list[Message] = [("system", ""), ("user", "Write a long story about a dragon.")]
STORY_TEXT = (
    "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nWrite a long story about a dragon."
    "<|im_end|>\n<|im_start|>assistant\n"
)
CONTEXT_TOKENS = 2048


def bare_server(path: str, threads: int) -> Any:
    """Load the same model without our layer."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.model.path = path
    parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS, 1
    parameters.verbosity, parameters.warmup = -1, False
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)
    server.handle_completions({"prompt": "a", "max_tokens": 1})
    return server


Cost = tuple[float, float]  # seconds a token: of the clock, of all CPUs


def bare_cost(server: Any, tokens: int) -> Cost:
    """Return the cost of a token in the engine's own loop, from the request to the end."""
    count = 0

    def callback(chunk: dict[str, Any]) -> None:
        nonlocal count
        count += bool(chunk["choices"][0]["text"])

    request = {"prompt": STORY_TEXT, "max_tokens": tokens, "temperature": 0, "stream": True}
    start, cpu = time.perf_counter(), time.process_time()
    server.handle_completions(request, callback)
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


def our_cost(engine: Engine, tokens: int) -> Cost:
    """Return the cost of a token through our layer, from the call to the end."""
    count = 0
    start, cpu = time.perf_counter(), time.process_time()
    for piece in engine.stream(STORY, Sampling(temperature=0, max_tokens=tokens)):
        count += bool(piece.text)
    return (time.perf_counter() - start) / count, (time.process_time() - cpu) / count


def compare_rates(engine: Engine, server: Any, rounds: int, tokens: int) -> None:
    our_cost(engine, tokens)
    bare_cost(server, tokens)
    ours, bare = [], []
    for round_number in range(rounds):
        if round_number % 2:
            ours.append(our_cost(engine, tokens))
            bare.append(bare_cost(server, tokens))
        else:
            bare.append(bare_cost(server, tokens))
            ours.append(our_cost(engine, tokens))
    pairs = list(zip(ours, bare, strict=True))
    rate = statistics.median(b[0] / a[0] for a, b in pairs)
    cpu = min(b[1] for b in bare) / min(a[1] for a in ours)
    print(f"bare engine   {rates(bare)}")
    print(f"Engine.stream {rates(ours)}")
    print(f"ratio         {rate:6.3f}  (median of {rounds} pairs; wanted >= 0.97)")
    print(f"by CPU time   {cpu:6.3f}  (least of each)")


def rates(costs: list[Cost]) -> str:
    values = sorted(1 / seconds for seconds, _ in costs)
    return f"{statistics.median(values):6.1f} tok/s  ({values[0]:.1f} to {values[-1]:.1f})"


def first_text_seconds(engine: Engine, turns: int) -> list[float]:
    """Return, turn by turn, the time from the call to the first text."""
    engine.close()  # nothing is cached when the first turn begins
    engine.count(STORY)
    messages: list[Message] = []
    seconds = []
    for turn in range(turns):
        messages.append(("user", f"Tell me fact number {turn + 10} about the sea, please."))
        start, first, text = time.perf_counter(), 0.0, ""
        for piece in engine.stream(messages, Sampling(temperature=0, max_tokens=24)):
            first = first or time.perf_counter() - start
            text += piece.text
        seconds.append(first)
        messages.append(("assistant", text))
    return seconds


def compare_turns(engine: Engine, rounds: int, turns: int = 30) -> None:
    all_seconds = [first_text_seconds(engine, turns) for _ in range(rounds)]
    medians = [statistics.median(turn) * 1e3 for turn in zip(*all_seconds, strict=True)]
    shown = "  ".join(f"{n}: {medians[n - 1]:.0f}" for n in (1, 2, 10, 20, 30) if n <= turns)
    print(f"first text, ms, by turn: {shown}  (median of {rounds} conversations)")
    print(f"turn {turns} / turn 2: {medians[-1] / medians[1]:.2f}  (wanted <= 1.5)")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the embedded engine's own layer.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=physical_cores())
    chosen = parser.parse_args()
    path = weights.locate()
    engine = open_engine(path, context_tokens=CONTEXT_TOKENS, threads=chosen.threads)
    engine.count(STORY)  # loads first, so that both run with the same OpenMP settings
    server = bare_server(str(path), chosen.threads)
    print(f"{path.name}, {chosen.threads} threads, {chosen.tokens} tokens")
    compare_rates(engine, server, chosen.rounds, chosen.tokens)
    compare_turns(engine, max(1, chosen.rounds // 3))
    del server


if __name__ == "__main__":
    main()
