"""A real pseudo-terminal with a program in it, and the screen that a person would see."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any, Self

import pyte

TALKER = Path(__file__).with_name("talker.py")
PATIENCE_SECONDS = 15


class Terminal:
    """Runs the command line with a scripted model in a pseudo-terminal."""

    def __init__(
        self,
        state: Path,
        script: list[Any],
        *arguments: str,
        columns: int = 80,
        lines: int = 24,
        command: str = "chat",
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.received = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {
            **os.environ, "SCRIPT": json.dumps(script), "TERM": "xterm-256color",
            "XDG_STATE_HOME": str(state), "XDG_DATA_HOME": str(state),
            "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONUTF8": "1",
        }  # fmt: skip
        # Side by side, tests are given a size of their own, which is not this terminal's.
        for name in ("NO_COLOR", "COLUMNS", "LINES", "MULTITURN_STORE"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, str(TALKER), command, *arguments],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def say(self, text: str, answer: str) -> None:
        """Type a line and wait for what comes of it, and for the prompt after it."""
        before = len(self.text.split("\n")) - 1
        self.type(text + "\r")
        self._wait(lambda: answer in "\n".join(self.lines[before:]), answer)
        self.wait_for_prompt()

    def wait_for(self, text: str) -> None:
        self._wait(lambda: text in self.text, text)

    def wait_for_prompt(self) -> None:
        self._wait(lambda: self._last_line.rstrip().endswith(">"), "the prompt")

    def exit_code(self) -> int:
        self._wait(lambda: self.process.poll() is not None, "the end")
        return self.process.returncode

    def modes(self) -> int:
        """Return the local modes of the terminal: ECHO, ICANON and the like."""
        return int(termios.tcgetattr(self._master)[3])

    @property
    def lines(self) -> list[str]:
        """Every line from the first, those that have left the screen included."""
        columns = self.screen.columns
        gone = [
            "".join(line[x].data for x in range(columns)).rstrip()
            for line in self.screen.history.top
        ]
        return gone + [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    @property
    def _last_line(self) -> str:
        return self.text.rsplit("\n", 1)[-1]

    def _wait(self, is_done: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_done():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what!r} did not come; the screen is:\n{self.text}")
            self._read(0.02)
        self._read(0)

    def _read(self, seconds: float) -> None:
        while select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            if not data:
                return
            self.received += data
            self._stream.feed(data)
            seconds = 0
