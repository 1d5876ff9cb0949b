"""The entry point of the command ``multiturn``: runs a command and says how it ended."""

from __future__ import annotations

import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from multiturn.cli.arguments import parser
from multiturn.cli.failure import FAILED, OK, exit_code, explained
from multiturn.cli.options import MakeModel, Options, make_model
from multiturn.errors import UsageError


def main(argv: Sequence[str] | None = None, *, make_model: MakeModel = make_model) -> int:
    """Run one command.

    Args:
        argv: What follows the program's name; None takes it from the process.
        make_model: Makes the model that is talked to.

    Returns:
        The exit code, as ``multiturn --help`` lists them.
    """
    arguments = Namespace()
    try:
        _prepare_output()
        parser().parse_args(argv, arguments)
        code = _run(arguments, make_model)
        sys.stdout.flush()
    except SystemExit as ended:  # argparse, after --help, --version or wrong usage
        return _flushed(ended.code if isinstance(ended.code, int) else FAILED)
    except (Exception, KeyboardInterrupt) as error:
        return _failed(error, debug=getattr(arguments, "debug", False))
    return code


def _run(arguments: Namespace, make_model: MakeModel) -> int:
    match arguments.command:
        case "chat":
            _chat(arguments, make_model)
        case "models":
            from multiturn.cli.models import show_models

            show_models()
        case "pull":
            from multiturn.cli.models import pull

            pull(arguments.name, force=arguments.force)
        case "doctor":
            from multiturn.cli.doctor import examine

            return examine()
    return OK


def _chat(arguments: Namespace, make_model: MakeModel) -> None:
    options = Options(
        model=arguments.model,
        system=arguments.system,
        temperature=arguments.temperature,
        max_tokens=arguments.max_tokens,
        seed=arguments.seed,
    )
    markdown = not arguments.no_markdown
    question = " ".join(arguments.question)
    if arguments.question or not (sys.stdin is not None and sys.stdin.isatty()):
        from multiturn.cli.ask import ask

        ask(question, arguments.file, options, make_model, markdown=markdown)
        return
    if not sys.stdout.isatty():
        raise UsageError('a conversation needs a terminal; give a question: multiturn chat "…"')
    from multiturn.cli.interactive import talk

    debug = getattr(arguments, "debug", False)
    talk(arguments.file, options, make_model, markdown=markdown, debug=debug)


def _prepare_output() -> None:
    """Let no character fail to be written, and refuse to talk to nobody."""
    if sys.stdout is None:
        raise OSError("standard output is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError as error:
        return _failed(error, debug=False)
    return code


def _failed(error: BaseException, *, debug: bool) -> int:
    """Tell on stderr what went wrong, unless there is nothing to tell."""
    if isinstance(error, OSError):
        _discard_output()
    if debug and sys.stderr is not None:
        import traceback

        traceback.print_exception(error)
    elif not isinstance(error, BrokenPipeError | KeyboardInterrupt) and sys.stderr is not None:
        print(f"multiturn: {explained(error)}", file=sys.stderr)
    return exit_code(error)


def _discard_output() -> None:
    """Keep the interpreter from flushing, at its end, what cannot be written."""
    if sys.stdout is None:
        return
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        return
