"""The entry point of the command ``multiturn``: runs a command and says how it ended."""

from __future__ import annotations

import io
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multiturn.cli.arguments import parser
from multiturn.cli.failure import FAILED, OK, exit_code, explained
from multiturn.cli.options import MakeModel, Options, make_model, ready
from multiturn.cli.place import place
from multiturn.errors import UsageError

if TYPE_CHECKING:
    from multiturn.chat import ChatSession


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
        case "sessions":
            from multiturn.cli.sessions import sessions

            return sessions(arguments)
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
    is_conversation = not arguments.question and sys.stdin is not None and sys.stdin.isatty()
    if is_conversation and not sys.stdout.isatty():
        raise UsageError('a conversation needs a terminal; give a question: multiturn chat "…"')
    with place(getattr(arguments, "store", None)) as where:
        session = where.latest() if arguments.go_on else arguments.session
        if not is_conversation:
            from multiturn.cli.ask import ask

            def begin() -> ChatSession:
                model = ready(make_model(options))
                store = None if session is None else where.store()
                return model.start_chat(session=session, store=store)

            ask(" ".join(arguments.question), arguments.file, begin, markdown=markdown)
            return
        from multiturn.cli.conversation import Conversation
        from multiturn.cli.interactive import talk

        conversation = Conversation(options, make_model, where, session)
        debug = getattr(arguments, "debug", False)
        talk(conversation, arguments.file, markdown=markdown, debug=debug)


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
