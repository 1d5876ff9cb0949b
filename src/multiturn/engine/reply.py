"""What is asked of llama.cpp for one answer, and what it sends back, chunk by chunk."""

from __future__ import annotations

from typing import Any

from multiturn.engine.answer import Run
from multiturn.engine.prompt import Prompt, PromptBuilder
from multiturn.engine.protocol import Finish, Piece, Sampling
from multiturn.engine.tokens import Transcript
from multiturn.errors import EngineError

_SAMPLING_NAMES = (
    "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty",
    "dry_multiplier",
)  # fmt: skip


def request_for(
    prompt: Prompt, sampling: Sampling, grammar: str | None, room: int
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "prompt": prompt.tokens,
        "max_tokens": min(sampling.max_tokens or room, room),
        "stream": True,
        "return_progress": True,
        "cache_prompt": True,
        # Only the verbose form of a chunk holds the ids; the fields shorten its last one.
        "return_tokens": True,
        "verbose": True,
        "response_fields": ["stop_type", "tokens_predicted"],
    }
    for name in _SAMPLING_NAMES:
        if (value := getattr(sampling, name)) is not None:
            request[name] = value
    if sampling.stop:
        request["stop"] = list(sampling.stop)
    if grammar is not None:
        request["grammar"] = grammar
    return request


class Reply:
    """Turns llama.cpp's chunks into pieces, in the worker thread."""

    def __init__(self, run: Run, prompt_tokens: int) -> None:
        self._run, self._prompt_tokens = run, prompt_tokens
        self.transcript = Transcript()
        self.ended_by = ""
        self._cached_tokens: int | None = None
        self._processed_tokens = 0
        self._final_text = ""

    def take(self, chunk: dict[str, Any]) -> bool:
        """Take one chunk; return whether to stop. An exception here would be lost."""
        try:
            self._take(chunk)
        except BaseException as error:
            self._run.deliver(EngineError(f"the engine sent something unexpected: {error!r}"))
            return True
        return self._run.stopped() is not None

    def keep(self, prompt: Prompt, prompts: PromptBuilder) -> list[int]:
        """Keep the answer's ids for the next prompt; return what the slot holds now."""
        transcript = self.transcript
        if self.ended_by:
            ids = transcript.spelling(self.ended_by, prompts.tokenize, prompts.detokenize)
            if ids is not None:
                prompts.remember(prompt, transcript.text, ids)
        if not transcript.count:
            return prompt.tokens[: self._processed_tokens]
        # The token sampled last is not evaluated.
        return prompt.tokens + transcript.generated(prompts.tokenize)[:-1]

    def last(self) -> Piece:
        """Return the piece that ends the answer."""
        stopped = self._run.stopped()
        if not self.ended_by and stopped == "closed":
            raise EngineError("the engine was closed while it answered; ask again")
        if not self.ended_by and stopped is None:
            raise EngineError("the engine ended the answer without saying why; ask again")
        finish: Finish = "length" if self.ended_by == "limit" else "stop"
        return Piece(
            self._final_text,
            finish=finish if self.ended_by else "cancelled",
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens or 0,
            completion_tokens=self.transcript.count,
        )

    def _take(self, chunk: dict[str, Any]) -> None:
        if (progress := chunk.get("prompt_progress")) is not None:
            if self._cached_tokens is None:
                self._cached_tokens = int(progress["cache"])
            self._processed_tokens = int(progress["processed"])
            return
        text, ids = read_chunk(self.transcript, chunk)
        ended_by = chunk["__verbose"].get("stop_type")
        if ended_by:
            self.ended_by, self._final_text = str(ended_by), text
        elif text:
            self._run.deliver(Piece(text, tuple(ids)))


def read_chunk(transcript: Transcript, chunk: dict[str, Any]) -> tuple[str, list[int]]:
    """Add a chunk to the transcript; return its text and ids."""
    verbose = chunk["__verbose"]
    choices = chunk["choices"]
    text = str(choices[0]["text"]) if choices else ""
    ids: list[int] = list(verbose.get("tokens") or ())
    transcript.add(text, ids, int(verbose.get("tokens_predicted", transcript.count)))
    return text, ids
