"""What became of a command: an exit code, and a line that a person can act on."""

from __future__ import annotations

from multiturn.cli.visible import visible
from multiturn.errors import MultiturnError, UsageError

OK = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
READER_GONE = 141  # 128 + SIGPIPE

_MOST_CHARACTERS = 1000


def exit_code(error: BaseException) -> int:
    """Return the exit code that says what kind of failure this was."""
    match error:
        case UsageError():
            return WRONG_USAGE
        case KeyboardInterrupt():
            return INTERRUPTED
        case BrokenPipeError():
            return READER_GONE
        case _:
            return FAILED


def explained(error: BaseException) -> str:
    """Return an error in one line, harmless to print."""
    match error:
        case MultiturnError():
            text = str(error)
        case OSError(filename=str() as name, strerror=str() as reason):
            text = f"{name}: {reason}"
        case OSError():
            text = error.strerror or str(error)
        case _:
            text = f"{type(error).__name__}: {error} (--debug shows where it came from)"
    text = " ".join(visible(text).split())
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"
