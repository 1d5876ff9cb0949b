"""What stops an answer or the program: Ctrl-C that answer alone, SIGTERM in a sane terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# xterm's: the cursor is shown (25), what is pasted is not marked (2004).
_SANE = b"\x1b[?25h\x1b[?2004l\r\n"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt here; further ones are ignored.

    A second one would otherwise hit what tidies up after the first.  Only for the main
    thread, as signal handlers are.
    """
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _terminal() -> tuple[int, list[Any]] | None:
    """Return where the keyboard is read and how it is set; None if it is no terminal."""
    if sys.platform == "win32":
        return None
    import termios

    try:
        descriptor = sys.stdin.fileno()
        return descriptor, termios.tcgetattr(descriptor)
    except (OSError, ValueError, AttributeError, termios.error):
        return None


@contextlib.contextmanager
def silent_keyboard() -> Iterator[None]:
    """Do not show what is typed; it would be drawn into the answer.

    It is read afterwards, by the prompt, as it would have been there: key by key, so that
    the terminal gives no key a meaning of its own and drops nothing, also not at Ctrl-C.
    """
    with _keyboard(_silence):
        yield


@contextlib.contextmanager
def ctrl_c_as_signal() -> Iterator[None]:
    """Within a silent keyboard, let Ctrl-C be no key that waits to be read but SIGINT."""
    with _keyboard(_allow_signals):
        yield


def _silence(modes: list[Any]) -> None:
    import termios

    modes[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    modes[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    modes[3] |= termios.NOFLSH
    modes[6] = [*modes[6]]
    modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0


def _allow_signals(modes: list[Any]) -> None:
    import termios

    modes[3] |= termios.ISIG


@contextlib.contextmanager
def _keyboard(change: Callable[[list[Any]], None]) -> Iterator[None]:
    """Set the keyboard otherwise; does nothing if it is no terminal."""
    terminal = _terminal()
    if terminal is None:
        yield
        return
    import termios

    descriptor, before = terminal
    modes = before.copy()
    change(modes)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def restored_terminal() -> Iterator[None]:
    """Let SIGTERM end the process as it does, but with the terminal as it is now.

    Only for the main thread, as signal handlers are.
    """
    terminal = _terminal()
    if terminal is None or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield  # whoever runs us may have other plans
        return
    import termios

    descriptor, before = terminal

    def end(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
            os.write(descriptor, _SANE)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
