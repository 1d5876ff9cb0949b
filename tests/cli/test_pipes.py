"""The command line as a process among others: pipes, signals, and outputs that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from tests.cli.terminal import TALKER

# An output without a buffer would hide what the interpreter does with one at its end.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def process(script: list[Any], *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**ENVIRONMENT, "SCRIPT": json.dumps(script), "PYTHONUTF8": "1"}
    environment |= options.pop("env", {})
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, str(TALKER), "chat", *arguments]
    return subprocess.Popen(command, env=environment, **{**streams, **options})


def ended(talker: subprocess.Popen[bytes], data: bytes | None = None) -> tuple[int, str, str]:
    out, err = talker.communicate(data, timeout=20)
    return talker.returncode, (out or b"").decode(), (err or b"").decode()


def test_a_pipe_gets_plain_text_and_nothing_else() -> None:
    talker = process(["# Title\n\n**bold** \x1b[31m"], "hi", env={"FORCE_COLOR": "1"})

    assert (0, "# Title\n\n**bold** ␛[31m\n", "") == ended(talker)


def test_standard_input_is_read_from_a_pipe() -> None:
    talker = process(["ok"], stdin=subprocess.PIPE)

    assert (0, "ok\n", "") == ended(talker, "grüezi".encode())


def test_each_piece_leaves_the_process_as_it_comes() -> None:
    talker = process([["first ", 60, "second"]], "hi")
    assert talker.stdout is not None

    assert b"first " == os.read(talker.stdout.fileno(), 100)
    talker.kill()
    ended(talker)


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    talker = process([["one\n", *["more " * 50 + "\n"] * 400]], "hi")
    assert talker.stdout is not None
    assert b"one\n" == talker.stdout.readline()
    talker.stdout.close()

    assert talker.stderr is not None
    assert b"" == talker.stderr.read()
    assert 141 == talker.wait(20)
    talker.stderr.close()


def test_ctrl_c_in_mid_answer_is_exit_code_130_and_leaves_what_came() -> None:
    talker = process([["first ", 60, "second"]], "hi")
    assert talker.stdout is not None
    assert b"first " == os.read(talker.stdout.fileno(), 100)

    talker.send_signal(signal.SIGINT)

    assert (130, "\n", "") == ended(talker)


@pytest.mark.parametrize(
    ("redirection", "told"),
    [
        (">&-", "standard output is closed"),
        ("> /dev/full", "the output cannot be written: No space left on device"),
    ],
)
def test_an_output_that_cannot_be_written_is_a_failure(redirection: str, told: str) -> None:
    command = f'exec "{sys.executable}" "{TALKER}" chat hi {redirection}'
    talker = subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**ENVIRONMENT, "SCRIPT": '["answer"]'},
    )  # fmt: skip

    assert (1, "", f"multiturn: {told}\n") == ended(talker)


def test_a_closed_standard_input_and_error_are_no_trouble() -> None:
    command = f'exec "{sys.executable}" "{TALKER}" chat hi <&- 2>&-'
    talker = subprocess.Popen(
        ["/bin/sh", "-c", command], stdout=subprocess.PIPE,
        env={**ENVIRONMENT, "SCRIPT": '["answer"]'},
    )  # fmt: skip

    assert (0, "answer\n", "") == ended(talker)


def test_characters_that_the_output_cannot_encode_are_replaced() -> None:
    talker = process(["漢 ok"], "hi", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})

    assert (0, "? ok\n", "") == ended(talker)


def test_a_conversation_without_a_terminal_is_wrong_usage() -> None:
    code, out, err = ended(process(["ok"]))

    assert (2, "") == (code, out)
    assert "there is nothing to say" in err
