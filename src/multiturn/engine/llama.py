"""The embedded engine: a model that llama.cpp runs in this process, shared by every user of it."""

from __future__ import annotations

import atexit
import json
import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from multiturn.engine.answer import Pieces, Run, pieces_async
from multiturn.engine.call_grammar import call_grammar
from multiturn.engine.cores import physical_cores
from multiturn.engine.memory import check_memory, has_eight_bit_keys
from multiturn.engine.prompt import PromptBuilder
from multiturn.engine.protocol import Flag, Messages, Piece, Sampling, Template, Tools
from multiturn.engine.reply import Reply, read_chunk, request_for
from multiturn.engine.server import Load, Server
from multiturn.engine.slots import Slots
from multiturn.engine.tokens import Transcript
from multiturn.errors import ContextTooLong, EngineError, UsageError, WeightsBroken, WeightsMissing
from multiturn.weights.gguf import Header, HeaderError, read_header

DEFAULT_SAMPLING = Sampling()
_DEFAULT_CONTEXT_TOKENS = 4096
_MOST_SLOTS = 64
_SAVED_STATES_BYTES = 512 * 2**20
_CLOSE_SECONDS = 60.0


class _Loaded:
    """What exists only while the model is in memory."""

    def __init__(self, load: Load) -> None:
        self.server = Server(load)
        try:
            self.prompts = PromptBuilder(self.server.ask)
            self.slots = Slots(load.slots, self.server.state_file, _SAVED_STATES_BYTES)
            self._never_json = self.prompts.tokenize("@")[0]
        except BaseException:
            self.server.close()
            raise
        self._tried: set[str] = set()

    def grammar(self, run: Run) -> str | None:
        """Return the grammar that holds the answer, None if it is free."""
        syntax, tools, schema = self.prompts.template.calls, run.tools, run.sampling.json_schema
        if tools is not None and tools.allowed:
            if syntax is None:
                raise EngineError("the chat template has no functions; give no tools")
            schemas = {f.name: f.parameters for f in tools.functions if f.name in tools.allowed}
            self._try(call_grammar(syntax, schemas, forced=True), schemas)
            return call_grammar(syntax, schemas, forced=tools.forced)
        if schema is None:
            return run.sampling.grammar
        return self._try(self.server.grammar(schema), schema)

    def _try(self, grammar: str, schema: Mapping[str, Any]) -> str:
        """Return a grammar of JSON, or of calls, that works.

        llama.cpp drops one that it cannot compile without a word, so each is tried first:
        asked for a token that cannot begin an answer, a working grammar gives another one.
        """
        if grammar in self._tried:
            return grammar
        transcript = Transcript()
        request = {
            "prompt": "a", "max_tokens": 1, "temperature": 0, "stream": True,
            "grammar": grammar, "logit_bias": [[self._never_json, 1000]],
            "return_tokens": True, "verbose": True, "cache_prompt": False,
        }  # fmt: skip
        with self.slots.taken([], lambda: False) as slot:
            assert slot is not None
            request["id_slot"] = slot.number
            self.server.complete(request, lambda chunk: read_chunk(transcript, chunk) is None)
        if transcript.generated(self.prompts.tokenize)[:1] == [self._never_json]:
            raise EngineError(
                f"the engine cannot hold an answer to this JSON Schema: {json.dumps(schema)[:200]}"
                "; check it (types, $ref, limits) or use a simpler one"
            )
        self._tried.add(grammar)
        return grammar

    def close(self) -> None:
        self.slots.close()
        self.server.close()

    def abandon(self) -> None:
        """Forget the model where it cannot be destroyed: its threads are gone or busy."""
        self.slots.close()
        self.server.abandon()


class LlamaEngine:
    """An Engine over llama.cpp. Made by ``open_engine``; loads at first use."""

    def __init__(self, load: Load, header: Header) -> None:
        self._load, self._header = load, header
        self._loaded: _Loaded | None = None
        self._reset()
        _engines.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._load.path.name} context={self.context_tokens}>"

    @property
    def context_tokens(self) -> int:
        return self._load.context_tokens

    @property
    def template(self) -> Template:
        return self._use().prompts.template

    def stream(
        self,
        messages: Messages,
        sampling: Sampling = DEFAULT_SAMPLING,
        *,
        tools: Tools | None = None,
        cancel: Flag | None = None,
    ) -> Iterator[Piece]:
        return Pieces(messages, sampling, tools, cancel, self._start)

    def stream_async(
        self,
        messages: Messages,
        sampling: Sampling = DEFAULT_SAMPLING,
        *,
        tools: Tools | None = None,
        cancel: Flag | None = None,
    ) -> AsyncIterator[Piece]:
        return pieces_async(messages, sampling, tools, cancel, self._start)

    def count(self, messages: Messages, tools: Tools | None = None) -> int:
        return len(self._use().prompts.build(messages, tools).tokens)

    def close(self) -> None:
        with self._idle:
            self._closing += 1
            for run in self._runs:
                run.stop("closed")
            idle = self._idle.wait_for(lambda: not self._runs, _CLOSE_SECONDS)
            self._closing -= 1
        with self._loading:
            loaded, self._loaded = self._loaded, None
            # In the child of a process that had a model, no destructor of llama.cpp works:
            # it joins a thread that only the parent has.
            if loaded is not None and idle and not _abandoned.is_set():
                loaded.close()
            elif loaded is not None:
                loaded.abandon()

    def _reset(self) -> None:
        self._loading = threading.Lock()
        self._idle = threading.Condition()
        self._runs: set[Run] = set()
        self._closing = 0

    def _after_fork(self) -> bool:
        """Forget what belongs to the parent; return whether there was a model."""
        loaded, self._loaded = self._loaded, None
        self._reset()
        if loaded is not None:
            loaded.abandon()
        return loaded is not None

    def _use(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                check_memory(self._load, self._header)
                self._loaded = _Loaded(self._load)
            return self._loaded

    def _start(self, run: Run) -> None:
        with self._idle:
            self._runs.add(run)
            if self._closing or _exiting.is_set():
                run.stop("closed")
        threading.Thread(
            target=self._work, args=(run,), name="multiturn-engine", daemon=True
        ).start()

    def _work(self, run: Run) -> None:
        try:
            self._answer(run)
        except BaseException as error:
            run.deliver(error)
        with self._idle:
            self._runs.discard(run)
            self._idle.notify_all()

    def _answer(self, run: Run) -> None:
        """Deliver every piece, the last one once the slot is free."""
        if run.stopped() == "closed":
            raise EngineError("the engine is being closed; ask again")
        loaded = self._use()
        prompt = loaded.prompts.build(run.messages, run.tools)
        room = self.context_tokens - len(prompt.tokens)
        if room < 1:
            raise ContextTooLong(len(prompt.tokens), self.context_tokens, backend="embedded")
        request = request_for(prompt, run.sampling, loaded.grammar(run), room)
        if (calls := loaded.prompts.template.calls) is not None:
            request["preserved_tokens"] = [marker for marker, _ in calls.control]
        answer = Reply(run, len(prompt.tokens))
        with loaded.slots.taken(prompt.tokens, lambda: run.stopped() is not None) as slot:
            if slot is not None:
                request["id_slot"] = slot.number
                loaded.server.complete(request, answer.take)
                slot.tokens = answer.keep(prompt, loaded.prompts)
        last = answer.last()
        if last.finish == "stop" and run.sampling.json_schema is not None:
            _check_json(answer.transcript.text)
        run.deliver(last)
        loaded.prompts.expect(run.messages, answer.transcript.text, run.tools)


_engines: weakref.WeakSet[LlamaEngine] = weakref.WeakSet()
_opened: dict[Load, LlamaEngine] = {}
_opened_lock = threading.Lock()
_exiting = threading.Event()
_abandoned = threading.Event()


def open_engine(
    path: Path | str,
    *,
    context_tokens: int | None = None,
    slots: int = 4,
    threads: int | None = None,
    chat_template: str | None = None,
    check_tensors: bool = False,
) -> LlamaEngine:
    """Return the engine of a GGUF file; equal calls in one process share one.

    Args:
        path: The weights. Their header is checked now, the model is loaded at first use.
        context_tokens: Window of each answer; None takes the model's own, at most 4096.
        slots: Answers that can be generated at once; each has a window of its own.
        threads: Threads that compute; None takes the physical cores.
        chat_template: Jinja source instead of the template in the weights.
        check_tensors: Whether to look for invalid numbers in the weights while loading;
            for a file whose checksum is not known.

    Raises:
        WeightsMissing: There is no such file.
        WeightsBroken: The file is not GGUF, is truncated or contradicts itself.
        UsageError: A number is out of its range.
    """
    resolved = Path(path).resolve()
    header = _header(resolved)
    trained = header.context_tokens or 2**31
    window = min(trained, _DEFAULT_CONTEXT_TOKENS) if context_tokens is None else context_tokens
    for name, value, highest in (
        ("context_tokens", window, trained), ("slots", slots, _MOST_SLOTS),
        ("threads", threads or physical_cores(), 512),
    ):  # fmt: skip
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
            raise UsageError(f"{name} is {value!r}; give a whole number from 1 to {highest}")
    load = Load(
        resolved,
        window,
        slots,
        threads or physical_cores(),
        has_eight_bit_keys(header),
        chat_template,
        check_tensors,
    )
    with _opened_lock:
        if load not in _opened:
            _opened[load] = LlamaEngine(load, header)
        return _opened[load]


def _check_json(text: str) -> None:
    """A grammar that llama.cpp gives up midway is not reported either."""
    try:
        json.loads(text)
    except ValueError as error:
        raise EngineError(
            f"the engine left the JSON Schema at {error}; use a simpler one"
        ) from None


def _header(path: Path) -> Header:
    try:
        return read_header(path)
    except FileNotFoundError as error:
        raise WeightsMissing(str(path), "check the path", path=path) from error
    except (HeaderError, OSError) as error:
        raise WeightsBroken(path, str(error), "fetch the file again") from error


def _close_all() -> None:
    """Leave nothing under way: the process would crash in the engine's destructors."""
    _exiting.set()
    for engine in list(_engines):
        engine.close()
    if _abandoned.is_set():
        _skip_native_exit_handlers()


def _after_fork_in_child() -> None:
    """Let the child load its own model: the parent's threads do not exist in it."""
    global _opened_lock
    _opened_lock = threading.Lock()
    for engine in list(_engines):
        if engine._after_fork():
            _abandoned.set()


def _skip_native_exit_handlers() -> None:
    """End this process without C++ destructors, which would join threads of the parent.

    glibc calls exit handlers in reverse order with the exit status, so that ``_exit`` itself,
    as the newest handler, ends the process after Python has finished and before them.
    """
    import ctypes

    library = ctypes.CDLL(None)
    on_exit = getattr(library, "on_exit", None)
    if on_exit is not None:
        on_exit(library._exit, None)


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
