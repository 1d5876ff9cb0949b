"""What the command ``multiturn`` understands: its commands, options and help."""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from multiturn import __version__
from multiturn.cli.failure import WRONG_USAGE
from multiturn.cli.session_arguments import SESSIONS, add_actions, add_store, session_name
from multiturn.cli.whole_numbers import positive, whole

_EXIT_CODES = """\
exit codes:
  0    done
  1    the model, its weights, the store or the output failed
  2    wrong usage
  130  stopped with Ctrl-C
  141  whoever read the output went away, as in: multiturn chat "…" | head -1
"""
_MAIN = f"""\
examples:
  multiturn chat                          talk in the terminal
  multiturn chat "Why is the sky blue?"   one answer, then exit
  git diff | multiturn chat "Write a commit message"
  multiturn chat --session planning       a conversation that lasts
  multiturn sessions                      the conversations that last
  multiturn doctor                        what is missing, and what mends it

{_EXIT_CODES}"""
_CHAT = f"""\
examples:
  multiturn chat
  multiturn chat "Why is the sky blue?"
  multiturn chat --system "Answer in one sentence." --temperature 0 "What is TCP?"
  multiturn chat --file notes.txt "Summarise this."
  multiturn chat --model ./my-model.gguf
  cat poem.txt | multiturn chat "Who wrote this?" > answer.txt
  multiturn chat --session planning              resumes it, or begins it
  multiturn chat --session planning "And then?"  one more question in it
  multiturn chat --continue                      resumes the one changed last

Without a question and with nothing piped in, it is a conversation; /help lists what can
be typed there. A question comes first, then what is piped in, then the files. In a loop
that reads lines itself, give multiturn another input: multiturn chat "$line" < /dev/null
Anything but a terminal gets plain text.

A server's key and address are those of the environment: GEMINI_API_KEY and
GOOGLE_GEMINI_BASE_URL, OPENAI_API_KEY and OPENAI_BASE_URL, and so on for each provider.

{_EXIT_CODES}"""
_PULL = """\
examples:
  multiturn pull             the default model
  multiturn pull smollm2
  multiturn pull --force     fetch again, as after a damaged disk
"""


_OPTION, _WORD = re.compile(r"(?<![\w-])--?[a-z][a-z-]*"), re.compile(r"[\w-]+")
_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")
_UNKNOWN = re.compile(r"unrecognized arguments: .*?(--[\w-]+)")


class _Parser(argparse.ArgumentParser):
    # The stubs have three overloads of it, which come to this one.
    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        # Here, and not at the end by the main parser, it is known which options there are.
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        message = corrected(message, _OPTION.findall(self.format_help()))
        print(f"multiturn: {message}\nhelp: {self.prog} --help", file=sys.stderr)
        raise SystemExit(WRONG_USAGE)


def corrected(message: str, options: Sequence[str]) -> str:
    """Return a message of argparse with the nearest of what could have been meant.

    Args:
        message: As argparse says it.
        options: Those that there are.
    """
    if choice := _CHOICE.search(message):
        known = _WORD.findall(choice[2])
        near = difflib.get_close_matches(choice[1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        return f"there is no {choice[1]!r}; {hint}"
    if unknown := _UNKNOWN.search(message):
        near = difflib.get_close_matches(unknown[1], options, n=1)
        return f"{message}; did you mean {near[0]}?" if near else message
    return message


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    debug = _Parser(add_help=False)
    debug.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS,
        help="show where an error came from",
    )  # fmt: skip
    main = _Parser(
        prog="multiturn", description="The conversation with a language model.", epilog=_MAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter, parents=[debug],
    )  # fmt: skip
    main.add_argument("--version", action="version", version=f"multiturn {__version__}")
    commands = main.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, does: str, epilog: str = "") -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter, parents=[debug],
        )  # fmt: skip

    _add_chat(command("chat", "talk to a model, or ask it one question", _CHAT))
    add_actions(
        command("sessions", "list, show, search and tidy the conversations that last", SESSIONS),
        debug,
    )
    command(
        "models", "list what can be talked to and what is on disk", "example:\n  multiturn models",
    )  # fmt: skip
    pull = command("pull", "fetch the weights of a model and check every byte", _PULL)
    pull.add_argument("name", nargs="?", metavar="NAME", help="as multiturn models lists it")
    pull.add_argument("--force", action="store_true", help="fetch even if it is here")
    command(
        "doctor", "say what is installed, found and missing, and what mends it",
        "example:\n  multiturn doctor\n\nexit codes:\n  0    chat would work\n  1    it would not",
    )  # fmt: skip
    return main


def _add_chat(chat: argparse.ArgumentParser) -> None:
    chat.add_argument("question", nargs="*", metavar="QUESTION", help="ask this and exit")
    chat.add_argument(
        "-m", "--model", metavar="NAME",
        help="a name that multiturn models lists, a .gguf file, hf:OWNER/REPOSITORY/FILE.gguf, "
        "or a server's model, as gemini-2.5-flash or ollama/qwen3",
    )  # fmt: skip
    chat.add_argument("-s", "--system", metavar="TEXT", help="what the model is told first")
    chat.add_argument(
        "-t", "--temperature", type=_temperature, metavar="NUMBER",
        help="0 always takes the likeliest word; larger is more varied",
    )  # fmt: skip
    chat.add_argument(
        "--max-tokens", type=positive, metavar="N", help="length of an answer at most"
    )
    chat.add_argument(
        "--seed", type=_seed, metavar="N", help="equal seeds make equal answers where possible"
    )
    chat.add_argument(
        "-f", "--file", type=Path, action="append", default=[], metavar="PATH",
        help="send a text, an image or a PDF along; may be repeated",
    )  # fmt: skip
    chat.add_argument(
        "--no-markdown", action="store_true", help="show answers as the model wrote them"
    )
    which = chat.add_mutually_exclusive_group()
    which.add_argument(
        "--session",
        type=session_name,
        metavar="NAME",
        help="talk in the conversation of this name, which lasts",
    )
    which.add_argument(
        "-c", "--continue", dest="go_on", action="store_true",
        help="talk in the conversation that was changed last",
    )  # fmt: skip
    add_store(chat)


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def _seed(text: str) -> int:
    return whole(text, 0)
