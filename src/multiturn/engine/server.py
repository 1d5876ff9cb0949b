"""One model loaded by llama.cpp in this process, and the private socket to its server.

``xllamacpp.Server`` always listens.  It listens here on a socket in a folder that only
this user can enter and answers only to a random key; no TCP port is opened, except on
Windows, where it is the loopback address and the same key.
"""

from __future__ import annotations

import ctypes
import http.client
import importlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from multiturn.engine.call_grammar import JSON_SPACING
from multiturn.errors import EngineError

# Prefill can be cancelled between two batches; 256 costs 6 % of prefill speed against
# 512 and halves the wait (measured with a 135M model on two cores: 384 against 410 tok/s).
_BATCH_TOKENS = 256
_HAS_UNIX_SOCKETS = os.name == "posix"
_HAS_MEMORY_FILES = sys.platform == "linux"
_SOCKET_SECONDS = 600
_LONGEST_SOCKET_PATH = 100
# libgomp spins before it sleeps; with its default a busy machine decodes 0.3 instead of
# 34 tokens a second (two threads, two other busy processes).  Three engines at once on two
# cores need 14 to 18 s for what takes them 27 to 76 s at 10,000; alone, both are as fast.
_SPIN_COUNT = "1000"


@dataclass(frozen=True, slots=True)
class Load:
    """How a model is loaded; two equal ones can share a server.

    Attributes:
        context_tokens: Window of each slot.
        threads: Threads that compute.
        eight_bit_keys: Whether keys are kept in blocks of 32 numbers of 8 bits, not in 16.
        chat_template: Jinja source instead of the one in the weights, None for that one.
        check_tensors: Whether llama.cpp looks for invalid numbers in the weights.
    """

    path: Path
    context_tokens: int
    slots: int
    threads: int
    eight_bit_keys: bool
    chat_template: str | None = None
    check_tensors: bool = False


class Server:
    """A loaded model. Every method may be called from any thread; loading holds the GIL."""

    def __init__(self, load: Load) -> None:
        xllamacpp = _import_xllamacpp()
        self._key = secrets.token_hex(16)
        self._folder = _private_folder()
        self._process = os.getpid()
        parameters = _parameters(xllamacpp, load)
        parameters.api_keys = [self._key]
        parameters.slot_save_path = "/proc/self/fd/" if _HAS_MEMORY_FILES else f"{self._folder}/"
        if _HAS_UNIX_SOCKETS:
            parameters.hostnames = [str(self._folder / "s.sock")]
        else:
            parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        try:
            self._native: Any = xllamacpp.Server(parameters)
            # The destructor of a server whose loop never ran blocks the process for ever.
            self._native.handle_completions({"prompt": "a", "max_tokens": 1})
        except (RuntimeError, ValueError) as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            if load.chat_template is not None:
                raise EngineError(
                    f"llama.cpp cannot load {load.path} with the chat_template that was given: "
                    f"{error}; if it loads without, the template cannot be used: check its Jinja"
                ) from error
            raise EngineError(
                f"llama.cpp cannot load {load.path} with {load.slots} windows of "
                f"{load.context_tokens} tokens: {error}; check the file, or load it with a "
                "smaller context_tokens"
            ) from error
        self._address = "" if _HAS_UNIX_SOCKETS else urlsplit(self._native.listening_address).netloc

    def complete(self, request: dict[str, Any], on_chunk: Callable[[dict[str, Any]], bool]) -> None:
        """Generate in the calling thread; ``on_chunk`` returns True to stop and never raises."""
        failures: list[object] = []

        def callback(chunk: dict[str, Any]) -> bool:
            if "error" in chunk or "code" in chunk:
                failures.append(chunk)
                return True
            return on_chunk(chunk)

        try:
            returned = self._native.handle_completions(request, callback)
        except (RuntimeError, ValueError, TypeError) as error:
            raise engine_error(error) from error
        if isinstance(returned, dict) and ("error" in returned or "code" in returned):
            failures.append(returned)
        if failures:
            raise engine_error(failures[0])

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask what only the private socket offers: GET without ``body``, POST with it."""
        connection = _Connection(self._folder / "s.sock", self._address)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        try:
            payload = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, payload, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EngineError(f"the engine did not answer {path}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise engine_error(answer)
        return dict(answer)

    def state_file(self) -> MemoryState | DiskState:
        """Make an empty state file: in memory on Linux, else in the private folder."""
        if _HAS_MEMORY_FILES:
            return MemoryState(self.ask)
        return DiskState(self.ask, self._folder)

    def grammar(self, schema: Mapping[str, Any]) -> str:
        """Return the grammar of a JSON Schema, compact: without free white space."""
        compact = {"x-guidance": JSON_SPACING, **schema}
        return str(_import_xllamacpp().json_schema_to_grammar(compact))

    def close(self) -> None:
        """Drop the model. No request may be under way."""
        self._native = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def abandon(self) -> None:
        """Forget the model without destroying it, which a forked child cannot do."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._native))
        self._native = None
        if self._process == os.getpid():
            shutil.rmtree(self._folder, ignore_errors=True)


class _SlotState:
    def __init__(self, ask: Callable[[str, Mapping[str, Any]], dict[str, Any]], name: str) -> None:
        self._ask, self._name = ask, name

    def save(self, slot: int) -> int:
        answer = self._ask(f"/slots/{slot}?action=save", {"filename": self._name})
        return int(answer["n_written"])

    def restore(self, slot: int) -> None:
        self._ask(f"/slots/{slot}?action=restore", {"filename": self._name})


class MemoryState(_SlotState):
    """The state of a slot in anonymous memory, which ends with the process."""

    def __init__(self, ask: Callable[[str, Mapping[str, Any]], dict[str, Any]]) -> None:
        self._file = os.memfd_create("multiturn-state")
        super().__init__(ask, str(self._file))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class DiskState(_SlotState):
    """The state of a slot in a file of the private folder."""

    def __init__(
        self, ask: Callable[[str, Mapping[str, Any]], dict[str, Any]], folder: Path
    ) -> None:
        name = secrets.token_hex(8)
        self._path = folder / name
        super().__init__(ask, name)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket in the file system, or to ``address`` if there is one."""

    def __init__(self, path: Path, address: str) -> None:
        super().__init__(address or "localhost", timeout=_SOCKET_SECONDS)
        self._path = None if address else path

    def connect(self) -> None:
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def engine_error(failure: object) -> EngineError:
    """Map the three shapes in which llama.cpp fails to one error.

    They are ``{"error": {...}}``, the same members without the wrapper, and an exception.
    """
    if isinstance(failure, Mapping):
        inner = failure.get("error", failure)
        members = inner if isinstance(inner, Mapping) else {"message": inner}
        message = members.get("message") or members.get("type") or "no reason given"
        return EngineError(f"the engine failed: {message}", code=members.get("code"))
    return EngineError(f"the engine failed: {failure}")


def _parameters(xllamacpp: Any, load: Load) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(load.path)
    parameters.n_ctx = load.context_tokens * load.slots  # llama.cpp divides it by the slots
    parameters.n_parallel = load.slots
    parameters.n_batch = parameters.n_ubatch = _BATCH_TOKENS
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = load.threads
    parameters.check_tensors = load.check_tensors
    parameters.n_gpu_layers = 0
    # On a CPU without 16-bit arithmetic flash attention costs more the longer the context:
    # 24.1 against 13.2 ms a token after 1400 tokens, 8.0 against 8.3 after 30 (one thread).
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    # Comparing with 1400 old keys takes a fifth less of a new message's time, and the answer
    # is as near to that of 32-bit keys as with 16 bits.  Values need flash attention for it.
    if load.eight_bit_keys:
        parameters.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_Q8_0
    parameters.verbosity = -1
    parameters.warmup = parameters.fit_params = False
    parameters.cache_ram_mib, parameters.cache_idle_slots = 0, False  # slots.py decides
    parameters.ui = parameters.endpoint_slots = False
    parameters.cors_origins = "null"
    parameters.n_threads_http = 4
    if load.chat_template is not None:
        parameters.chat_template = load.chat_template
    return parameters


def _private_folder() -> Path:
    """Make a folder (mode 0700) whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="multiturn-"))
    if os.name == "posix" and len(str(folder)) + 7 > _LONGEST_SOCKET_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="multiturn-", dir="/tmp"))
    return folder


def _import_xllamacpp() -> Any:
    if (imported := sys.modules.get("xllamacpp")) is not None:
        return imported
    # libgomp reads the variable once, when it is loaded.
    ours = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    try:
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        if "libgomp" in str(error):
            advice = (
                "install it with: apt-get install libgomp1 (Debian, Ubuntu) or dnf install libgomp"
            )
        else:
            advice = "install it with: python -m pip install --only-binary :all: xllamacpp"
        raise EngineError(f"llama.cpp cannot be imported ({error}); {advice}") from error
    finally:
        if ours:
            os.environ.pop("GOMP_SPINCOUNT", None)
