"""``multiturn sessions``: looks at conversations that are kept, and tidies them."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from multiturn.cli.attachments import size
from multiturn.cli.conversation import is_busy, turns_in_words
from multiturn.cli.failure import FAILED, OK
from multiturn.cli.moments import ago
from multiturn.cli.place import Place, place
from multiturn.cli.visible import one_line, visible
from multiturn.errors import UsageError


def sessions(arguments: Namespace) -> int:
    """Do what ``multiturn sessions …`` says, and return the exit code."""
    with place(getattr(arguments, "store", None)) as where:
        where.require_folder()
        match arguments.action:
            case None | "list" | "show" | "tree" | "search":
                _look(where, arguments)
            case "export" | "import":
                _carry(where, arguments)
            case "fork":
                _fork(where, arguments.name, arguments.new_name, arguments.back)
            case "rename":
                _rename(where, arguments.name, arguments.new_name)
            case "rm":
                _remove(where, arguments)
            case "erase":
                _erase(where, arguments.name, arguments.turn, is_sure=arguments.yes)
            case "prune":
                _prune(where, arguments)
            case "check":
                return _check(where)
            case "vacuum":
                _vacuum(where)
    return OK


def _look(where: Place, arguments: Namespace) -> None:
    from multiturn.cli import session_list

    as_json = arguments.json
    match arguments.action:
        case "show":
            session_list.show_session(where, arguments.name, as_json=as_json)
        case "tree":
            session_list.show_tree(where, arguments.name)
        case "search":
            words, prefix = " ".join(arguments.words), arguments.prefix
            session_list.search(where, words, prefix, arguments.limit, as_json=as_json)
        case _:
            session_list.show_list(where, arguments.prefix, as_json=as_json)


def _carry(where: Place, arguments: Namespace) -> None:
    from multiturn.cli.session_files import export_session, import_sessions

    if arguments.action == "export":
        name, overwrite = arguments.name, arguments.overwrite
        export_session(where, name, arguments.format, arguments.output, overwrite=overwrite)
    else:
        chosen = arguments.conversation, arguments.new_name
        import_sessions(where, arguments.file, arguments.format, *chosen)


def _fork(where: Place, name: str, new_name: str, back: int) -> None:
    from multiturn.cli.session_list import stored
    from multiturn.history import turns_of
    from multiturn.stores.protocol import require_name

    where.state(name)
    turns = turns_of(stored(where, name).head())
    if back > len(turns):
        raise UsageError(f"{name} has {turns_in_words(len(turns))}; --back {back} goes too far")
    kept = turns[: len(turns) - back]
    where.store().create(require_name(new_name), kept[-1].id if kept else None)
    _say(f"{new_name} begins with {turns_in_words(len(kept))} of {name}")


def _rename(where: Place, name: str, new_name: str) -> None:
    where.state(name)
    where.store().rename(name, new_name)
    _say(f"{name} is called {new_name} now")


def _remove(where: Place, arguments: Namespace) -> None:
    names = list(dict.fromkeys(arguments.names))
    # Whoever follows a suggestion here loses something: only a slip is corrected.
    states = [where.state(name, likeness=0.8) for name in names]
    for name in names:
        if not arguments.even_if_busy and is_busy(where.store(), name):
            raise UsageError(
                f"{name} is being answered by a process; stop that first, or add --even-if-busy: "
                "the answer is lost then"
            )
    what = ", ".join(f"{state.name} ({turns_in_words(state.turns)})" for state in states)
    if not arguments.yes and not _agreed(f"delete {what}?"):
        return
    for name in names:
        where.store().delete(name, even_if_busy=arguments.even_if_busy)
        _say(f"deleted {name}")


def _erase(where: Place, name: str, digits: str, *, is_sure: bool) -> None:
    from multiturn.cli.session_list import turn_of

    turn = turn_of(where, name, digits)
    said = "damaged" if turn.outcome == "damaged" else one_line(turn.contents[0].text, 48)
    if not is_sure and not _agreed(f"erase “{said}” and its answer, in {name} and its forks?"):
        return
    where.store().erase(turn.id)
    _say(f"erased {turn.id[:8]}; {name} goes on without it")


def _prune(where: Place, arguments: Namespace) -> None:
    if not where.exists:
        _say("nothing is that old")
        return
    from multiturn.stores.reading import SqlReader
    from multiturn.stores.retention import has_old_attempts

    store, prefix = where.store(), arguments.prefix
    assert isinstance(store, SqlReader)
    before = time.time() - arguments.older_than
    old = [state for state in store.sessions(prefix) if state.changed_at < before]
    old = [state for state in old if not is_busy(store, state.name)]  # those are kept
    for state in old:
        _say(f"{state.name}, {turns_in_words(state.turns)}, changed {ago(state.changed_at)}")
    if not old:
        _say("no conversation is that old")
    has_entries = has_old_attempts(store, before, prefix)
    if not old and not has_entries:
        return
    entries = ", and journal entries that old" if has_entries else ""
    these = ["it" if len(old) == 1 else f"these {len(old)}"] if old else []
    what = " and ".join([*these, *(["journal entries that old"] if has_entries else [])])
    if arguments.dry_run:
        _say(f"{len(old)} would be deleted{entries}")
    elif arguments.yes or _agreed(f"delete {what}?"):
        count = store.prune(before=before, prefix=prefix)
        _say(f"deleted {count}{entries}; multiturn sessions vacuum gives their space back")


def _check(where: Place) -> int:
    findings = where.store().check() if where.exists else []
    for finding in findings:
        _say(finding)
    if findings:
        print(
            f"multiturn: {where} is damaged; nothing was changed. All that is not named here can "
            f"be read, as by multiturn sessions export NAME{where.option}; a damaged turn is taken "
            f"out by multiturn sessions erase NAME TURN{where.option}; or put a copy back that was "
            "made before",
            file=sys.stderr,
        )
        return FAILED
    _say(f"all is sound in {where}" if where.exists else f"there is nothing yet in {where}")
    return OK


def _vacuum(where: Place) -> None:
    file = where.file
    if not where.exists:
        _say(f"there is nothing yet in {where}")
        return
    before = file.stat().st_size if file else 0
    where.store().vacuum()
    where.close()
    after = f": {size(before)} before, {size(file.stat().st_size)} now" if file else ""
    _say(f"gave back the space of what was deleted{after}")


def _agreed(question: str) -> bool:
    """Ask at the terminal; without one, only ``--yes`` is an answer.

    Raises:
        UsageError: There is nobody to ask.
    """
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UsageError(f"{question.removesuffix('?')}: nobody is there to ask; add --yes")
    try:
        answer = input(visible(f"{question} [y/N] "))
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return True
    _say("nothing was changed")
    return False


def _say(text: str) -> None:
    print(visible(text))
