"""Stopping, sharing, leaving and forking while the engine answers."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from multiturn.engine import Message, Sampling
from multiturn.engine.llama import LlamaEngine
from multiturn.errors import EngineError

from .asking import GREEDY, STORY, answer, wait_until_idle

LONG = Sampling(temperature=0, max_tokens=900)
RunScript = Callable[[str], "subprocess.CompletedProcess[str]"]


def test_another_thread_cancels_within_one_token(engine: LlamaEngine) -> None:
    cancel = threading.Event()
    pieces = []
    for piece in engine.stream(STORY, LONG, cancel=cancel):
        pieces.append(piece)
        if len(pieces) == 5:
            setter = threading.Thread(target=cancel.set)
            setter.start()
            setter.join()
    assert pieces[-1].finish == "cancelled"
    # One token may have been under way; a loaded machine may have finished one more.
    assert pieces[-1].completion_tokens <= 7


class LateFlag:
    """Is set from the fifth look on, which is amid a long prompt."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks >= 5


def test_a_long_prompt_is_cancelled_between_two_batches(engine: LlamaEngine) -> None:
    messages: list[Message] = [("user", "word " * 800)]
    pieces = list(engine.stream(messages, LONG, cancel=LateFlag()))
    assert [piece.finish for piece in pieces] == ["cancelled"]
    assert pieces[0].completion_tokens == 0

    again = list(engine.stream(messages, Sampling(max_tokens=1)))[-1]
    assert 256 <= again.cached_tokens < 800


def test_leaving_the_loop_stops_the_answer(engine: LlamaEngine) -> None:
    for _ in engine.stream(STORY, LONG):
        break
    gc.collect()
    assert wait_until_idle(engine) < 5


def test_a_closed_iterator_gives_nothing_more(engine: LlamaEngine) -> None:
    answering = engine.stream(STORY, LONG)
    next(answering)
    answering.close()  # type: ignore[attr-defined]
    assert list(answering) == []
    wait_until_idle(engine)


def test_an_engine_closed_while_answering_says_so_and_loads_again(engine: LlamaEngine) -> None:
    answering = engine.stream(STORY, LONG)
    next(answering)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        list(answering)
    assert answer(engine, STORY) != ""


def test_async_gives_the_same_answer_in_every_event_loop(engine: LlamaEngine) -> None:
    async def collect() -> str:
        return "".join([piece.text async for piece in engine.stream_async(STORY, GREEDY)])

    assert [answer(engine, STORY)] * 2 == [asyncio.run(collect()) for _ in range(2)]


def test_async_answers_do_not_block_the_event_loop(engine: LlamaEngine) -> None:
    async def main() -> float:
        longest, before = 0.0, time.perf_counter()
        now = began = before

        async def collect(i: int) -> int:
            pieces = engine.stream_async([("user", f"Say {i}")], GREEDY)
            return len([piece async for piece in pieces])

        tasks = [asyncio.create_task(collect(i)) for i in range(6)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            longest, before = max(longest, now - before), now
        assert all(task.result() > 1 for task in tasks)
        return longest / (now - began)

    engine.count(STORY)
    assert asyncio.run(main()) < 0.5


def test_a_cancelled_task_stops_the_answer(engine: LlamaEngine) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def collect() -> None:
            async for _ in engine.stream_async(STORY, LONG):
                begun.set()

        task = asyncio.create_task(collect())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert wait_until_idle(engine) < 5


def test_an_error_reaches_async_code(engine: LlamaEngine) -> None:
    async def main() -> None:
        async for _ in engine.stream_async([("user", "word " * 2000)]):
            pass

    with pytest.raises(EngineError.__mro__[1], match="1024"):
        asyncio.run(main())


def test_thirty_two_sessions_with_random_cancels_all_end(engine: LlamaEngine) -> None:
    ends: list[str | None] = []

    def session(number: int) -> None:
        order = random.Random(number)
        messages: list[Message] = [("user", f"Tell me about the number {number}.")]
        for turn in range(2):
            cancel = threading.Event()
            wanted = order.randrange(8)
            sampling = Sampling(temperature=0.9, seed=number, max_tokens=5)
            pieces = []
            for piece in engine.stream(messages, sampling, cancel=cancel):
                pieces.append(piece)
                if len(pieces) == wanted:
                    cancel.set()
            ends.append(pieces[-1].finish)
            messages.append(("assistant", "".join(piece.text for piece in pieces)))
            messages.append(("user", f"More, {turn}."))

    threads = [threading.Thread(target=session, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ends) == 64
    assert {"length", "cancelled"} <= set(ends) <= {"length", "cancelled", "stop"}
    assert answer(engine, STORY) == answer(engine, STORY)


def test_ctrl_c_reaches_the_consumer_and_stops_the_answer(run_script: RunScript) -> None:
    done = run_script(
        "answer(1)\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "start = time.time()\n"
        "try:\n"
        "    for piece in engine.stream(STORY, Sampling(temperature=0)): pass\n"
        "except KeyboardInterrupt: print('interrupted', time.time() - start < 3)\n"
        "with engine._idle: print(engine._idle.wait_for(lambda: not engine._runs, 5))\n"
    )
    assert done.stdout.split() == ["interrupted", "True", "True"]
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["", "sys.exit(0)\n", "del answering\n"])
def test_leaving_the_interpreter_amid_an_answer_is_clean(run_script: RunScript, way: str) -> None:
    done = run_script(f"answering = engine.stream(STORY)\nnext(answering)\nprint('left')\n{way}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_leaving_right_after_opening_is_clean(run_script: RunScript) -> None:
    done = run_script("answering = engine.stream(STORY)\n")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="a forked child is supported on Linux")
@pytest.mark.parametrize("way", ["os._exit(7)", "sys.exit(7)"])
def test_a_forked_child_answers_with_a_model_of_its_own(run_script: RunScript, way: str) -> None:
    done = run_script(
        "import warnings; warnings.simplefilter('ignore')\n"
        "before = answer()\n"
        "open_answer = engine.stream(STORY); next(open_answer)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(answer() == before, flush=True)\n"
        "    try: next(open_answer)\n"
        "    except Exception as error: print(type(error).__name__, flush=True)\n"
        f"    {way}\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "print(answer() == before)\n"
    )
    assert done.stdout.split() == ["True", "EngineError", "7", "True"]
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_tcp_port_is_open_and_the_socket_is_private(run_script: RunScript) -> None:
    done = run_script(
        "answer(1)\n"
        "import glob, stat\n"
        "ours = {os.readlink(f) for f in glob.glob('/proc/self/fd/*') if os.path.islink(f)}\n"
        "rows = [l.split() for n in ('tcp', 'tcp6') for l in open(f'/proc/net/{n}')]\n"
        "print([r[1] for r in rows if r[3] == '0A' and f'socket:[{r[9]}]' in ours])\n"
        "folder = engine._loaded.server._folder\n"
        "print(oct(stat.S_IMODE(folder.stat().st_mode)))\n"
        "engine.close()\n"
        "print(folder.exists())\n"
    )
    assert done.stdout.split("\n") == ["[]", "0o700", "False", ""]


def test_a_wrong_key_is_refused(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine._use().server, "_key", "wrong")
    with pytest.raises(EngineError, match=r"API [Kk]ey"):
        engine._use().server.ask("/tokenize", {"content": "x"})


def test_a_port_and_files_serve_where_sockets_and_memory_files_are_missing(
    run_script: RunScript,
) -> None:
    done = run_script(
        "from multiturn.engine import server\n"
        "server._HAS_UNIX_SOCKETS = server._HAS_MEMORY_FILES = False\n"
        "first = answer(20)\n"
        "state = engine._use().server.state_file()\n"
        "print(state.save(0) > 0); state.restore(1); state.close()\n"
        "print(answer(20) == first)\n"
    )
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_without_libgomp_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, weights_path: Path
) -> None:
    from multiturn.engine import server

    def fail(name: str) -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    monkeypatch.setattr(server.importlib, "import_module", fail)
    with pytest.raises(EngineError, match="apt-get install libgomp1"):
        server._import_xllamacpp()


def test_the_engine_package_imports_neither_asyncio_nor_llama_cpp() -> None:
    source = (
        "import sys, multiturn.engine\n"
        "print({'asyncio', 'xllamacpp', 'http.client'} & set(sys.modules))\n"
        "from multiturn.engine import open_engine\n"
        "print({'asyncio', 'xllamacpp'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == ["set()", "set()", ""]
