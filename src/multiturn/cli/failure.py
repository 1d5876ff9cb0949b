"""What became of a command: an exit code, and a line that a person can act on."""

from __future__ import annotations

import errno
import os
import re

from multiturn.cli.visible import visible
from multiturn.errors import BackendError, ContextTooLong, MissingKey, MultiturnError, UsageError

OK = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
READER_GONE = 141  # 128 + SIGPIPE

_MOST_CHARACTERS = 1000
_VARIABLE_OF_A_KEY = re.compile(r"\b[A-Z][A-Z0-9_]*_API_KEY\b")

# What a program is told beside: the attribute in which to find something.
_WHERE_IN_PYTHON = re.compile(r"; what had arrived is in \.\w+")


def exit_code(error: BaseException) -> int:
    """Return the exit code that says what kind of failure this was."""
    from multiturn.stores.errors import SessionExists, SessionMissing

    match error:
        case UsageError() | SessionExists() | SessionMissing():
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
        case MissingKey():
            text = _without_key(error)
        case MultiturnError():
            text = _for_the_shell(error)
        case OSError(filename=str() as name, strerror=str() as reason):
            text = f"{name}: {reason}"
        case OSError(errno=errno.ENOSPC | errno.EFBIG, strerror=str() as reason):
            text = f"the output cannot be written: {reason}"  # what has a name is told above
        case OSError():
            text = error.strerror or str(error)
        case _:
            text = f"{type(error).__name__}: {error} (--debug shows where it came from)"
    text = " ".join(visible(text).split())
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def _without_key(error: MissingKey) -> str:
    """Return what the shell is told, in place of what a program would do."""
    variable = _VARIABLE_OF_A_KEY.search(str(error))
    if variable is None:
        return str(error)
    what = str(error).partition(":")[0]
    if os.environ.get(variable[0]) == "":
        what += f" ({variable[0]} is set and empty)"
    return (
        f"{what}; before multiturn is started: export {variable[0]}=…; "
        "the embedded model, which is taken without --model, needs no key"
    )


def _for_the_shell(error: MultiturnError) -> str:
    from multiturn.stores.errors import Conflict, TurnDamaged

    if isinstance(error, ContextTooLong):
        return (
            f"this is too long: {error.prompt_tokens} tokens, and the model takes "
            f"{error.context_tokens} with its answer; say or attach less, take turns off "
            "(/rewind), begin anew (/clear), or take a model with a larger window (--model)"
        )
    if isinstance(error, Conflict):
        return (
            f"session {error.session!r} was changed by another meanwhile, and nothing was changed "
            "by you; look at it (/history, or multiturn sessions show), and try again"
        )
    if isinstance(error, TurnDamaged):
        return (
            f"turn {error.turn_id} is damaged: what is stored is not what was said; go on from "
            "before it (/rewind, or multiturn sessions fork NAME NEW --back N), or without it "
            "(multiturn sessions erase NAME TURN)"
        )
    if isinstance(error, BackendError) and error.server:
        from multiturn.cli.remedy import of_server

        return of_server(error)
    return _WHERE_IN_PYTHON.sub("", str(error))
