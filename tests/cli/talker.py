"""The command line with a scripted model: ``python talker.py ARGUMENTS``, script in $SCRIPT.

The script is JSON: a string is a reply, a list a reply in pieces with numbers as pauses in
seconds, an object {"fail": message} a backend that fails.  It is repeated for ever.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import termios
from typing import Any

from multiturn import GenerativeModel
from multiturn.cli import options as cli
from multiturn.cli.main import main
from multiturn.cli.options import Options
from multiturn.errors import BackendError, UnknownName
from multiturn.testing import Line, Pause, ScriptedBackend

MODELS = ("scripted", "another")


def chunk(item: Any) -> Any:
    match item:
        case {"fail": message}:
            return BackendError(message, backend="scripted")
        case float() | int():
            return Pause(item)
        case _:
            return item


def script(json_text: str) -> list[Line]:
    return [
        [chunk(piece) for piece in line] if isinstance(line, list) else chunk(line)
        for line in json.loads(json_text)
    ]


def talk(argv: list[str], backend: ScriptedBackend) -> int:
    def make_model(options: Options) -> GenerativeModel:
        name = options.model or "scripted"
        if name.startswith(("gemini-", "ollama/")):
            return cli.make_model(options)
        if name not in MODELS:
            raise UnknownName("model", name, MODELS)
        return GenerativeModel(name, system_instruction=options.system, backend=backend)

    return main(argv, make_model=make_model)


def own_terminal() -> None:
    """Make standard input the controlling terminal, so that Ctrl-C comes as a signal."""
    if os.isatty(0) and os.getsid(0) == os.getpid():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


if __name__ == "__main__":
    own_terminal()
    sys.exit(talk(sys.argv[1:], ScriptedBackend(*script(os.environ["SCRIPT"]), repeat=True)))
