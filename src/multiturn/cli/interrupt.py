"""What stops an answer or the program: Ctrl-C that answer alone, SIGTERM in a sane terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

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


@contextlib.contextmanager
def silent_keyboard() -> Iterator[None]:
    """Do not show what is typed; it would be drawn into the answer.

    It is read afterwards, by the prompt, as it would have been there: key by key, so that
    the terminal gives no key a meaning of its own and drops nothing, also not at Ctrl-C.
    """
    if sys.platform == "win32":
        yield
        return
    import termios

    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, AttributeError, termios.error):
        yield  # not a terminal
        return
    silent = before.copy()
    silent[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
    silent[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    silent[3] |= termios.NOFLSH
    silent[6] = [*before[6]]
    silent[6][termios.VMIN], silent[6][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def restored_terminal() -> Iterator[None]:
    """Let SIGTERM end the process as it does, but with the terminal as it is now.

    Only for the main thread, as signal handlers are.
    """
    if sys.platform == "win32" or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield  # no terminal of that kind; or whoever runs us has other plans
        return
    import termios

    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, AttributeError, termios.error):
        yield  # not a terminal
        return

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
