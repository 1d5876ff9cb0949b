"""Tells on stderr how a download goes: a bar on a terminal, two plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Progress = Callable[[int, int], None]
"""Called with (received bytes, total bytes)."""

_BAR_CHARACTERS = 30


@contextlib.contextmanager
def on_stderr(title: str, place: str) -> Iterator[Progress]:
    """Announce a download and lend what shows its progress; a closed stderr is no fault."""
    stream = sys.stderr
    started = time.monotonic()
    is_terminal = stream is not None and stream.isatty()

    def write(text: str) -> None:
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.write(text)
                stream.flush()

    announced = False

    def report(received_bytes: int, total_bytes: int) -> None:
        nonlocal announced
        if not announced:
            announced = True
            write(f"multiturn: fetching {title} ({total_bytes / 1e6:.0f} MB) into {place}\n")
        if is_terminal:
            write("\r" + _bar(received_bytes, total_bytes))

    try:
        yield report
    except BaseException:
        if is_terminal and announced:
            write("\n")
        raise
    seconds = time.monotonic() - started
    over_the_bar = "\r\x1b[K" if is_terminal else ""
    write(f"{over_the_bar}multiturn: fetched and verified in {seconds:.1f} s\n")


def _bar(received_bytes: int, total_bytes: int) -> str:
    share = received_bytes / total_bytes if total_bytes else 1.0
    filled = int(share * _BAR_CHARACTERS)
    return (
        f"[{'#' * filled}{'-' * (_BAR_CHARACTERS - filled)}] {share:4.0%} "
        f"{received_bytes / 1e6:.0f}/{total_bytes / 1e6:.0f} MB"
    )
