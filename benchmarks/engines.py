"""Compare the embedded engine, xllamacpp, with openvino-genai on the same weights.

    python -m venv other && other/bin/pip install openvino-genai     # for the second engine
    python benchmarks/engines.py xllamacpp WEIGHTS.gguf [--threads 1]
    other/bin/python benchmarks/engines.py openvino WEIGHTS.gguf [--threads 1]

Each run loads one engine and prints medians: seconds to load, tokens a second of a prompt of
about 512 tokens and of an answer of 128, seconds until a cancelled answer has ended, the time
to the first token of a prompt that continues an evaluated one, and one answer held to a JSON
Schema.  The project itself is not imported.  Run one at a time on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any, Protocol

WORDS = ("sea", "bird", "stone", "river", "cloud", "apple", "horse", "table", "window", "paper")
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Runner(Protocol):
    """One engine with a model loaded."""

    def generate(
        self, prompt: str, tokens: int, on_token: Callable[[str], bool], schema: bool = False
    ) -> None:
        """Answer greedily; ``on_token`` returns True to stop."""
        ...

    def count(self, prompt: str) -> int:
        """Return the size of the prompt in tokens."""
        ...


class Xllamacpp:
    def __init__(self, path: str, threads: int) -> None:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
        import xllamacpp

        self._module = xllamacpp
        parameters = xllamacpp.CommonParams()
        parameters.model.path = path
        parameters.n_ctx, parameters.n_parallel = 4096, 1
        parameters.n_batch = parameters.n_ubatch = 256
        parameters.verbosity, parameters.warmup, parameters.fit_params = -1, False, False
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._server = xllamacpp.Server(parameters)
        self._server.handle_completions({"prompt": "a", "max_tokens": 1})

    def generate(
        self, prompt: str, tokens: int, on_token: Callable[[str], bool], schema: bool = False
    ) -> None:
        request: dict[str, Any] = {
            "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True,
            "ignore_eos": not schema,
        }  # fmt: skip
        if schema:
            request["grammar"] = self._module.json_schema_to_grammar(SCHEMA)
        self._server.handle_completions(request, lambda c: on_token(c["choices"][0]["text"]))

    def count(self, prompt: str) -> int:
        request = {"prompt": prompt, "max_tokens": 1}
        return int(self._server.handle_completions(request)["usage"]["prompt_tokens"])


class OpenVino:
    def __init__(self, path: str, threads: int) -> None:
        import openvino_genai

        self._module = openvino_genai
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.cache_size = 1
        self._pipeline = openvino_genai.LLMPipeline(
            path, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=threads
        )

    def generate(
        self, prompt: str, tokens: int, on_token: Callable[[str], bool], schema: bool = False
    ) -> None:
        config = self._module.GenerationConfig()
        config.max_new_tokens, config.do_sample = tokens, False
        config.ignore_eos, config.apply_chat_template = not schema, False
        if schema:
            structure = self._module.StructuredOutputConfig()
            structure.json_schema = json.dumps(SCHEMA)
            config.structured_output_config = structure
        status = self._module.StreamingStatus
        self._pipeline.generate(
            prompt, config, lambda text: status.CANCEL if on_token(text) else status.RUNNING
        )

    def count(self, prompt: str) -> int:
        return int(self._pipeline.get_tokenizer().encode(prompt).input_ids.shape[1])


def text_of(words: int, seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def first_and_rest(runner: Runner, prompt: str, tokens: int) -> tuple[float, float]:
    """Return the seconds to the first text and from there to the end."""
    times: list[float] = []
    start = time.perf_counter()
    runner.generate(prompt, tokens, lambda text: times.append(time.perf_counter()) or False)
    end = time.perf_counter()
    return times[0] - start, end - times[0]


def cancel_seconds(runner: Runner) -> float:
    """Return the time from the wish to stop to the end, ten texts into an answer."""
    count, wished = 0, 0.0

    def on_token(text: str) -> bool:
        nonlocal count, wished
        count += 1
        wished = wished or (time.perf_counter() if count >= 10 else 0.0)
        return count >= 10

    runner.generate(text_of(20, 7), 300, on_token)
    return time.perf_counter() - wished


def measure(runner: Runner, rounds: int) -> None:
    prefill, decode, continued, cancels = [], [], [], []
    for number in range(rounds):
        prompt = text_of(500, number)
        first, rest = first_and_rest(runner, prompt, 128)
        prefill.append(runner.count(prompt) / first)
        decode.append(127 / rest)
        continued.append(first_and_rest(runner, f"{prompt} {text_of(12, number + 99)}", 1)[0])
        cancels.append(cancel_seconds(runner))
    print(f"prompt    {statistics.median(prefill):7.0f} tok/s")
    print(f"answer    {statistics.median(decode):7.1f} tok/s")
    print(f"continued {statistics.median(continued) * 1e3:7.0f} ms to the first token")
    print(f"cancel    {statistics.median(cancels) * 1e3:7.0f} ms")
    pieces: list[str] = []
    start = time.perf_counter()
    prompt = "Bob is 42 years old. As JSON: "
    runner.generate(prompt, 60, lambda text: bool(pieces.append(text)), schema=True)
    print(f"schema    {''.join(pieces)!r} in {time.perf_counter() - start:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("engine", choices=["xllamacpp", "openvino"])
    parser.add_argument("weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    start = time.perf_counter()
    kind: Callable[[str, int], Runner] = Xllamacpp if chosen.engine == "xllamacpp" else OpenVino
    runner = kind(chosen.weights, chosen.threads)
    print(f"load      {time.perf_counter() - start:7.2f} s, {chosen.threads} threads")
    measure(runner, chosen.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"memory    {peak:7} MiB at most")


if __name__ == "__main__":
    main()
