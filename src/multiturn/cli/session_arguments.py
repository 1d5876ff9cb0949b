"""What ``multiturn sessions`` understands: its actions, options and help."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from multiturn.cli.moments import span_seconds
from multiturn.cli.whole_numbers import positive, whole

Action: TypeAlias = Callable[..., argparse.ArgumentParser]

SESSIONS = """\
examples:
  multiturn sessions                     the conversations that last, as list
  multiturn sessions show planning
  multiturn sessions search "blue door"
  multiturn sessions rm planning

They are kept in a file in your folder for data, or where --store or the environment's
MULTITURN_STORE says: a path, or postgresql://USER@HOST/DATABASE.
To begin or resume one: multiturn chat --session NAME
"""
_STORE = "where conversations are kept: a path, or postgresql://…"


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add ``--store``."""
    parser.add_argument("--store", metavar="PLACE", default=argparse.SUPPRESS, help=_STORE)


def session_name(text: str) -> str:
    """Return a name for a session; there has to be one."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a session needs a name, as in: planning")
    return text


def add_actions(sessions: argparse.ArgumentParser, debug: argparse.ArgumentParser) -> None:
    """Add the actions of ``multiturn sessions``; without one it lists."""
    shared = argparse.ArgumentParser(add_help=False)
    add_store(shared)
    in_json = argparse.ArgumentParser(add_help=False)
    in_json.add_argument("--json", action="store_true", help="for programs: JSON")
    add_store(sessions)
    sessions.add_argument("--json", action="store_true", help="for programs: the list as JSON")
    sessions.set_defaults(action=None, prefix="")
    actions = sessions.add_subparsers(dest="action", metavar="ACTION")

    def action(
        name: str, does: str, example: str, *more: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        examples = "".join(f"\n  multiturn sessions {line}" for line in example.split("\n"))
        return actions.add_parser(
            name, help=does, description=f"{does[0].upper()}{does[1:]}.",
            epilog=f"example:{examples}", formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[debug, shared, *more],
        )  # fmt: skip

    _add_looking(action, in_json)
    _add_carrying(action)
    _add_changing(action)


def _add_looking(action: Action, in_json: argparse.ArgumentParser) -> None:
    does = "list the conversations, the one changed last at the top"
    _add_prefix(action("list", does, "list --prefix ada/", in_json))
    examples = "show planning\nshow planning --json"
    _add_name(action("show", "print a conversation", examples, in_json))
    does = "print all turns of a conversation, those taken off too"
    _add_name(action("tree", does, "tree planning"))
    examples = "search blue door\nsearch '\"blue door\"' --prefix ada/"
    search = action("search", "find messages in which all words occur", examples, in_json)
    search.add_argument(
        "words", nargs="+", metavar="WORD", help="words, or a phrase in double quotes"
    )
    search.add_argument(
        "--limit", type=positive, default=20, metavar="N", help="at most so many, else 20"
    )
    _add_prefix(search)


def _add_carrying(action: Action) -> None:
    does = "write a conversation to a file or to standard output, in one of several formats"
    examples = "export planning -o planning.json\nexport planning --format openai > messages.json"
    export = action("export", does, examples)
    _add_name(export)
    export.add_argument(
        "--format", metavar="FORMAT",
        help="multiturn (nothing is lost), openai, anthropic, gemini, chatgpt, llm, jsonl or "
        "markdown; else by the ending of FILE, .md or .jsonl, else multiturn",
    )  # fmt: skip
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="where it is written")
    export.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    does = "put the conversations in a file into the store"
    examples = "import planning.json --as plan-b\nimport conversations.json --conversation Holidays"
    import_ = action("import", does, examples)
    import_.add_argument("file", metavar="FILE", help="in any of the formats; - reads a pipe")
    import_.add_argument("--format", metavar="FORMAT", help="as of export; found if not said")
    import_.add_argument(
        "--conversation", metavar="TITLE", help="only the one of this title, if there are several"
    )
    import_.add_argument(
        "--as", dest="new_name", type=session_name, metavar="NAME", help="what it is called here"
    )


def _add_changing(action: Action) -> None:
    does = "begin a conversation with what was said in another"
    fork = action("fork", does, "fork planning plan-b --back 2")
    _add_name(fork)
    fork.add_argument("new_name", type=session_name, metavar="NEW", help="what the fork is called")
    fork.add_argument(
        "--back", type=_turns, default=0, metavar="N", help="without the last N turns"
    )
    rename = action("rename", "give a conversation another name", "rename planning holidays")
    _add_name(rename)
    rename.add_argument(
        "new_name", type=session_name, metavar="NEW", help="what it is called from now on"
    )
    remove = action("rm", "delete conversations", "rm planning plan-b")
    remove.add_argument("names", nargs="+", metavar="NAME", help="what is deleted")
    remove.add_argument(
        "--even-if-busy", action="store_true", help="even while a process answers there"
    )
    _add_yes(remove)
    does = "erase what was said in one turn, in all forks; the others stay"
    erase = action("erase", does, "erase planning 3f2c9a1e")
    _add_name(erase)
    erase.add_argument(
        "turn", metavar="TURN", help="the first digits of the turn, as tree and check show them"
    )
    _add_yes(erase)
    does = "delete the conversations that were not changed for long, and journal entries that old"
    prune = action("prune", does, "prune --older-than 90d --dry-run")
    prune.add_argument(
        "--older-than", type=_span, required=True, metavar="SPAN",
        help="hours, days or weeks, as 12h, 90d or 4w",
    )  # fmt: skip
    prune.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    _add_prefix(prune)
    _add_yes(prune)
    action("check", "verify everything that is kept; exit code 1 if something is wrong", "check")
    action("vacuum", "give the space of what was deleted back", "vacuum")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as multiturn sessions lists it")


def _add_prefix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prefix", default="", metavar="TEXT", help="only names that begin so")


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _turns(text: str) -> int:
    return whole(text, 0)


def _span(text: str) -> float:
    try:
        return span_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
